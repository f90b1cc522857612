"""The shipped controllers as ONNX graphs in float64: `python -m training.controllers`.

`pid` has the gains of the controls challenge's own baseline (commaai/controls_challenge,
controllers/pid.py); `zero` never steers; `feed_forward` steers for the wanted acceleration a little
ahead and lets a slow integral mend the rest.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from suites.identity import canonical_json, file_digest
from suites.manifest import ActionSpec, Graph, Manifest, Role, StatePair, Tensor

MODELS = Path(__file__).parent.parent / "models"
FUTURE = 49


class Builder:
    """Collects the nodes of a small scalar graph; every value is float64 [batch] unless said."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: type = np.float64) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name


def _write(
    name: str, builder: Builder, read: Sequence[Role], states: Sequence[str], note: str
) -> None:
    """`read`: inputs whose names are their roles; a state `x` goes from `x_in` to `x_out`."""
    inputs: dict[str, Role] = {n: n for n in read}
    inputs |= {f"{state}_in": "state" for state in states}
    outputs: dict[str, Role] = {"steer": "action"}
    outputs |= {f"{state}_out": "state" for state in states}

    def shape(n: str) -> tuple[str | int, ...]:
        return ("batch", FUTURE) if n == "future_lataccel" else ("batch",)

    def value(n: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(n, TensorProto.DOUBLE, shape(n))

    def tensor(n: str, role: Role) -> Tensor:
        return Tensor(name=n, dtype="float64", shape=shape(n), role=role)

    into, out = ([value(n) for n in names] for names in (inputs, outputs))
    graph = helper.make_graph(builder.nodes, name, into, out, builder.constants)
    opset = {"opset_imports": [helper.make_opsetid("", 17)], "ir_version": 8}
    model = helper.make_model(graph, producer_name="redrive", **opset)
    onnx.checker.check_model(model, full_check=True)
    folder = MODELS / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "policy.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    manifest = Manifest(
        name=name,
        kind="controller",
        graphs=(Graph(sha256=file_digest(path), size_bytes=path.stat().st_size),),
        inputs=tuple(tensor(n, role) for n, role in inputs.items()),
        outputs=tuple(tensor(n, role) for n, role in outputs.items()),
        states=tuple(StatePair(input=f"{s}_in", output=f"{s}_out") for s in states),
        rate_hz=10.0,
        action=ActionSpec(kind="steer", output="steer"),
        training={"note": note},
    )
    (folder / "manifest.json").write_bytes(canonical_json(manifest) + b"\n")


def pid(name: str, p: float, i: float, d: float) -> None:
    """p * e + i * sum(e) + d * (e - previous e), summed in that order.

    e is the wanted less the current lateral acceleration.
    """
    b = Builder()
    error = b.op("Sub", "target_lataccel", "current_lataccel", output="error_out")
    integral = b.op("Add", "integral_in", error, output="integral_out")
    difference = b.op("Sub", error, "error_in")
    proportional = b.op("Mul", b.constant(p), error)
    summed = b.op("Add", proportional, b.op("Mul", b.constant(i), integral))
    b.op("Add", summed, b.op("Mul", b.constant(d), difference), output="steer")
    note = f"PID ({p}, {i}, {d}), the controls challenge's own baseline"
    _write(name, b, ("target_lataccel", "current_lataccel"), ("integral", "error"), note)


def zero(name: str) -> None:
    b = Builder()
    b.op("Mul", "target_lataccel", b.constant(0.0), output="steer")
    _write(name, b, ("target_lataccel",), (), "never steers: a control")


def feed_forward(name: str, gain: float, ahead: int, i: float) -> None:
    """gain * (mean wanted acceleration of the next `ahead` steps - roll) + i * sum(e)."""
    b = Builder()
    error = b.op("Sub", "target_lataccel", "current_lataccel")
    integral = b.op("Add", "integral_in", error, output="integral_out")
    axis = b.constant([1], np.int64)
    first = b.constant([0], np.int64)
    end = b.constant([ahead], np.int64)
    near = b.op("Slice", "future_lataccel", first, end, axis)
    wanted = b.op("ReduceMean", near, axes=[1], keepdims=0)
    forward = b.op("Mul", b.constant(gain), b.op("Sub", wanted, "roll_lataccel"))
    b.op("Add", forward, b.op("Mul", b.constant(i), integral), output="steer")
    read: tuple[Role, ...] = (
        "target_lataccel",
        "current_lataccel",
        "roll_lataccel",
        "future_lataccel",
    )
    note = f"feed-forward {gain} over {ahead} steps ahead with integral {i}"
    _write(name, b, read, ("integral",), note)


def main() -> None:
    pid("pid", 0.195, 0.100, -0.053)
    zero("zero")
    feed_forward("feed_forward", 0.25, 5, 0.08)


if __name__ == "__main__":
    main()
