"""Writes weights as Keras 2 lays them out, and what such a network says: keras_files.py FOLDER.

The layout (groups, attributes, names) is that of model.save; Keras itself is not needed. The network is the
up-sampling U-Net 3D of the published .h5, computed by PyTorch in float64 from the same numbers.
"""
import json
import sys

import h5py
import numpy as np
import torch
import torch.nn.functional as F

folder, W, EPSILON = sys.argv[1], 2, 1e-3
rng = np.random.default_rng(5)
# (inputs, outputs) of the units depth_0 ... depth_13, as published with base width 32.
ENCODER = [(1, W), (W, 2 * W), (2 * W, 2 * W), (2 * W, 4 * W), (4 * W, 4 * W), (4 * W, 8 * W), (8 * W, 8 * W), (8 * W, 16 * W)]
DECODER = [(24 * W, 8 * W), (8 * W, 8 * W), (12 * W, 4 * W), (4 * W, 4 * W), (6 * W, 2 * W), (2 * W, 2 * W)]


def layers(names, doubling=False):
    """[(name, {weight: array})] in the model's order."""
    made = [("input_1", {})]
    for index, (i, o) in enumerate(ENCODER + DECODER):
        if index >= 8 and index % 2 == 0 and doubling:
            made.append((f"conv3d_transpose_{index}", {"kernel": rng.normal(0, 0.2, (2, 2, 2, made_channels(index), made_channels(index))),
                                                       "bias": rng.normal(0, 0.1, made_channels(index))}))
        made.append((names(index)[0], {"kernel": rng.normal(0, (2 / (27 * i)) ** 0.5, (3, 3, 3, i, o)), "bias": rng.normal(0, 0.1, o)}))
        made.append((names(index)[1], {"gamma": rng.uniform(0.5, 1.5, o), "beta": rng.normal(0, 0.2, o),
                                       "moving_mean": rng.normal(0, 0.2, o), "moving_variance": rng.uniform(0.2, 1.5, o)}))
    made.append(("final", {"kernel": rng.normal(0, 0.3, (1, 1, 1, 2 * W, 1)), "bias": rng.normal(0, 0.1, 1)}))
    return [(name, {k: v.astype("f4") for k, v in weights.items()}) for name, weights in made]


def made_channels(index):
    return ENCODER[7][1] if index == 8 else DECODER[index - 9][1]


def write(name, made, whole=True, **options):
    with h5py.File(f"{folder}/{name}.h5", "w") as file:
        home = file.create_group("model_weights") if whole else file
        if whole:
            normalised = [{"class_name": "BatchNormalization", "config": {"name": n, "epsilon": EPSILON}} for n, w in made if "gamma" in w]
            file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": {"layers": normalised}})
            file.create_group("optimizer_weights")["step"] = np.int64(3)
        home.attrs["layer_names"] = np.array([n.encode() for n, _ in made])
        for layer, weights in made:
            group = home.create_group(layer)
            group.attrs["weight_names"] = np.array([f"{layer}/{w}:0".encode() for w in weights], dtype="S" if weights else "f8")
            for weight, array in weights.items():
                group.create_dataset(f"{layer}/{weight}:0", data=array, **options)


def forward(made, x):
    weights = [{k: torch.from_numpy(v).double() for k, v in w.items()} for _, w in made if w]
    conv = lambda w, x, pad: F.conv3d(x, w["kernel"].permute(4, 3, 0, 1, 2), w["bias"], padding=pad)
    at = iter(weights)

    def unit(x):
        x, n = conv(next(at), x, 1), next(at)
        return F.relu(F.batch_norm(x, n["moving_mean"], n["moving_variance"], n["gamma"], n["beta"], False, 0, EPSILON))

    skips = []
    for level in range(4):
        x = unit(unit(F.max_pool3d(x, 2) if level else x))
        skips.append(x)
    for skip in skips[2::-1]:
        if len(made) > 30:
            up = next(at)
            x = F.conv_transpose3d(x, up["kernel"].permute(4, 3, 0, 1, 2), up["bias"], 2)
        else:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = unit(unit(torch.cat((x, skip), 1)))
    return torch.sigmoid(conv(next(at), x, 0))


published = lambda index: (f"depth_{index}_conv", f"depth_{index}_bn")
numbered = lambda index: (f"conv3d_{index + 1}", f"batch_normalization_{index + 1}")
x = rng.uniform(0, 1, (2, 1, 16, 16, 8))
told = {"input": x.ravel().tolist()}
made = layers(published)
write("published", made)
write("compressed", made, compression="gzip", shuffle=True)
told["published"] = told["compressed"] = forward(made, torch.from_numpy(x)).numpy().ravel().tolist()
made = layers(numbered)
write("numbered", made, whole=False)
told["numbered"] = forward(made, torch.from_numpy(x)).numpy().ravel().tolist()
made = layers(published, doubling=True)
write("doubling", made)
told["doubling"] = forward(made, torch.from_numpy(x)).numpy().ravel().tolist()
json.dump(told, open(f"{folder}/told.json", "w"))

# What must not be read.
write("wrong-pairs", [layer for layer in made if layer[0] not in ("depth_7_conv", "depth_7_bn")])
write("wrong-type", [(n, {k: v.astype("f8") for k, v in w.items()}) for n, w in made])
with h5py.File(f"{folder}/wrong-keras.h5", "w") as file:
    file["data"] = np.zeros(3)
write("outside", layers(published))
with h5py.File(f"{folder}/outside.h5", "a") as file:
    # Values in a file of the system, which a careless library would fetch.
    group = file["model_weights/final"]
    del group["final/bias:0"]
    group.create_dataset("final/bias:0", shape=(1,), dtype="f4", external=[("/etc/hostname", 0, 4)])
write("linked", layers(published))
with h5py.File(f"{folder}/linked.h5", "a") as file:
    group = file["model_weights/final"]
    del group["final/bias:0"]
    group["final/bias:0"] = h5py.ExternalLink(f"{folder}/published.h5", "/model_weights/final/final/bias:0")
write("huge", layers(published))
with h5py.File(f"{folder}/huge.h5", "a") as file:
    group = file["model_weights/final"]
    del group["final/bias:0"]
    group.create_dataset("final/bias:0", shape=(1 << 40,), dtype="f4", chunks=(1 << 20,))
bomb = layers(published)
bomb[-1][1]["kernel"] = np.zeros((1, 1, 1, 40_000_000, 1), "f4")
write("bomb", bomb, compression="gzip")
