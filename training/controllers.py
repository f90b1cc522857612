"""The shipped controllers as ONNX graphs in float64: `python -m training.controllers`.

`pid` has the gains of the controls challenge's own baseline (commaai/controls_challenge,
controllers/pid.py); `zero` never steers; `feed_forward` steers for the wanted acceleration a little
ahead and lets a slow integral mend the rest.
"""

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
    name: str,
    builder: Builder,
    inputs: dict[str, Role],
    outputs: dict[str, Role],
    states: tuple[StatePair, ...],
    note: str,
) -> None:
    shapes = {n: ("batch", FUTURE) if n == "future_lataccel" else ("batch",) for n in inputs}
    graph = helper.make_graph(
        builder.nodes,
        name,
        [helper.make_tensor_value_info(n, TensorProto.DOUBLE, shapes[n]) for n in inputs],
        [helper.make_tensor_value_info(n, TensorProto.DOUBLE, ("batch",)) for n in outputs],
        builder.constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="redrive"
    )
    onnx.checker.check_model(model, full_check=True)
    folder = MODELS / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "policy.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    manifest = Manifest(
        name=name,
        kind="controller",
        graphs=(Graph(sha256=file_digest(path), size_bytes=path.stat().st_size),),
        inputs=tuple(
            Tensor(name=n, dtype="float64", shape=shapes[n], role=role)
            for n, role in inputs.items()
        ),
        outputs=tuple(
            Tensor(name=n, dtype="float64", shape=("batch",), role=role)
            for n, role in outputs.items()
        ),
        states=states,
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
    _write(
        name,
        b,
        {
            "target_lataccel": "target_lataccel",
            "current_lataccel": "current_lataccel",
            "integral_in": "state",
            "error_in": "state",
        },
        {"steer": "action", "integral_out": "state", "error_out": "state"},
        (
            StatePair(input="integral_in", output="integral_out"),
            StatePair(input="error_in", output="error_out"),
        ),
        f"PID ({p}, {i}, {d}), the controls challenge's own baseline",
    )


def zero(name: str) -> None:
    b = Builder()
    b.op("Mul", "target_lataccel", b.constant(0.0), output="steer")
    _write(
        name,
        b,
        {"target_lataccel": "target_lataccel"},
        {"steer": "action"},
        (),
        "never steers: a control",
    )


def feed_forward(name: str, gain: float, ahead: int, i: float) -> None:
    """gain * (mean wanted acceleration of the next `ahead` steps - roll) + i * sum(e)."""
    b = Builder()
    error = b.op("Sub", "target_lataccel", "current_lataccel")
    integral = b.op("Add", "integral_in", error, output="integral_out")
    axis = b.constant([1], np.int64)
    near = b.op(
        "Slice", "future_lataccel", b.constant([0], np.int64), b.constant([ahead], np.int64), axis
    )
    wanted = b.op("ReduceMean", near, axes=[1], keepdims=0)
    forward = b.op("Mul", b.constant(gain), b.op("Sub", wanted, "roll_lataccel"))
    b.op("Add", forward, b.op("Mul", b.constant(i), integral), output="steer")
    _write(
        name,
        b,
        {
            "target_lataccel": "target_lataccel",
            "current_lataccel": "current_lataccel",
            "roll_lataccel": "roll_lataccel",
            "future_lataccel": "future_lataccel",
            "integral_in": "state",
        },
        {"steer": "action", "integral_out": "state"},
        (StatePair(input="integral_in", output="integral_out"),),
        f"feed-forward {gain} over {ahead} steps ahead with integral {i}",
    )


def main() -> None:
    pid("pid", 0.195, 0.100, -0.053)
    zero("zero")
    feed_forward("feed_forward", 0.25, 5, 0.08)


if __name__ == "__main__":
    main()
