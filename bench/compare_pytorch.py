"""The same training step by this engine and by PyTorch, on one card, in one run.

    python3 bench/compare_pytorch.py [--device cuda] [--batch 64] [--steps 8] [--out figures.json]
    python3 bench/compare_pytorch.py --device cpu --batch 2 --base-width 8 --patch 16x16x16     a smoke test anywhere

The engine makes weights and a batch, both begin with them, and the losses of every step are printed beside each other.
PyTorch runs float32 and tf32, bfloat16 autocast, that with channels_last_3d, and that compiled, with its fused Adam; its
steps are timed by CUDA events, medians after warm-up. --layers adds cuDNN's time for every convolution of the network.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import torch

from torch_ynet import cubes_first, loss_of, net_of, read_case

HERE = os.path.dirname(os.path.abspath(__file__))
MODES = {
    "fp32": dict(),
    "tf32": dict(tf32=True),
    "bf16": dict(bf16=True, tf32=True),
    "bf16 channels_last_3d": dict(bf16=True, tf32=True, channels_last=True),
    "bf16 channels_last_3d compiled": dict(bf16=True, tf32=True, channels_last=True, compiled=True),
}
WARM_UP = 3


class Clock:
    """Milliseconds of pieces of work: CUDA events on a card, else the wall clock."""

    def __init__(self, cuda):
        self.cuda = cuda

    def time(self, work):
        if not self.cuda:
            start = time.perf_counter()
            work()
            return 1e3 * (time.perf_counter() - start)
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        work()
        after.record()
        after.synchronize()
        return before.elapsed_time(after)


def ours(a, case):
    node = os.environ.get("SEMGEN_NODE") or shutil.which("node")
    program = os.path.join(HERE, "..", "dist", "bench", "step.js")
    words = [node, program, "--json", "--no-torch", "--case", case, "--device", a.device, "--precision", a.precision]
    words += ["--batch", str(a.batch), "--steps", str(a.steps + WARM_UP - 1), "--base-width", str(a.base_width), "--patch", a.patch]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit("The engine's step failed; see its message above.")
    return json.loads(done.stdout)["ours"]


def theirs(a, case, bf16=False, tf32=False, channels_last=False, compiled=False):
    cuda = a.device == "cuda"
    if cuda:
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    net = net_of(case, a.base_width).to(a.device)
    x, target = (cubes_first(case[name]).to(a.device) for name in ("input", "target"))
    labels = case["labels"].long().to(a.device)
    if channels_last:
        net, x = net.to(memory_format=torch.channels_last_3d), x.to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, **(dict(fused=True) if cuda else {}))
    forward = torch.compile(net, mode="max-autotune-no-cudagraphs") if compiled else net
    losses = []

    def step():
        with torch.autocast(a.device, dtype=torch.bfloat16, enabled=bf16):
            restored, logits = forward(x)
        loss = loss_of(restored, logits, target, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())

    clock = Clock(cuda)
    times = [clock.time(step) for _ in range(WARM_UP + a.steps)][WARM_UP:]
    return dict(
        milliseconds=statistics.median(times),
        peakBytes=torch.cuda.max_memory_allocated() if cuda else None,
        losses=[float(loss) for loss in losses],
    )


def layers(a):
    """Forward, data gradient and weight gradient of every convolution, in milliseconds, bfloat16, channels innermost."""
    w, cuda = a.base_width, a.device == "cuda"
    clock, rows = Clock(cuda), []
    units = [("down_tr64.ops.0", 1, w, 0), ("down_tr64.ops.1", w, 2 * w, 0), ("down_tr128.ops.0", 2 * w, 2 * w, 1)]
    units += [("down_tr128.ops.1", 2 * w, 4 * w, 1), ("down_tr256.ops.0", 4 * w, 4 * w, 2), ("down_tr256.ops.1", 4 * w, 8 * w, 2)]
    units += [("down_tr512.ops.0", 8 * w, 8 * w, 3), ("down_tr512.ops.1", 8 * w, 16 * w, 3), ("clc_out", 16 * w, 32 * w, 3)]
    units += [("up_tr256.ops.0", 24 * w, 8 * w, 2), ("up_tr256.ops.1", 8 * w, 8 * w, 2), ("up_tr128.ops.0", 12 * w, 4 * w, 1)]
    units += [("up_tr128.ops.1", 4 * w, 4 * w, 1), ("up_tr64.ops.0", 6 * w, 2 * w, 0), ("up_tr64.ops.1", 2 * w, 2 * w, 0)]
    ups = [("up_tr256.up_conv", 16 * w, 16 * w, 3), ("up_tr128.up_conv", 8 * w, 8 * w, 2), ("up_tr64.up_conv", 4 * w, 4 * w, 1)]
    for name, i, o, level in units + ups:
        up = (name, i, o, level) in ups
        extents = [int(extent) >> level for extent in a.patch.split("x")]
        fill = dict(device=a.device, dtype=torch.bfloat16 if cuda else torch.float32)
        x = torch.randn(a.batch, i, *extents, **fill).to(memory_format=torch.channels_last_3d)
        weight = torch.randn(*((i, o, 2, 2, 2) if up else (o, i, 3, 3, 3)), **fill).to(memory_format=torch.channels_last_3d)
        geometry = ([2] * 3, [0] * 3, [1] * 3, True, [0] * 3, 1) if up else ([1] * 3, [1] * 3, [1] * 3, False, [0] * 3, 1)
        dy = torch.randn_like(torch.ops.aten.convolution(x, weight, None, *geometry))

        def backward(*wanted):
            return lambda: torch.ops.aten.convolution_backward(dy, x, weight, None, *geometry, [*wanted, False])

        work = [lambda: torch.ops.aten.convolution(x, weight, None, *geometry), backward(True, False), backward(False, True)]
        times = [statistics.median([clock.time(each) for _ in range(WARM_UP + a.steps)][WARM_UP:]) for each in work]
        flops = 2 * a.batch * i * o * (8 if up else 27) * extents[0] * extents[1] * extents[2]
        rows.append(dict(layer=name, milliseconds=times, teraflops=[flops / ms / 1e9 for ms in times]))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16"], help="the engine's")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--base-width", type=int, default=32)
    parser.add_argument("--patch", default="64x64x32")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--modes", default=",".join(MODES), help="PyTorch's, of: " + ", ".join(MODES))
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--out", help="write the figures to this JSON file")
    a = parser.parse_args()
    cuda = a.device == "cuda"
    if cuda and not torch.cuda.is_available():
        sys.exit("PyTorch finds no card here: --device cpu runs a smoke test.")
    figures = dict(
        torch=torch.__version__,
        cudnn=torch.backends.cudnn.version() if cuda else None,
        card=torch.cuda.get_device_name() if cuda else None,
        **{key: getattr(a, key) for key in ("batch", "patch", "steps")},
        width=a.base_width,
    )
    print(", ".join(f"{key} {value}" for key, value in figures.items() if value is not None))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "case.safetensors")
        figures["ours"] = engine = ours(a, path)
        case = read_case(path)
    mine = 1e3 * engine["median"]

    def line(name, milliseconds, peak, losses):
        memory = f"{peak / 2**30:6.2f} GiB" if peak else " " * 10
        print(f"{name:32} {milliseconds:10.3f} ms {milliseconds / mine:6.2f} {memory}  {' '.join(f'{loss:.5f}' for loss in losses[:4])}", flush=True)

    print(f"{'':32} {'a step':>13} {'ratio':>6} {'peak':>10}  losses of the first steps")
    line(f"semgen-native {a.device} {a.precision}", mine, engine["arenaBytes"] + engine["persistentBytes"], engine["losses"])
    figures["pytorch"] = {}
    for name in [mode.strip() for mode in a.modes.split(",")]:
        if name not in MODES:
            sys.exit(f"There is no mode {name}: {', '.join(MODES)}.")
        try:
            result = theirs(a, case, **MODES[name])
            line(f"PyTorch {name}", result["milliseconds"], result["peakBytes"], result["losses"])
        except Exception as error:  # a mode that this PyTorch does not have is told, and the others go on
            result = dict(error=str(error).strip().split("\n")[0])
            print(f"PyTorch {name}: failed: {result['error']}", flush=True)
        figures["pytorch"][name] = result
    if a.layers:
        figures["layers"] = layers(a)
        for row in figures["layers"]:
            print(f"{row['layer']:18}" + "".join(f" {ms:9.3f} ms {tf:7.1f} TF/s" for ms, tf in zip(row["milliseconds"], row["teraflops"])))
    if a.out:
        with open(a.out, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
