"""The dynamics transformer, written again for lock-step batches: same weights and bits, less work.

- Only the last position's logits are used: in the last layer the others give keys and values, but
  no query, no MLP and no head. Attention keeps two query rows there, not one: a single row takes
  another matrix path, whose last bits differ.
- Rows are ordered position first, [20, B, width]. The attention's matrix products then read
  queries, keys and values by stride where they lie; batch first, each is transposed and copied.
- GELU's factor of a half is in the weights of the product after it: a power of two moves no bit.
- The batch dimension has no name. Where the runtime can prove two shapes equal it lets softmax
  overwrite its input, which takes twice as long.
"""

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

HEADS = 4
EPSILON = 1e-5
LAYER = 4
"""Weight matrices of a layer: query-key-value, projection, and the two of the MLP."""

Floats = NDArray[np.float32]


class _Graph:
    """Nodes and weights as they are added; every value is named by its number."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, value: ArrayLike) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(value), name))
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], domain=domain, **attributes))
        return name

    def last(self, value: str, count: int) -> str:
        """The last `count` positions."""
        start, end, axis = (self.weight(np.array([number])) for number in (-count, 2**31 - 1, 0))
        return self.op("Slice", value, start, end, axis)


def lean(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """A graph of the same inputs whose output is the last position's logits, [B, 1024].

    None where the weights are not named and shaped as expected. Only the weights are read here:
    the caller checks that the bits are the same.
    """
    named = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    dense = [
        named[n.input[1]] for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in named
    ]
    layers = (len(dense) - 2) // LAYER
    try:
        position = named["transformer.wp_embedding.weight"]
        length, width = position.shape
        shapes = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
        if width % HEADS or [weight.shape for weight in dense[1:-1]] != shapes * layers:
            return None
        return _build(named, dense, layers, length, width)
    except (KeyError, ValueError):
        return None


def _build(
    named: dict[str, Floats], dense: list[Floats], layers: int, length: int, width: int
) -> onnx.ModelProto:
    graph = _Graph()
    op = graph.op
    weight = graph.weight
    split = weight(np.array([0, 0, HEADS, width // HEADS]))
    merge = weight(np.array([0, 0, width]))
    seen = np.tril(np.ones((1, 1, length, length), dtype=bool))
    minus_infinity = weight(np.float32(-np.inf))
    one = weight(np.float32(1))
    cubic = weight(np.float32(0.044715))
    outer = weight(np.float32(math.sqrt(2 / math.pi)))

    def norm(value: str, name: str) -> str:
        parts = (weight(named[f"transformer.{name}.{part}"]) for part in ("weight", "bias"))
        return op("LayerNormalization", value, *parts, axis=-1, epsilon=EPSILON)

    def heads(value: str, matrix: Floats) -> str:
        return op("Reshape", op("MatMul", value, weight(matrix)), split)

    def product(left: str, right: str, **attributes: Any) -> str:
        return op("FusedMatMul", left, right, domain="com.microsoft", transBatchB=1, **attributes)

    state = op("MatMul", op("Transpose", "states", perm=[1, 0, 2]), weight(dense[0]))
    state = op("Add", state, weight(named["transformer.wt_embedding.bias"]))
    embedding = weight(named["transformer.wt2_embedding.weight"])
    token = op("Gather", embedding, op("Transpose", "tokens", perm=[1, 0]))
    position = weight(named["transformer.wp_embedding.weight"][:, None])
    x = op("Add", op("Concat", state, token, axis=-1), position)
    for layer in range(layers):
        end = layer == layers - 1
        joint, project, up, down = dense[1 + LAYER * layer : 1 + LAYER * (layer + 1)]
        normed = norm(x, f"h.{layer}.attn.layer_norm")
        query = heads(graph.last(normed, 2) if end else normed, joint[:, :width])
        key = heads(normed, joint[:, width : 2 * width])
        value = heads(normed, joint[:, 2 * width :])
        scores = product(query, key, transBatchA=1, transB=1, alpha=(width // HEADS) ** -0.5)
        masked = op("Where", weight(seen[:, :, -2:] if end else seen), scores, minus_infinity)
        mixed = op("Transpose", product(op("Softmax", masked, axis=-1), value), perm=[2, 0, 1, 3])
        attended = op("Reshape", mixed, merge)
        if end:
            attended, x = graph.last(attended, 1), graph.last(x, 1)
        x = op("Add", x, op("MatMul", attended, weight(project)))
        u = op("MatMul", norm(x, f"h.{layer}.mlp.layer_norm"), weight(up))
        inner = op("Add", u, op("Mul", op("Mul", u, op("Mul", u, u)), cubic))
        gate = op("Add", op("Tanh", op("Mul", inner, outer)), one)
        x = op("Add", x, op("MatMul", op("Mul", u, gate), weight(down * np.float32(0.5))))
    logits = op("MatMul", norm(x, "layer_norm_f"), weight(dense[-1]))
    graph.nodes.append(helper.make_node("Squeeze", [logits, weight(np.array([0]))], ["output"]))
    inputs = [
        helper.make_tensor_value_info("states", TensorProto.FLOAT, [None, length, 4]),
        helper.make_tensor_value_info("tokens", TensorProto.INT64, [None, length]),
    ]
    shape = [None, dense[-1].shape[1]]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)]
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    built = helper.make_graph(graph.nodes, "lean", inputs, outputs, graph.weights)
    return helper.make_model(built, opset_imports=domains, ir_version=8)
