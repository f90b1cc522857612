"""The inputs and outputs of a graph against those that the manifest states."""

from collections.abc import Iterator, Sequence

import onnx
from onnx import ModelProto, ValueInfoProto, helper

from suites.errors import Finding
from suites.manifest import Manifest, Tensor

Shape = Sequence[int | str]


def is_batch(size: int | str) -> bool:
    """Whether a manifest's dimension is free: a name, or -1."""
    return isinstance(size, str) or size == -1


def show(shape: Shape) -> str:
    """[batch, 3, 64, 128]"""
    return "[" + ", ".join(str(size) for size in shape) + "]"


def tensor_findings(model: ModelProto, manifest: Manifest, graph: str, where: str) -> list[Finding]:
    """Every difference in names, types and shapes: expected is the manifest, found is the graph."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in constants}
    outputs = {value.name: value for value in model.graph.output}
    stated_in = [tensor for tensor in manifest.inputs if tensor.graph == graph]
    stated_out = [tensor for tensor in manifest.outputs if tensor.graph == graph]
    findings = [
        Finding(
            f"{where}.inputs.{name}",
            "the graph asks for it, the manifest does not state it",
            _state_it(inputs[name]),
        )
        for name in inputs.keys() - {tensor.name for tensor in stated_in}
    ]
    for kind, stated, real in (("inputs", stated_in, inputs), ("outputs", stated_out, outputs)):
        for tensor in stated:
            place = f"{where}.{kind}.{tensor.name}"
            if tensor.name not in real:
                found = ", ".join(sorted(real)) or "none"
                problem = f"expected {kind[:-1]} {tensor.name!r}, found {found}"
                findings.append(Finding(place, problem, "give the name that the graph uses"))
            else:
                findings += _differences(tensor, real[tensor.name], place, strict=kind == "inputs")
    return sorted(findings, key=lambda finding: finding.where)


def _state_it(value: ValueInfoProto) -> str:
    shape = show([_size(d) for d in value.type.tensor_type.shape.dim])
    stated = f"dtype {_dtype(value)}, shape {shape}"
    return f"add it to the manifest's inputs with its role ({stated}), or remove it from the graph"


def _dtype(value: ValueInfoProto) -> str:
    if value.type.WhichOneof("value") != "tensor_type":
        return f"not a tensor ({value.type.WhichOneof('value')})"
    try:
        return str(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name)
    except KeyError:
        return "undefined"


def _size(dimension: onnx.TensorShapeProto.Dimension) -> int | str:
    return dimension.dim_value if dimension.HasField("dim_value") else dimension.dim_param or "?"


def _differences(
    tensor: Tensor, value: ValueInfoProto, where: str, strict: bool
) -> Iterator[Finding]:
    found_dtype = _dtype(value)
    if found_dtype != tensor.dtype:
        problem = f"expected {tensor.dtype}, found {found_dtype}"
        yield Finding(f"{where}.dtype", problem, "state the graph's type in the manifest")
    if not value.type.tensor_type.HasField("shape"):
        if strict:
            problem = f"expected {show(tensor.shape)}, found no shape"
            yield Finding(f"{where}.shape", problem, "export with input shapes")
        return
    found = [_size(d) for d in value.type.tensor_type.shape.dim]
    problem = f"expected {show(tensor.shape)}, found {show(found)}"
    if len(found) != len(tensor.shape) or any(
        not _agree(a, b) for a, b in zip(tensor.shape[1:], found[1:], strict=True)
    ):
        remedy = "change the manifest or the graph: both must say the same shape"
        yield Finding(f"{where}.shape", problem, remedy)
    elif found and not is_batch(tensor.shape[0]) and found[0] != tensor.shape[0]:
        remedy = 'the graph\'s batch is free: write "batch" first in the manifest'
        yield Finding(f"{where}.shape", problem, remedy)
    elif found and is_batch(tensor.shape[0]) and isinstance(found[0], int):
        remedy = "export with a dynamic batch dimension, or write 1 first in the manifest: "
        remedy += "then each row runs alone"
        yield Finding(f"{where}.shape", problem, remedy)


def _agree(stated: int | str, found: int | str) -> bool:
    """A free dimension of the graph takes any size."""
    return is_batch(stated) or isinstance(found, str) or stated == found
