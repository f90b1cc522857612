"""The literal registry of runtimes, and which execution classes this machine can honour."""

import importlib.metadata
from functools import lru_cache
from pathlib import Path

from suites.errors import MachineError
from suites.identity import digest
from suites.rollout import ExecutionClass
from workers.policy.onnx_runtime import OnnxRuntime
from workers.policy.openvino_runtime import OpenVinoRuntime
from workers.policy.runtime import Runtime

RUNTIMES: dict[str, type[OnnxRuntime] | type[OpenVinoRuntime]] = {"onnxruntime": OnnxRuntime, "openvino": OpenVinoRuntime}
"""By `ExecutionClass.runtime`. None of them loads its library before `prepare`."""


def runtime_for(execution: ExecutionClass) -> type[OnnxRuntime] | type[OpenVinoRuntime]:
    """The runtime's class. Raises MachineError where this machine has not exactly what `execution` says: both models of
    a comparison run on the same, so nothing else will do."""
    asked = f"{execution.runtime} {execution.version} ({execution.precision}, {execution.device})"
    runtime = RUNTIMES.get(execution.runtime)
    if runtime is None:
        raise MachineError(f"the work is for {asked}; this program knows {', '.join(RUNTIMES)}")
    try:
        version = importlib.metadata.version(runtime.package)
    except importlib.metadata.PackageNotFoundError:
        raise MachineError(f"the work is for {asked}; install {runtime.package} here, or leave it to another worker") from None
    if (execution.version, execution.device) != (version, "cpu") or execution.precision not in runtime.precisions:
        here = f"{execution.runtime} {version} ({' or '.join(runtime.precisions)}, cpu)"
        raise MachineError(f"the work is for {asked}; this machine offers {here}: leave it to a worker that has it")
    return runtime


@lru_cache(maxsize=8)
def runtime_of_file(path: Path, sha256: str, outputs: tuple[str, ...], execution: ExecutionClass) -> Runtime:
    """A runtime in this process, kept per graph digest and execution class: a second policy of a model loads nothing.
    Raises MachineError when the file is not the graph of that digest."""
    runtime = runtime_for(execution)
    runtime.prepare(execution)
    return runtime(read_graph(path.read_bytes(), sha256), outputs, execution)


def read_graph(data: bytes, sha256: str) -> bytes:
    """`data` itself when its digest is `sha256`, else MachineError: what runs is what was submitted."""
    if digest(data) != sha256:
        raise MachineError(f"a stored graph is damaged: expected sha256 {sha256}, found {digest(data)}")
    return data
