"""One step of the classifier in PyTorch, float64: the loss and every gradient, and the running statistics after it.

Reads {"tensors": {key: [shape, values]}, "input": [shape, values], "target": [...], "exclusive": bool} from stdin. The input is
[N, X, Y, Z, C]. Writes {"loss": ..., "logits": ..., "gradients": {key: values}, "running": {key: values}}.
"""

import json
import sys

import torch
import torch.nn.functional as F

asked = json.load(sys.stdin)


def tensor(entry):
    shape, values = entry
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


state = {key: tensor(entry) for key, entry in asked["tensors"].items()}
parameters = {
    key: value.requires_grad_() for key, value in state.items() if "running" not in key and "tracked" not in key
}


def unit(x, prefix):
    x = F.conv3d(x, state[f"{prefix}.conv1.weight"], state[f"{prefix}.conv1.bias"], padding=1)
    bn = f"{prefix}.bn1"
    mean, variance = state[f"{bn}.running_mean"], state[f"{bn}.running_var"]
    x = F.batch_norm(x, mean, variance, state[f"{bn}.weight"], state[f"{bn}.bias"], training=True, momentum=0.1)
    return F.relu(x)


x = tensor(asked["input"]).permute(0, 4, 1, 2, 3)
levels = sorted({int(key.split(".")[0][len("down_tr") :]) for key in state if key.startswith("down_tr")})
for number, level in enumerate(levels):
    x = unit(unit(x, f"down_tr{level}.ops.0"), f"down_tr{level}.ops.1")
    if number + 1 < len(levels):
        x = F.max_pool3d(x, 2)
logits = F.linear(x.mean((2, 3, 4)), state["fc.weight"], state["fc.bias"])
if asked["exclusive"]:
    loss = F.cross_entropy(logits, torch.tensor(asked["target"][1]))
else:
    loss = F.binary_cross_entropy_with_logits(logits, tensor(asked["target"]))
loss.backward()
json.dump(
    {
        "loss": loss.item(),
        "logits": logits.flatten().tolist(),
        "gradients": {key: value.grad.flatten().tolist() for key, value in parameters.items()},
        "running": {key: value.flatten().tolist() for key, value in state.items() if "running" in key},
    },
    sys.stdout,
)
