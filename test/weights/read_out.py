"""Reads what was written, with PyTorch, ONNX's own library and ONNX Runtime where it is here: read_out.py FOLDER.

FOLDER/jobs.json lists networks: {name, kind, width, classes, norm, extents, batch, input}. For each it prints what
PyTorch's network makes of NAME.pt, and what NAME.onnx computes: by PyTorch's operators, node by node, and by the runtime.
"""
import json
import pathlib
import sys

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "nn"))
from golden import YNet  # noqa: E402

folder = pathlib.Path(sys.argv[1])


def by_torch(path, job, x):
    try:
        loaded = torch.load(path, weights_only=True)
    except TypeError:
        loaded = torch.load(path)
    state = loaded["state_dict"]
    told = {"usage": loaded["usage"], "state": {k: [str(v.dtype)[6:], list(v.shape), v.numpy().tobytes().hex()] for k, v in state.items()}}
    if job["kind"] == "y-net":
        net = YNet(job["width"], job["classes"])
        told["keys"] = str(net.load_state_dict(state, strict=True))
        net.train(job["norm"] == "batch")
        told["restored"], told["logits"] = [y.double().numpy().ravel().tolist() for y in net.double()(x.double())]
    return told


def by_nodes(model, x):
    """The graph by PyTorch's operators in float64, from ONNX's definitions of each."""
    at = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()).double() for t in model.graph.initializer}
    at[model.graph.input[0].name] = x.double()
    for node in model.graph.node:
        a = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        v = [at[name] for name in node.input]
        if node.op_type == "Conv":
            y = F.conv3d(*v, padding=a.get("pads", [0])[0])
        elif node.op_type == "ConvTranspose":
            y = F.conv_transpose3d(*v, stride=a["strides"])
        elif node.op_type == "BatchNormalization":
            y = F.batch_norm(v[0], v[3], v[4], v[1], v[2], False, 0, a["epsilon"])
        elif node.op_type == "MaxPool":
            y = F.max_pool3d(v[0], a["kernel_shape"], a["strides"])
        elif node.op_type == "ReduceMean":
            y = v[0].mean(a["axes"], keepdim=bool(a["keepdims"]))
        elif node.op_type == "Gemm":
            y = v[0] @ v[1].T + v[2]
        elif node.op_type == "GlobalAveragePool":
            y = v[0].mean((2, 3, 4), keepdim=True)
        elif node.op_type == "Concat":
            y = torch.cat(v, a["axis"])
        else:
            simple = {"Relu": F.relu, "Sigmoid": torch.sigmoid, "Sqrt": torch.sqrt, "Flatten": lambda t: t.flatten(1),
                      "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div}
            y = simple[node.op_type](*v)
        at[node.output[0]] = y
    return {output.name: at[output.name].numpy().ravel().tolist() for output in model.graph.output}


told = {"runtime": onnxruntime and onnxruntime.__version__, "jobs": {}}
for job in json.loads((folder / "jobs.json").read_text()):
    x = torch.from_numpy(np.fromfile(folder / f"{job['name']}.input", "<f4")).reshape(job["shape"])
    path = str(folder / f"{job['name']}.onnx")
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    result = {"opset": model.opset_import[0].version, "metadata": {p.key: p.value for p in model.metadata_props},
              "rank": [len(o.type.tensor_type.shape.dim) for o in inferred.graph.output]}
    with torch.no_grad():
        result["torch"] = by_torch(folder / f"{job['name']}.pt", job, x)
        result["nodes"] = by_nodes(model, x)
    if onnxruntime:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        result["session"] = {n: y.ravel().tolist() for n, y in zip(names, session.run(names, {"image": x.numpy()}))}
    told["jobs"][job["name"]] = result
print(json.dumps(told))
