"""PyTorch's training step of the Y-Net 3D on the CPU, for bench/step.ts to compare with.

    /usr/bin/python3 bench/torch_step.py CASE STEPS THREADS fp32|bf16 WIDTH

CASE holds the weights and the batch that the engine began with. Prints one JSON line: version, seconds of each step after
one warm-up, the loss of every step, peak memory in bytes.
"""
import json
import sys
import time

import torch

from torch_ynet import cubes_first, loss_of, net_of, read_case


def main():
    path, steps, threads, precision, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
    torch.set_num_threads(threads)
    case = read_case(path)
    net = net_of(case, width)
    x, target, labels = cubes_first(case["input"]), cubes_first(case["target"]), case["labels"].long()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    seconds, losses = [], []
    for _ in range(steps + 1):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            restored, logits = net(x)
        loss = loss_of(restored, logits, target, labels)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        losses.append(loss.item())
    with open("/proc/self/status") as status:  # the resource module would count the parent's at the fork
        peak = 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    print(json.dumps({"version": torch.__version__, "seconds": seconds[1:], "losses": losses, "peakBytes": peak}))


if __name__ == "__main__":
    main()
