"""The published checkpoints' layout, at full size, through semgen-native and back: bits and forward passes.

    npm run build:ts && /usr/bin/python3 bench/published_weights.py [--device cpu|cuda] [--cubes 2] [--folder DIR]

Makes a Y-Net 3D of base width 32 and 44 classes with the contents of semantic_genesis_chest_ct.pt (legacy layout, Adam's state,
NumPy scalars) and of Genesis_Chest_CT.pt's kind (zip, "module." before keys); converts both to .pt, .safetensors and .onnx;
compares bits after torch.load, and forward passes with PyTorch and, where it is installed, ONNX Runtime.
"""
import argparse
import collections
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import torch
from torch_ynet import YNet

root = pathlib.Path(__file__).parent.parent
EXTENTS = (64, 64, 32)


def semgen(*args):
    begin = time.perf_counter()
    subprocess.run(["node", root / "bin/semgen-native.js", "weights", *map(str, args)], check=True, capture_output=True)
    return time.perf_counter() - begin


def made(folder):
    """The two files, and the network in them."""
    torch.manual_seed(1)
    net = YNet()
    for unit in net.modules():
        if isinstance(unit, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(unit.weight, 0.5, 1.5)
            torch.nn.init.normal_(unit.bias, 0, 0.1)
            torch.nn.init.normal_(unit.running_mean, 0, 0.1)
            torch.nn.init.uniform_(unit.running_var, 0.05, 0.2)
    optimizer = torch.optim.Adam(net.parameters())
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 1e-9)
    optimizer.step()

    def checkpoint(prefix):
        state = collections.OrderedDict((prefix + key, value) for key, value in net.state_dict().items())
        return {"epoch": 1, "state_dict": state, "optimizer_state_dict": optimizer.state_dict(),
                "num_epoch_no_improvement": 0, "best_loss": np.float64(0.1), "best_acc": np.float64(0.2)}

    torch.save(checkpoint(""), folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(checkpoint("module."), folder / "zip.pt")
    return net


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cubes", type=int, default=2)
    parser.add_argument("--folder", type=pathlib.Path)
    a = parser.parse_args()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as temporary:
        compare(a, a.folder or pathlib.Path(temporary))


def compare(a, folder):
    net = made(folder)
    for source in ("legacy", "zip"):
        seconds = semgen("convert", folder / f"{source}.pt", "--out", folder / f"{source}-back.pt", "--force")
        back = torch.load(folder / f"{source}-back.pt")["state_dict"]
        equal = list(back) == list(net.state_dict()) and all(torch.equal(v, back[k]) for k, v in net.state_dict().items())
        print(f"{source}.pt, {(folder / f'{source}.pt').stat().st_size / 2**20:.0f} MiB: {len(back)} tensors converted to .pt in "
              f"{seconds:.1f} s; in torch.load {'bit-equal' if equal else 'DIFFERENT'}")
    cubes = torch.rand(a.cubes, 1, *EXTENTS)
    (folder / "input").write_bytes(cubes.numpy().tobytes())
    # In this order: a pass with batch statistics moves PyTorch's running ones.
    for norm in ("running", "batch"):
        weights = folder / f"{norm}.safetensors"
        semgen("convert", folder / "legacy.pt", "--out", weights, "--norm", norm, "--force")
        semgen("convert", folder / "legacy.pt", "--out", folder / f"{norm}.onnx", "--norm", norm, "--force")
        extents = "x".join(map(str, EXTENTS))
        command = ["node", root / "dist/bench/forward.js", weights, folder / "input", folder / "output", extents, a.device]
        subprocess.run(command, check=True)
        values = np.fromfile(folder / "output", "<f4")
        ours = [values[: cubes.numel()], values[cubes.numel():]]
        with torch.no_grad():
            restored, logits = net.train(norm == "batch")(cubes)
        tell(norm, f"PyTorch {torch.__version__}", ours, [torch.sigmoid(restored).numpy(), logits.numpy()])
        try:
            import onnxruntime
        except ImportError:
            print("ONNX Runtime is not here")
            continue
        session = onnxruntime.InferenceSession(str(folder / f"{norm}.onnx"), providers=["CPUExecutionProvider"])
        tell(norm, f"ONNX Runtime {onnxruntime.__version__}", ours, session.run(["restored", "logits"], {"image": cubes.numpy()}))


def tell(norm, whom, ours, theirs):
    worst = [np.abs(one - other.ravel()).max() for one, other in zip(ours, theirs)]
    spread = [float(other.std()) for other in theirs]
    print(f"{norm} statistics, against {whom}: restored within {worst[0]:.1e} (of spread {spread[0]:.2f}), "
          f"logits within {worst[1]:.1e} (of spread {spread[1]:.2f})")


main()
