"""Pruning keeps the last position's bits, and leaves alone what it doesn't know."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from workers.simulation.tests.test_tinyphysics import dynamics
from workers.simulation.tinyphysics_graph import ROWS, prune

T, HEADS, WIDTH = 20, 2, 16


def attention() -> onnx.ModelProto:
    """One causal attention layer with a residual and a head: the shape of the real network, small."""
    generator = np.random.default_rng(3)
    weights: dict[str, NDArray[np.generic]] = {
        "embed": generator.normal(0, 1, (4, WIDTH)).astype(np.float32),
        "tokens_embed": generator.normal(0, 1, (1024, WIDTH)).astype(np.float32),
        "project": generator.normal(0, 1, (WIDTH, WIDTH)).astype(np.float32),
        "head": generator.normal(0, 1, (WIDTH, 1024)).astype(np.float32),
        "hidden": ~np.tril(np.ones((1, 1, T, T), dtype=bool)),
        "minus": np.array(-np.inf, np.float32),
        "scale": np.array((WIDTH // HEADS) ** -0.5, np.float32),
        "split": np.array([0, T, HEADS, WIDTH // HEADS]),
        "merge": np.array([0, T, WIDTH]),
    }
    nodes = [
        helper.make_node("MatMul", ["states", "embed"], ["s"]),
        helper.make_node("Gather", ["tokens_embed", "tokens"], ["t"]),
        helper.make_node("Add", ["s", "t"], ["x"]),
    ]
    for part, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        weights[f"w_{part}"] = generator.normal(0, 1, (WIDTH, WIDTH)).astype(np.float32)
        nodes += [
            helper.make_node("MatMul", ["x", f"w_{part}"], [f"{part}0"]),
            helper.make_node("Reshape", [f"{part}0", "split"], [f"{part}1"]),
            helper.make_node("Transpose", [f"{part}1"], [part], perm=order),
        ]
    nodes += [
        helper.make_node("MatMul", ["q", "k"], ["scores"]),
        helper.make_node("Mul", ["scores", "scale"], ["scaled"]),
        helper.make_node("Where", ["hidden", "minus", "scaled"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "v"], ["mixed"]),
        helper.make_node("Transpose", ["mixed"], ["moved"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["moved", "merge"], ["merged"]),
        helper.make_node("MatMul", ["merged", "project"], ["projected"]),
        helper.make_node("Add", ["x", "projected"], ["y"]),
        helper.make_node("MatMul", ["y", "head"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "attention",
        [
            helper.make_tensor_value_info("states", TensorProto.FLOAT, ["b", T, 4]),
            helper.make_tensor_value_info("tokens", TensorProto.INT64, ["b", T]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["b", T, 1024])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: onnx.ModelProto, batch: int) -> NDArray[np.float32]:
    generator = np.random.default_rng(batch)
    feeds = {
        "states": generator.normal(0, 1, (batch, T, 4)).astype(np.float32),
        "tokens": generator.integers(0, 1024, (batch, T)),
    }
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    output: NDArray[np.float32] = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, feeds)[0]
    return output


def test_the_last_position_is_the_same() -> None:
    whole = attention()
    lean = prune(whole)
    assert lean is not None
    for batch in (1, 5):
        kept = run(lean, batch)
        assert kept.shape == (batch, ROWS, 1024)
        np.testing.assert_allclose(kept[:, -1], run(whole, batch)[:, -1], rtol=0, atol=1e-5)
        assert np.abs(run(whole, batch)[:, -1] - run(whole, batch)[:, -3]).max() > 1e-2, "positions differ"


def test_an_unknown_structure_is_left_alone(tmp_path: Path) -> None:
    assert prune(onnx.load(dynamics(tmp_path / "d.onnx"))) is None
