"""PyTorch's training step of the Y-Net 3D on the CPU, for bench/torch-peer.ts to compare with.

    /usr/bin/python3 bench/torch_step.py CASE THREADS fp32|bf16 WIDTH

CASE holds the weights and the batch that the engine began with. Answers in lines of JSON: first the version, null where
there is no PyTorch; for each line read a step, its seconds and its loss; at the end of the input the peak memory in bytes.
"""
import json
import sys
import time

try:
    import torch
except ImportError:
    torch = None


def say(**what):
    print(json.dumps(what), flush=True)


def main():
    if torch is None:
        say(version=None)
        return
    from torch_ynet import cubes_first, loss_of, net_of, read_case

    path, threads, precision, width = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    torch.set_num_threads(threads)
    case = read_case(path)
    net = net_of(case, width)
    x, target, labels = cubes_first(case["input"]), cubes_first(case["target"]), case["labels"].long()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    say(version=torch.__version__)
    for _ in sys.stdin:
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            restored, logits = net(x)
        loss = loss_of(restored, logits, target, labels)
        loss.backward()
        optimizer.step()
        say(seconds=time.perf_counter() - start, loss=loss.item())
    with open("/proc/self/status") as status:  # the resource module would count the parent's at the fork
        peak = 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    say(peakBytes=peak)


if __name__ == "__main__":
    main()
