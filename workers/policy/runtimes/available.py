"""The literal registry of runtimes, and which execution classes this machine can honour."""

from functools import lru_cache
from pathlib import Path

from suites.errors import MachineError
from suites.identity import digest
from suites.rollout import ExecutionClass
from suites.simulators import RUNTIMES as KINDS
from suites.simulators import installed, installed_runtimes
from workers.policy.runtimes.onnx_runtime import OnnxRuntime
from workers.policy.runtimes.openvino_runtime import OpenVinoRuntime, computes_bfloat16
from workers.policy.runtimes.runtime import Runtime
from workers.policy.runtimes.tinygrad_runtime import TinygradRuntime

RuntimeClass = type[OnnxRuntime] | type[OpenVinoRuntime] | type[TinygradRuntime]

RUNTIMES: dict[str, RuntimeClass] = {
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVinoRuntime,
    "tinygrad": TinygradRuntime,
}
"""By `ExecutionClass.runtime`. None of them loads its library before `prepare`."""


def runtime_for(execution: ExecutionClass, sandboxed: bool = False) -> RuntimeClass:
    """The runtime's class. Raises MachineError where this machine has not exactly what `execution` says: both models of
    a comparison run on the same, so nothing else will do. `sandboxed`: whether the model is to run locked down."""
    asked = f"{execution.runtime} {execution.version} ({execution.precision}, {execution.device})"
    runtime = RUNTIMES.get(execution.runtime)
    if runtime is None:
        raise MachineError(f"the work is for {asked}; this program knows {', '.join(RUNTIMES)}")
    kind = KINDS[execution.runtime]
    version = installed(*kind.packages)
    if version is None:
        raise MachineError(
            f"the work is for {asked}; install {kind.packages[0]} here, or leave it to another worker"
        )
    known = execution.device in kind.devices and execution.precision in kind.precisions
    if execution.version != version or not known:
        here = f"{execution.runtime} {version} ({' or '.join(kind.precisions)}, {' or '.join(kind.devices)})"
        raise MachineError(
            f"the work is for {asked}; this machine offers {here}: leave it to a worker that has it"
        )
    if sandboxed and not kind.sandboxed:
        why = f"{execution.runtime} compiles code while it runs, which the sandbox forbids"
        raise MachineError(
            f"the work is for {asked}; {why}: use another runtime, or `replay --no-sandbox` for a trusted model"
        )
    return runtime


def offered() -> dict[str, str]:
    """`RUNTIME/PRECISION` to the runtime's version, of what this machine computes: what is installed, but for a precision that
    its processor lacks."""
    found = {
        f"{name}/{precision}": v
        for name, v in installed_runtimes().items()
        for precision in KINDS[name].precisions
    }
    if "openvino/bfloat16" in found and not computes_bfloat16():
        del found["openvino/bfloat16"]
    return found


@lru_cache(maxsize=8)
def runtime_of_file(
    path: Path, sha256: str, outputs: tuple[str, ...], execution: ExecutionClass
) -> Runtime:
    """A runtime in this process, kept per graph digest and execution class: a second policy of a model loads nothing.
    Raises MachineError when the file is not the graph of that digest."""
    runtime = runtime_for(execution)
    runtime.prepare(execution)
    return runtime(read_graph(path.read_bytes(), sha256), outputs, execution)


def read_graph(data: bytes, sha256: str) -> bytes:
    """`data` itself when its digest is `sha256`, else MachineError: what runs is what was submitted."""
    if digest(data) != sha256:
        raise MachineError(
            f"a stored graph is damaged: expected sha256 {sha256}, found {digest(data)}"
        )
    return data
