"""The rewritten graph gives the last logits, and is trusted only where its bits are the same."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from workers.simulation.tinyphysics.dynamics_graph import lean
from workers.simulation.tinyphysics.lockstep import Dynamics
from workers.simulation.tinyphysics.tests.test_lockstep import SHARED, dynamics

T, HEADS, WIDTH, LAYERS = 20, 4, 16, 2


class Network:
    """A small transformer of the public network's shape, of the operators its exporter writes."""

    def __init__(self, activation: str = "Tanh", layers: int = LAYERS) -> None:
        self._random = np.random.default_rng(3)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        half = WIDTH // 2
        state = self.op("MatMul", "states", self.draw("onnx::MatMul_1", 4, half))
        state = self.op("Add", self.draw("transformer.wt_embedding.bias", half), state)
        token = self.op(
            "Gather", self.draw("transformer.wt2_embedding.weight", 1024, half), "tokens"
        )
        x = self.op(
            "Add",
            self.op("Concat", state, token, axis=-1),
            self.draw("transformer.wp_embedding.weight", T, WIDTH),
        )
        for layer in range(layers):
            x = self.op(
                "Add", x, self._attention(layer, self._norm(x, f"h.{layer}.attn.layer_norm"))
            )
            x = self.op(
                "Add", x, self._mlp(layer, self._norm(x, f"h.{layer}.mlp.layer_norm"), activation)
            )
        head = self.draw("head", WIDTH, 1024)
        self._nodes.append(
            helper.make_node("MatMul", [self._norm(x, "layer_norm_f"), head], ["output"])
        )

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [f"v{len(self._nodes)}"], **attributes))
        return f"v{len(self._nodes) - 1}"

    def constant(self, value: NDArray[np.generic]) -> str:
        return self._keep(f"c{len(self._weights)}", value)

    def draw(self, name: str, *shape: int) -> str:
        return self._keep(name, self._random.normal(0, 0.6, shape).astype(np.float32))

    def _keep(self, name: str, value: NDArray[np.generic]) -> str:
        self._weights.append(numpy_helper.from_array(value, name))
        return name

    def _norm(self, x: str, name: str) -> str:
        centred = self.op("Sub", x, self.op("ReduceMean", x, axes=[-1]))
        square = self.op(
            "ReduceMean", self.op("Pow", centred, self.constant(np.array(2, np.float32))), axes=[-1]
        )
        deviation = self.op(
            "Sqrt", self.op("Add", square, self.constant(np.array(1e-5, np.float32)))
        )
        scaled = self.op(
            "Mul",
            self.op("Div", centred, deviation),
            self.draw(f"transformer.{name}.weight", WIDTH),
        )
        return self.op("Add", scaled, self.draw(f"transformer.{name}.bias", WIDTH))

    def _attention(self, layer: int, x: str) -> str:
        joint = self.op("MatMul", x, self.draw(f"qkv{layer}", WIDTH, 3 * WIDTH))
        shape = self.constant(np.array([0, T, HEADS, WIDTH // HEADS]))
        parts = []
        for part, order in enumerate(([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])):
            span = (
                self.constant(np.array([edge])) for edge in (part * WIDTH, (part + 1) * WIDTH, 2)
            )
            parts.append(
                self.op(
                    "Transpose",
                    self.op("Reshape", self.op("Slice", joint, *span), shape),
                    perm=order,
                )
            )
        scale = self.constant(np.array((WIDTH // HEADS) ** -0.5, np.float32))
        hidden = self.constant(~np.tril(np.ones((1, 1, T, T), dtype=bool)))
        scores = self.op("Mul", self.op("MatMul", parts[0], parts[1]), scale)
        masked = self.op("Where", hidden, self.constant(np.array(-np.inf, np.float32)), scores)
        mixed = self.op(
            "Transpose",
            self.op("MatMul", self.op("Softmax", masked, axis=-1), parts[2]),
            perm=[0, 2, 1, 3],
        )
        merged = self.op("Reshape", mixed, self.constant(np.array([0, T, WIDTH])))
        return self.op("MatMul", merged, self.draw(f"project{layer}", WIDTH, WIDTH))

    def _mlp(self, layer: int, x: str, activation: str) -> str:
        u = self.op("MatMul", x, self.draw(f"up{layer}", WIDTH, 4 * WIDTH))
        number = {
            n: self.constant(np.array(n, np.float32))
            for n in (0.044715, (2 / np.pi) ** 0.5, 1.0, 0.5)
        }
        cube = self.op("Mul", number[0.044715], self.op("Mul", u, self.op("Mul", u, u)))
        inner = self.op(
            activation, self.op("Mul", number[(2 / np.pi) ** 0.5], self.op("Add", u, cube))
        )
        gelu = self.op("Mul", number[0.5], self.op("Mul", u, self.op("Add", number[1.0], inner)))
        return self.op("MatMul", gelu, self.draw(f"down{layer}", 4 * WIDTH, WIDTH))

    def model(self) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info("states", TensorProto.FLOAT, ["b", T, 4]),
            helper.make_tensor_value_info("tokens", TensorProto.INT64, ["b", T]),
        ]
        output = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["b", T, 1024])
        graph = helper.make_graph(self._nodes, "network", inputs, [output], self._weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def feeds(batch: int) -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng(batch)
    states = generator.normal(0, 1, (batch, T, 4)).astype(np.float32)
    return {"states": states, "tokens": generator.integers(0, 1024, (batch, T))}


def run(model: onnx.ModelProto, batch: int) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    output: NDArray[np.float32] = onnxruntime.InferenceSession(
        model.SerializeToString(), options
    ).run(None, feeds(batch))[0]
    return output


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_last_position_is_the_same(layers: int) -> None:
    whole = Network(layers=layers).model()
    rewritten = lean(whole)
    assert rewritten is not None
    for batch in (1, 2, 5):
        found, expected = run(rewritten, batch), run(whole, batch)
        assert found.shape == (batch, 1024)
        np.testing.assert_allclose(found, expected[:, -1], rtol=0, atol=2e-5)
        assert np.abs(expected[:, -1] - expected[:, -2]).max() > 1e-1, "positions differ"


def test_a_network_that_computes_otherwise_is_run_as_given(tmp_path: Path) -> None:
    """Weights named and shaped as expected, another activation: the first answers give it away."""
    path = tmp_path / "sigmoid.onnx"
    model = Network(activation="Sigmoid").model()
    onnx.save(model, path)
    assert lean(model) is not None
    found = Dynamics(path).logits(**feeds(3))
    assert np.array_equal(found, run(model, 3)[:, -1])


def test_an_unknown_structure_is_left_alone(tmp_path: Path) -> None:
    assert lean(onnx.load(dynamics(tmp_path / "d.onnx"))) is None
    model = Network().model()
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    weights["project1"].CopyFrom(
        numpy_helper.from_array(np.zeros((WIDTH, 2 * WIDTH), np.float32), "project1")
    )
    assert lean(model) is None


@pytest.mark.skipif(
    not SHARED.exists(), reason="the public tinyphysics model is not on this machine"
)
@pytest.mark.parametrize("batch", [1, 2, 3, 33, 64])
def test_the_public_network_in_any_batch_keeps_its_bits(batch: int) -> None:
    path = SHARED / "tinyphysics.onnx"
    whole = onnx.load(path)
    assert lean(whole) is not None
    alone = {name: value[-1:] for name, value in feeds(batch).items()}
    found = Dynamics(path)
    assert np.array_equal(found.logits(**feeds(batch)), run(whole, batch)[:, -1])
    assert np.array_equal(found.logits(**feeds(batch))[-1:], found.logits(**alone))
