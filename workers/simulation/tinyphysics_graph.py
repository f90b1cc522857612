"""The dynamics transformer without the work that nobody reads: only its last position's logits are ever used.

In the last layer every position but the last still gives keys and values, but no query, no MLP and no head. Two query
rows are kept, not one: with a single row the runtime takes another matrix path, whose last bits differ.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

ROWS = 2


def _constant(name: str, values: list[int]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def prune(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """A copy whose output is [b, 2, 1024], the last two positions; None where the graph is not built as expected:
    softmax(where(mask, -inf, q k * scale)) v, merged heads, projected, added to the residual stream."""
    pruned = onnx.ModelProto()
    pruned.CopyFrom(model)
    graph = pruned.graph
    producer = {output: node for node in graph.node for output in node.output}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)

    def follow(node: onnx.NodeProto, *kinds: str) -> list[onnx.NodeProto] | None:
        """The chain of sole consumers of these kinds."""
        chain = [node]
        for kind in kinds:
            after = consumers.get(chain[-1].output[0], [])
            if len(after) != 1 or after[0].op_type != kind:
                return None
            chain.append(after[0])
        return chain[1:]

    softmax = [node for node in graph.node if node.op_type == "Softmax"]
    chain = follow(softmax[-1], "MatMul", "Transpose", "Reshape", "MatMul", "Add") if softmax else None
    where = producer.get(softmax[-1].input[0]) if softmax else None
    scale = producer.get(where.input[2]) if where is not None and where.op_type == "Where" else None
    scores = producer.get(scale.input[0]) if scale is not None and scale.op_type == "Mul" else None
    if chain is None or where is None or scores is None or scores.op_type != "MatMul":
        return None
    reshape, projection, add = chain[2], chain[3], chain[4]
    weight = next((w for w in graph.initializer if w.name == projection.input[1]), None)
    residual = [index for index, name in enumerate(add.input) if name != projection.output[0]]
    if weight is None or len(residual) != 1:
        return None
    graph.initializer.extend(
        [
            _constant("prune_start", [-ROWS]),
            _constant("prune_end", [2**31 - 1]),
            _constant("prune_merged", [0, ROWS, weight.dims[0]]),
        ]
    )
    for axis in (1, 2):
        graph.initializer.append(_constant(f"prune_axis_{axis}", [axis]))

    def cut(node: onnx.NodeProto, index: int, axis: int) -> None:
        """Feed the node the last rows of that input."""
        name = f"{node.input[index]}_last"
        slicing = helper.make_node("Slice", [node.input[index], "prune_start", "prune_end", f"prune_axis_{axis}"], [name])
        graph.node.insert(next(i for i, n in enumerate(graph.node) if n.output[0] == node.output[0]), slicing)
        node.input[index] = name

    # Node objects stay valid: protobuf inserts references, and each is named by its own first output.
    by_output = {node.output[0]: node for node in graph.node}
    cut(by_output[scores.output[0]], 0, 2)
    cut(by_output[where.output[0]], 0, 2)
    cut(by_output[add.output[0]], residual[0], 1)
    by_output[reshape.output[0]].input[1] = "prune_merged"
    graph.output[0].type.tensor_type.shape.dim[1].dim_value = ROWS
    onnx.checker.check_model(pruned)
    return pruned
