"""Writes files as PyTorch users do, and as its enemies might: torch_files.py FOLDER.

Beside each readable NAME.pt lies NAME.json: the tensors by key with type, shape and the bytes as hex.
"""
import collections
import json
import os
import pathlib
import pickle
import sys
import zipfile

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "nn"))
from golden import YNet  # noqa: E402

folder = pathlib.Path(sys.argv[1])
DTYPES = {"torch.float32": "F32", "torch.float64": "F64", "torch.float16": "F16", "torch.bfloat16": "BF16",
          "torch.int64": "I64", "torch.int32": "I32", "torch.int16": "I16", "torch.int8": "I8",
          "torch.uint8": "U8", "torch.bool": "BOOL"}


def tell(name, tensors):
    told = {}
    for key, tensor in tensors.items():
        plain = tensor.detach().contiguous()
        raw = plain.view(torch.int16) if plain.dtype == torch.bfloat16 else plain
        told[key] = {"dtype": DTYPES[str(tensor.dtype)], "shape": list(tensor.shape), "hex": raw.numpy().tobytes().hex()}
    (folder / f"{name}.json").write_text(json.dumps(told))


def save(name, value, tensors, **how):
    torch.save(value, folder / f"{name}.pt", **how)
    tell(name, tensors)


def checkpoint(net, prefix=""):
    optimizer = torch.optim.Adam(net.parameters())
    sum(p.square().sum() for p in net.parameters()).backward()
    optimizer.step()
    state = collections.OrderedDict((prefix + key, value) for key, value in net.state_dict().items())
    state._metadata = net.state_dict()._metadata
    return {"epoch": 12, "state_dict": state, "optimizer_state_dict": optimizer.state_dict(),
            "num_epoch_no_improvement": 3, "best_loss": np.float64(0.125), "best_acc": np.float32(0.5)}


def odd():
    base = torch.arange(24.0).reshape(2, 3, 4)
    return collections.OrderedDict(
        whole=base, slice=base[1], turned=base.permute(2, 0, 1), strided=base[:, ::2, 1:3],
        parameter=torch.nn.Parameter(torch.tensor([1.5, -0.0, float("inf")])), scalar=torch.tensor(77),
        empty=torch.zeros(0, 3), half=torch.tensor([1.0, -2.5, 6e-8]).half(), brain=torch.tensor([1.0, 3e38]).bfloat16(),
        double=torch.tensor([[0.1]], dtype=torch.float64), bytes=torch.tensor([255, 0], dtype=torch.uint8),
        flags=torch.tensor([True, False]), short=torch.tensor([-3], dtype=torch.int16), one=base[:1, :1, :1])


class Runs:
    """Runs a command when it is unpickled by Python."""

    def __reduce__(self):
        return os.system, (f"touch {folder}/ran",)


def edited(name, source, change):
    """A zip of torch.save with some members changed: change(name, bytes) -> bytes, or None to leave it out."""
    with zipfile.ZipFile(folder / source) as old, zipfile.ZipFile(folder / name, "w") as new:
        for member in old.infolist():
            content = change(member.filename.split("/", 1)[1], old.read(member))
            if content is not None:
                new.writestr(member.filename, content)


def main():
    torch.manual_seed(7)
    net = YNet(4, 5)
    state = checkpoint(net, "module.")
    save("zip", state, state["state_dict"])
    save("legacy", state, state["state_dict"], _use_new_zipfile_serialization=False)
    save("plain", net.state_dict(), net.state_dict())
    save("protocol4", net.state_dict(), net.state_dict(), pickle_protocol=4)
    save("odd", odd(), odd())
    save("odd-legacy", odd(), odd(), _use_new_zipfile_serialization=False)
    nested = {"encoder": {"a": torch.ones(2)}, "optimizer": {"m": torch.ones(3)}, "step": 4}
    save("nested", nested, {"encoder.a": torch.ones(2)})

    # What must not be read.
    evil = {"state_dict": net.state_dict(), "extra": Runs()}
    torch.save(evil, folder / "evil-zip.pt")
    torch.save(evil, folder / "evil-legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(evil, folder / "evil-protocol4.pt", pickle_protocol=4)
    torch.save(net, folder / "evil-module.pt")
    torch.save({"a": np.arange(3)}, folder / "evil-array.pt")
    (folder / "evil-bare.pt").write_bytes(pickle.dumps(evil["extra"]))
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), folder / "evil-script.pt")
    small = {"a": torch.arange(6.0).reshape(2, 3)}
    torch.save(small, folder / "small.pt")
    torch.save(small, folder / "small-legacy.pt", _use_new_zipfile_serialization=False)

    def pickled(old, new):
        def change(name, content):
            if name != "data.pkl":
                return content
            assert content.count(old) == 1, (old, content)
            return content.replace(old, new)
        return change

    # X 'cpu' q K 6: the storage's elements. K 0 K 2 K 3 tuple2: offset and shape. K 3 K 1: strides.
    edited("lie-storage.pt", "small.pt", pickled(b"K\x06t", b"J\xff\xff\xff\x7ft"))
    edited("lie-shape.pt", "small.pt", pickled(b"K\x00K\x02K\x03\x86", b"K\x00J\x00\x00\x00\x40K\x03\x86"))
    repeated = pickled(b"K\x03K\x01\x86", b"K\x00K\x00\x86")
    larger = pickled(b"K\x02K\x03\x86", b"M\xff\xffM\xff\xff\x86")
    edited("lie-bomb.pt", "small.pt", lambda name, content: larger(name, repeated(name, content)))
    edited("lie-negative.pt", "small.pt", pickled(b"K\x03K\x01\x86", b"J\xfd\xff\xff\xffK\x01\x86"))
    edited("lie-offset.pt", "small.pt", pickled(b"K\x00K\x02K\x03\x86", b"K\x01K\x02K\x03\x86"))
    edited("lie-type.pt", "small.pt", pickled(b"FloatStorage", b"DoubleStorage"))
    edited("lie-missing.pt", "small.pt", lambda name, content: None if name == "data/0" else content)
    edited("lie-short.pt", "small.pt", lambda name, content: content[:-4] if name == "data/0" else content)
    edited("lie-text.pt", "small.pt", lambda name, content: content[:30] if name == "data.pkl" else content)
    edited("lie-endless.pt", "small.pt", lambda n, c: b"\x80\x02" + b"}" * 1_200_000 + b"." if n == "data.pkl" else c)
    with zipfile.ZipFile(folder / "lie-compressed.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", zipfile.ZipFile(folder / "small.pt").read("small/data.pkl"))
        archive.writestr("a/data/0", bytes(200_000_000))
    with zipfile.ZipFile(folder / "lie-no-torch.pt", "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    with zipfile.ZipFile(folder / "lie-twice.pt", "w") as archive:
        for name in ("small/data.pkl", "small/data/0", "small/data/0"):
            archive.writestr(name, zipfile.ZipFile(folder / "small.pt").read(name))


main()
