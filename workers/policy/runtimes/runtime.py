"""What runs a graph: one small interface, and what every runtime shares.

Rows of a batch: at the default optimisation level ONNX Runtime's CPU kernels gave every row the
same bits for any batch of 1 to 64 (float32, float64 Gemm and MatMul, Conv, GRU, elementwise).
Nobody promises that across CPUs or versions, which is why each result records them. A graph that
mixes its rows (batch statistics) can never have it: export such a model with a fixed batch of 1,
then each row runs alone.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from suites.errors import Finding
from suites.rollout import ExecutionClass
from workers.policy.policy import PolicyError

Arrays = dict[str, NDArray[Any]]


class Runtime(Protocol):
    """One graph, loaded and ready."""

    execution: ExecutionClass

    def infer(self, feeds: Arrays) -> Arrays:
        """Outputs by name. Raises PolicyError when the graph fails on these feeds."""


def infer_rows(runtime: Runtime, feeds: Arrays, row_by_row: bool) -> Arrays:
    """Outputs of a batch; `row_by_row` for a graph whose batch dimension is fixed at 1."""
    if not row_by_row:
        return runtime.infer(feeds)
    batch = len(next(iter(feeds.values())))
    rows = [
        runtime.infer({name: value[row : row + 1] for name, value in feeds.items()})
        for row in range(batch)
    ]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def model_failed(what: str, error: Exception) -> PolicyError:
    """A runtime's exception as the submitter should read it: what failed, and what to do."""
    text = " ".join(str(error).split())[:600]
    if isinstance(error, MemoryError) or "allocat" in text or "bad_alloc" in text:
        remedy = "make constants and intermediate tensors of the graph smaller"
        problem = "it asked for more memory than it may use"
        finding = Finding("graph", text or problem, remedy)
        return PolicyError(f"the model {what}: {problem}: {remedy}", (finding,))
    remedy = "try the file with onnxruntime.InferenceSession on a CPU; check shapes and operators"
    return PolicyError(f"the model {what}: {text}", (Finding("graph", text, remedy),))
