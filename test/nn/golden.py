"""Makes golden.json: loss, gradients and a few Adam steps of a small Y-Net 3D, by PyTorch in float64.

    /usr/bin/python3 test/nn/golden.py > test/nn/golden.json

The network is written from the published shape (base width 4 in place of 32). Every number that goes in is
made by `values`, which golden.test.ts repeats.
"""
import json

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

WIDTH, CLASSES, BATCH, PATCH, STEPS, RATE = 4, 5, 2, (16, 16, 8), 4, 1e-2


def values(stream, shape, low, high):
    index = np.arange(int(np.prod(shape)), dtype=np.uint64)
    hashed = (index * np.uint64(2654435761) + np.uint64(stream * 40503 + 12345)) % np.uint64(2**32)
    hashed = ((hashed ^ (hashed >> np.uint64(15))) * np.uint64(2246822519)) % np.uint64(2**32)
    return torch.from_numpy((low + (high - low) * hashed.astype(np.float64) / 2**32).reshape(shape))


class Unit(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv1 = nn.Conv3d(i, o, 3, padding=1)
        self.bn1 = nn.BatchNorm3d(o)

    def forward(self, x):
        return F.relu(self.bn1(self.conv1(x)))


class Down(nn.Module):
    def __init__(self, i, m, o):
        super().__init__()
        self.ops = nn.Sequential(Unit(i, m), Unit(m, o))

    def forward(self, x):
        return self.ops(x)


class Up(nn.Module):
    def __init__(self, i, skip, o):
        super().__init__()
        self.up_conv = nn.ConvTranspose3d(i, i, 2, 2)
        self.ops = nn.Sequential(Unit(i + skip, o), Unit(o, o))

    def forward(self, x, skip):
        return self.ops(torch.cat((self.up_conv(x), skip), 1))


class Head(Unit):
    def __init__(self, i, o, classes):
        super().__init__(i, o)
        self.fc1 = nn.Linear(o, classes)

    def forward(self, x):
        return self.fc1(super().forward(x).mean((2, 3, 4)))


class Out(nn.Module):
    def __init__(self, i):
        super().__init__()
        self.final_conv = nn.Conv3d(i, 1, 1)

    def forward(self, x):
        return torch.sigmoid(self.final_conv(x))


class YNet(nn.Module):
    def __init__(self, w, classes):
        super().__init__()
        self.down_tr64 = Down(1, w, 2 * w)
        self.down_tr128 = Down(2 * w, 2 * w, 4 * w)
        self.down_tr256 = Down(4 * w, 4 * w, 8 * w)
        self.down_tr512 = Down(8 * w, 8 * w, 16 * w)
        self.up_tr256 = Up(16 * w, 8 * w, 8 * w)
        self.up_tr128 = Up(8 * w, 4 * w, 4 * w)
        self.up_tr64 = Up(4 * w, 2 * w, 2 * w)
        self.out_tr = Out(2 * w)
        self.clc_out = Head(16 * w, 32 * w, classes)

    def forward(self, x):
        a = self.down_tr64(x)
        b = self.down_tr128(F.max_pool3d(a, 2))
        c = self.down_tr256(F.max_pool3d(b, 2))
        d = self.down_tr512(F.max_pool3d(c, 2))
        y = self.up_tr64(self.up_tr128(self.up_tr256(d, c), b), a)
        return self.out_tr(y), self.clc_out(d)


def main():
    torch.set_default_dtype(torch.float64)
    net = YNet(WIDTH, CLASSES).train()
    for stream, (key, tensor) in enumerate(net.state_dict().items()):
        if key.endswith(("bn1.weight", "running_var")):
            tensor.copy_(values(stream, tensor.shape, 0.5, 1.5))
        elif not key.endswith("num_batches_tracked"):
            tensor.copy_(values(stream, tensor.shape, -0.2, 0.2))
    x = values(1000, (BATCH, 1, *PATCH), 0, 1)
    target = values(1001, (BATCH, 1, *PATCH), 0, 1)
    labels = torch.tensor([3, 1])
    evaluated = [values.detach() for values in net.eval()(x)]
    net.train()
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    losses, gradients, running = [], {}, {}
    for step in range(STEPS):
        optimizer.zero_grad()
        restored, logits = net(x)
        restoration, classification = F.mse_loss(restored, target), F.cross_entropy(logits, labels)
        (restoration + 0.01 * classification).backward()
        losses.append([restoration.item(), classification.item()])
        if step == 0:
            for key, parameter in net.named_parameters():
                flat = parameter.grad.flatten()
                gradients[key] = {"norm": flat.norm().item(), "first": flat[:4].tolist(), "last": flat[-1].item()}
            running = {k: v.flatten()[:4].tolist() for k, v in net.state_dict().items() if "running" in k}
        optimizer.step()
    json.dump(
        {
            "torch": torch.__version__,
            "keys": list(net.state_dict().keys()),
            "losses": losses,
            "gradients": gradients,
            "running": running,
            "evaluation": {"restored": evaluated[0].flatten()[::257].tolist(), "logits": evaluated[1].tolist()},
        },
        fp=__import__("sys").stdout,
        indent=1,
    )


if __name__ == "__main__":
    main()
