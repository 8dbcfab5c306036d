"""PyTorch's training step of the published Y-Net 3D on the CPU, for bench/step.ts to compare with.

    /usr/bin/python3 bench/torch_step.py BATCH STEPS THREADS fp32|bf16 [WIDTH X Y Z]

Prints one JSON line: versions, seconds of each step after one warm-up, peak memory in bytes.
"""
import json
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Sequential):
    def __init__(self, i, m, o):
        super().__init__(
            nn.Conv3d(i, m, 3, padding=1), nn.BatchNorm3d(m), nn.ReLU(inplace=True),
            nn.Conv3d(m, o, 3, padding=1), nn.BatchNorm3d(o), nn.ReLU(inplace=True))


class YNet(nn.Module):
    def __init__(self, w, classes=44):
        super().__init__()
        self.down = nn.ModuleList([Block(1, w, 2 * w), Block(2 * w, 2 * w, 4 * w), Block(4 * w, 4 * w, 8 * w), Block(8 * w, 8 * w, 16 * w)])
        self.up = nn.ModuleList([nn.ConvTranspose3d(c, c, 2, 2) for c in (16 * w, 8 * w, 4 * w)])
        self.dec = nn.ModuleList([Block(24 * w, 8 * w, 8 * w), Block(12 * w, 4 * w, 4 * w), Block(6 * w, 2 * w, 2 * w)])
        self.out = nn.Conv3d(2 * w, 1, 1)
        self.head = nn.Sequential(nn.Conv3d(16 * w, 32 * w, 3, padding=1), nn.BatchNorm3d(32 * w), nn.ReLU(inplace=True))
        self.fc = nn.Linear(32 * w, classes)

    def forward(self, x):
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else F.max_pool3d(x, 2))
            skips.append(x)
        y = x
        for up, block, skip in zip(self.up, self.dec, skips[-2::-1]):
            y = block(torch.cat((up(y), skip), 1))
        return self.out(y), self.fc(self.head(x).mean((2, 3, 4)))


def main():
    batch, steps, threads, precision = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    width, *patch = [int(a) for a in sys.argv[5:9]] or [32, 64, 64, 32]
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net = YNet(width).train()
    x, target = torch.rand(batch, 1, *patch), torch.rand(batch, 1, *patch)
    labels = torch.randint(0, 44, (batch,))
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            restored, logits = net(x)
        loss = F.mse_loss(torch.sigmoid(restored.float()), target) + 0.01 * F.cross_entropy(logits.float(), labels)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"version": torch.__version__, "seconds": seconds[1:], "peakBytes": peak, "loss": loss.item()}))


if __name__ == "__main__":
    main()
