"""Small models built in the test, with the manifest that describes them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from suites.identity import digest
from suites.manifest import ActionSpec, Graph, Manifest, StatePair, Tensor, VirtualCamera

Built = tuple[Manifest, dict[str, Path]]
Build = Callable[..., Built]


def _value(name: str, dtype: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape)
    )


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """build(nodes, inputs, outputs, constants, **manifest) -> (manifest, {sha256: file})."""

    def make(
        nodes: Sequence[NodeProto],
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        constants: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Built:
        graphs, files = [], {}
        by_graph = fields.pop("by_graph", {"policy": nodes})
        for role, role_nodes in by_graph.items():
            used = {name for node in role_nodes for name in node.input}
            proto = helper.make_graph(
                role_nodes,
                role,
                [_value(t.name, t.dtype, t.shape) for t in inputs if t.graph == role],
                [_value(t.name, t.dtype, t.shape) for t in outputs if t.graph == role],
                [
                    numpy_helper.from_array(np.asarray(v), k)
                    for k, v in (constants or {}).items()
                    if k in used
                ],
            )
            data = helper.make_model(
                proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
            ).SerializeToString()
            path = tmp_path / f"{digest(data)}.onnx"
            path.write_bytes(data)
            graphs.append(Graph(role=role, sha256=digest(data), size_bytes=len(data)))
            files[digest(data)] = path
        fields.setdefault("name", "test")
        fields.setdefault("kind", "camera")
        fields.setdefault("action", ActionSpec(kind="curvature", output="action"))
        return Manifest(
            graphs=tuple(graphs), inputs=tuple(inputs), outputs=tuple(outputs), **fields
        ), files

    return make


@pytest.fixture
def small_camera() -> VirtualCamera:
    return VirtualCamera(width=16, height=8, fx=12.0, fy=12.0, cx=8.0, cy=4.0)


@pytest.fixture
def speed_model(build: Build) -> Built:
    """action = speed / 100: NaN in, NaN out."""
    return build(
        [helper.make_node("Div", ["speed", "hundred"], ["action"])],
        [Tensor(name="speed", dtype="float32", shape=("batch", 1), role="speed")],
        [Tensor(name="action", dtype="float32", shape=("batch", 1), role="action")],
        {"hundred": np.float32(100)},
    )


@pytest.fixture
def endless_model(build: Build) -> Built:
    """A Loop whose condition is always true and that has no trip count."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_out"]),
            helper.make_node("Identity", ["x"], ["x_out"]),
        ],
        "body",
        [_value("i", "int64", ()), _value("go", "bool", ()), _value("x", "float32", ("batch", 1))],
        [_value("go_out", "bool", ()), _value("x_out", "float32", ("batch", 1))],
    )
    return build(
        [helper.make_node("Loop", ["", "true", "speed"], ["action"], body=body)],
        [Tensor(name="speed", dtype="float32", shape=("batch", 1), role="speed")],
        [Tensor(name="action", dtype="float32", shape=("batch", 1), role="action")],
        {"true": np.bool_(True)},
    )


@pytest.fixture
def bomb_model(build: Build) -> Built:
    """64 GiB of zeros, made at run time so that no optimiser folds them."""
    return build(
        [
            helper.make_node("Cast", ["speed"], ["count"], to=TensorProto.INT64),
            helper.make_node("ReduceMax", ["count"], ["flat"], keepdims=0),
            helper.make_node("Mul", ["flat", "many"], ["size"]),
            helper.make_node("ConstantOfShape", ["size"], ["huge"]),
            helper.make_node("ReduceSum", ["huge", "zero"], ["sum"], keepdims=1),
            helper.make_node("Add", ["speed", "sum"], ["action"]),
        ],
        [Tensor(name="speed", dtype="float32", shape=("batch", 1), role="speed")],
        [Tensor(name="action", dtype="float32", shape=("batch", 1), role="action")],
        {"many": np.array([1 << 34]), "zero": np.array([0])},
    )


@pytest.fixture
def recurrent_model(build: Build) -> Built:
    """Some matrix work with recurrent state, so that precision shows."""
    rng = np.random.default_rng(8)
    return build(
        [
            helper.make_node("Concat", ["speed", "h"], ["all"], axis=1),
            helper.make_node("MatMul", ["all", "mix"], ["mixed"]),
            helper.make_node("Tanh", ["mixed"], ["h_out"]),
            helper.make_node("MatMul", ["h_out", "last"], ["action"]),
        ],
        [
            Tensor(name="speed", dtype="float32", shape=("batch", 1), role="speed"),
            Tensor(name="h", dtype="float32", shape=("batch", 64), role="state"),
        ],
        [
            Tensor(name="action", dtype="float32", shape=("batch", 1), role="action"),
            Tensor(name="h_out", dtype="float32", shape=("batch", 64), role="state"),
        ],
        {
            "mix": rng.standard_normal((65, 64)).astype(np.float32) / 8,
            "last": rng.standard_normal((64, 1)).astype(np.float32),
        },
        states=(StatePair(input="h", output="h_out", initial=0.1),),
        agreement_tolerance=1e-4,
    )
