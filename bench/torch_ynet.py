"""The published Y-Net 3D and its training step in PyTorch, with the published state-dict keys: what benchmarks compare with."""
import json
import struct

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class Unit(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, i, o):
        super().__init__()
        self.conv1 = nn.Conv3d(i, o, 3, padding=1)
        self.bn1 = nn.BatchNorm3d(o)

    def forward(self, x):
        return F.relu(self.bn1(self.conv1(x)), inplace=True)


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
        return self.final_conv(x)


class YNet(nn.Module):
    """Four levels; base width 32 and 44 classes as published."""

    def __init__(self, width=32, classes=44):
        super().__init__()
        w = width
        self.down_tr64, self.down_tr128 = Down(1, w, 2 * w), Down(2 * w, 2 * w, 4 * w)
        self.down_tr256, self.down_tr512 = Down(4 * w, 4 * w, 8 * w), Down(8 * w, 8 * w, 16 * w)
        self.up_tr256, self.up_tr128 = Up(16 * w, 8 * w, 8 * w), Up(8 * w, 4 * w, 4 * w)
        self.up_tr64, self.out_tr = Up(4 * w, 2 * w, 2 * w), Out(2 * w)
        self.clc_out = Head(16 * w, 32 * w, classes)

    def forward(self, x):
        skip64 = self.down_tr64(x)
        skip128 = self.down_tr128(F.max_pool3d(skip64, 2))
        skip256 = self.down_tr256(F.max_pool3d(skip128, 2))
        bottleneck = self.down_tr512(F.max_pool3d(skip256, 2))
        up = self.up_tr64(self.up_tr128(self.up_tr256(bottleneck, skip256), skip128), skip64)
        return self.out_tr(up), self.clc_out(bottleneck)


def read_case(path):
    """The tensors of a safetensors file that bench/step.ts --case wrote: `weights.` with a key, input, target, labels."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    kinds = {"F32": np.float32, "I32": np.int32, "I64": np.int64}
    return {
        key: torch.from_numpy(np.frombuffer(data[slice(*about["data_offsets"])], kinds[about["dtype"]]).reshape(about["shape"]).copy())
        for key, about in header.items()
        if key != "__metadata__"
    }


def cubes_first(x):
    """[N, X, Y, Z, 1], as the engine keeps cubes, to [N, 1, X, Y, Z]."""
    return x.reshape(x.shape[0], 1, *x.shape[1:4])


def net_of(case, width):
    """The network with the case's weights, in training mode."""
    weights = {key[len("weights."):]: value for key, value in case.items() if key.startswith("weights.")}
    net = YNet(width, classes=weights["clc_out.fc1.bias"].numel())
    net.load_state_dict(weights)
    return net.train()


def loss_of(restored, logits, target, labels):
    """The loss of pre-training."""
    return F.mse_loss(torch.sigmoid(restored.float()), target) + 0.01 * F.cross_entropy(logits.float(), labels)
