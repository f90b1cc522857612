"""The runtimes by name, and which execution classes this machine can honour.

What each runtime may do anywhere (devices, precisions, sandbox) stands in suites.simulators: the
server must know it too. Here stands what is installed on this machine, and the code that runs it.
"""

from functools import lru_cache
from pathlib import Path

from suites.errors import MachineError
from suites.execution_classes import RUNTIMES, installed, installed_runtimes
from suites.identity import digest
from suites.rollout import ExecutionClass
from workers.policy.runtimes.onnx_runtime import OnnxRuntime
from workers.policy.runtimes.openvino_runtime import OpenVinoRuntime, computes_bfloat16
from workers.policy.runtimes.runtime import Runtime
from workers.policy.runtimes.tinygrad_runtime import TinygradRuntime

RuntimeClass = type[OnnxRuntime] | type[OpenVinoRuntime] | type[TinygradRuntime]

RUNTIME_CLASSES: dict[str, RuntimeClass] = {
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVinoRuntime,
    "tinygrad": TinygradRuntime,
}
"""By `ExecutionClass.runtime`. None of them loads its library before `prepare`."""


def runtime_for(execution: ExecutionClass, sandboxed: bool = False) -> RuntimeClass:
    """The runtime's class. `sandboxed`: whether the model is to run locked down.

    Raises MachineError where this machine has not exactly what `execution` says: both models of a
    comparison run on the same, so nothing else will do.
    """
    if problem := _cannot_run(execution, sandboxed):
        name = execution.runtime
        asked = f"{name} {execution.version} ({execution.precision}, {execution.device})"
        raise MachineError(f"the work is for {asked}; {problem}")
    return RUNTIME_CLASSES[execution.runtime]


def _cannot_run(execution: ExecutionClass, sandboxed: bool) -> str:
    """Why this machine can't, and what to do; empty where it can."""
    name = execution.runtime
    if name not in RUNTIME_CLASSES:
        return f"this program knows {', '.join(RUNTIME_CLASSES)}"
    kind = RUNTIMES[name]
    version = installed(*kind.packages)
    if version is None:
        return f"install {kind.packages[0]} here, or leave it to another worker"
    known = execution.device in kind.devices and execution.precision in kind.precisions
    if execution.version != version or not known:
        classes = f"{' or '.join(kind.precisions)}, {' or '.join(kind.devices)}"
        return f"this machine offers {name} {version} ({classes}): leave it to a worker that has it"
    if sandboxed and not kind.sandboxed:
        why = f"{name} compiles code while it runs, which the sandbox forbids"
        return f"{why}: use another runtime, or `replay --no-sandbox` for a trusted model"
    return ""


def offered() -> dict[str, str]:
    """`RUNTIME/PRECISION` to version: what is installed, less what the processor lacks."""
    found = {
        f"{name}/{precision}": version
        for name, version in installed_runtimes().items()
        for precision in RUNTIMES[name].precisions
    }
    if "openvino/bfloat16" in found and not computes_bfloat16():
        del found["openvino/bfloat16"]
    return found


@lru_cache(maxsize=8)
def runtime_of_file(
    path: Path, sha256: str, outputs: tuple[str, ...], execution: ExecutionClass
) -> Runtime:
    """A runtime in this process, kept for the next policy. Raises MachineError."""
    runtime = runtime_for(execution)
    runtime.prepare(execution)
    return runtime(read_graph(path.read_bytes(), sha256), outputs, execution)


def read_graph(data: bytes, sha256: str) -> bytes:
    """`data` if its digest is `sha256`, else MachineError: what runs is what was submitted."""
    if (found := digest(data)) != sha256:
        raise MachineError(f"a stored graph is damaged: expected sha256 {sha256}, found {found}")
    return data
