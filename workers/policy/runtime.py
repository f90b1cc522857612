"""What runs a graph: one small interface, one class per runtime, and the literal registry of them.

Rows of a batch: at the default optimisation level ONNX Runtime's CPU kernels gave every row the same bits for any batch
of 1 to 64 (float32 and float64 Gemm and MatMul, Conv, GRU, elementwise). Nobody promises that across CPUs or versions,
which is why each result records them; and a graph that mixes its rows (batch statistics) can never have it: export such
a model with a fixed batch of 1, then each row runs alone.
"""

import importlib.metadata
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from suites.errors import Finding, MachineError
from suites.identity import digest
from suites.rollout import ExecutionClass
from workers.policy.protocol import PolicyError

Arrays = dict[str, NDArray[Any]]


class Runtime(Protocol):
    """One graph, loaded and ready."""

    execution: ExecutionClass

    def infer(self, feeds: Arrays) -> Arrays:
        """Outputs by name. Raises PolicyError when the graph fails on these feeds."""


class OnnxRuntime:
    """ONNX Runtime on one CPU thread at its default optimisation level.

    `graph`: the bytes of the ONNX file; `outputs`: the names to compute. Raises PolicyError when the graph does not
    load, MachineError when this machine has another version than `execution` asks for.
    """

    @staticmethod
    def prepare() -> None:
        """Load the library: everything that it reads from disk, before a sandbox closes."""
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library loads: its wheels report home otherwise
        import onnxruntime  # noqa: F401

    def __init__(self, graph: bytes, outputs: Sequence[str], execution: ExecutionClass) -> None:
        self.prepare()
        import onnxruntime as ort

        _require_version(execution, ort.__version__)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.load_model_format", "ONNX")
        self.execution = execution
        self._outputs = list(outputs)
        try:
            self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library's exceptions share no base class but this one
            raise _failed("does not load", error) from None

    def infer(self, feeds: Arrays) -> Arrays:
        try:
            values = self._session.run(self._outputs, feeds)
        except Exception as error:
            raise _failed("failed in a step", error) from None
        return dict(zip(self._outputs, values, strict=True))


RUNTIMES: dict[str, type[OnnxRuntime]] = {"onnxruntime": OnnxRuntime}
"""By `ExecutionClass.runtime`."""

PACKAGES: dict[str, str] = {"onnxruntime": "onnxruntime"}
"""The distribution whose version is a runtime's version."""


def installed(runtime: str) -> ExecutionClass:
    """The execution class that this machine offers for a runtime. Raises MachineError where it is not installed."""
    try:
        return ExecutionClass(runtime=runtime, version=importlib.metadata.version(PACKAGES[runtime]))
    except (KeyError, importlib.metadata.PackageNotFoundError):
        raise MachineError(f"runtime {runtime!r} is not installed here; installed: {', '.join(PACKAGES)}") from None


@lru_cache(maxsize=8)
def runtime_of_file(path: Path, sha256: str, outputs: tuple[str, ...], execution: ExecutionClass) -> Runtime:
    """A runtime in this process, kept per graph digest and execution class: a second policy of a model loads nothing.
    Raises MachineError when the file is not the graph of that digest."""
    return RUNTIMES[execution.runtime](read_graph(path.read_bytes(), sha256), outputs, execution)


def read_graph(data: bytes, sha256: str) -> bytes:
    """`data` itself when its digest is `sha256`, else MachineError: what runs is what was submitted."""
    if digest(data) != sha256:
        raise MachineError(f"a stored graph is damaged: expected sha256 {sha256}, found {digest(data)}")
    return data


def infer_rows(runtime: Runtime, feeds: Arrays, row_by_row: bool) -> Arrays:
    """Outputs of a batch; `row_by_row` for a graph whose batch dimension is fixed at 1."""
    if not row_by_row:
        return runtime.infer(feeds)
    batch = len(next(iter(feeds.values())))
    rows = [runtime.infer({name: value[row : row + 1] for name, value in feeds.items()}) for row in range(batch)]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _require_version(execution: ExecutionClass, version: str) -> None:
    if execution.version != version:
        raise MachineError(
            f"this comparison runs on {execution.runtime} {execution.version}, this machine has {version}: "
            "install that version here, or leave the work to a worker that has it"
        )


def _failed(what: str, error: Exception) -> PolicyError:
    text = " ".join(str(error).split())[:600]
    if isinstance(error, MemoryError) or "allocat" in text or "bad_alloc" in text:
        remedy = "make constants and intermediate tensors of the graph smaller"
        problem = "it asked for more memory than it may use"
        return PolicyError(f"the model {what}: {problem}: {remedy}", (Finding("graph", text or problem, remedy),))
    remedy = "try the file with onnxruntime.InferenceSession on a CPU; check shapes and operators"
    return PolicyError(f"the model {what}: {text}", (Finding("graph", text, remedy),))
