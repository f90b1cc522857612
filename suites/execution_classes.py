"""Execution classes: their names, what a runtime can be asked for, what is installed here."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from suites.errors import Finding, MachineError, SubmitterError
from suites.manifest import Manifest
from suites.rollout import ExecutionClass

BUILTIN_VERSION = "1"
"""Of the built-in models (`log`, `pid`, `zero`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeKind:
    """What a runtime can be asked for; workers.policy has its code."""

    packages: tuple[str, ...]
    """Any of them brings it."""
    precisions: tuple[str, ...]
    """The first where none is named."""
    devices: tuple[str, ...]
    """The first where none is named."""
    sandboxed: bool = True
    """False: it compiles code as it runs. It drives trusted models only, never for the service."""


RUNTIMES: dict[str, RuntimeKind] = {
    "onnxruntime": RuntimeKind(
        packages=("onnxruntime", "onnxruntime-gpu"),
        precisions=("float32",),
        devices=("cpu", "cuda"),
    ),
    "openvino": RuntimeKind(
        packages=("openvino",), precisions=("float32", "bfloat16"), devices=("cpu",)
    ),
    "tinygrad": RuntimeKind(
        packages=("tinygrad",),
        precisions=("float32",),
        devices=("cpu", "cuda", "amd", "opencl", "metal", "python"),
        sandboxed=False,
    ),
}
"""By `ExecutionClass.runtime`."""

SHORT_PRECISIONS = {"f32": "float32", "bf16": "bfloat16"}
"""What people may write for a precision."""

EXECUTION_FORM = "RUNTIME[/PRECISION[/DEVICE]]"
"""How a person names an execution class, e.g. `openvino/bf16`; it has the installed version."""


def default_execution(manifest: Manifest) -> ExecutionClass:
    """How a model runs when nobody chose: a built-in as itself, a graph on ONNX Runtime."""
    if manifest.builtin is not None:
        return ExecutionClass(runtime="builtin", version=BUILTIN_VERSION, precision="float64")
    return ExecutionClass(
        runtime="onnxruntime",
        version=installed(*RUNTIMES["onnxruntime"].packages) or version("onnxruntime"),
    )


def execution_of(manifest: Manifest, chosen: ExecutionClass | None) -> ExecutionClass:
    """How a model runs where `chosen` was asked for its run: a built-in as itself all the same."""
    return default_execution(manifest) if chosen is None or manifest.builtin is not None else chosen


def parse_execution(text: str) -> tuple[str, str, str]:
    """(runtime, precision, device) of EXECUTION_FORM.

    Raises SubmitterError with a finding for each part that is not known.
    """
    runtime, *rest = text.split("/")
    if runtime not in RUNTIMES or len(rest) > 2:
        finding = Finding(
            "execution",
            f"expected {EXECUTION_FORM}, found {text!r}",
            f"the runtime is one of {', '.join(RUNTIMES)}",
        )
        raise SubmitterError(f"no execution class is named {text!r}", (finding,))
    kind = RUNTIMES[runtime]
    precision = SHORT_PRECISIONS.get(rest[0], rest[0]) if rest else kind.precisions[0]
    device = rest[1] if len(rest) > 1 else kind.devices[0]
    findings = []
    for part, asked, known in (
        ("precision", precision, kind.precisions),
        ("device", device, kind.devices),
    ):
        if asked not in known:
            problem = f"{runtime} knows no {part} {asked!r}"
            remedy = f"one of {', '.join(known)}"
            findings.append(Finding(f"execution.{part}", problem, remedy))
    if findings:
        raise SubmitterError(f"no execution class is named {text!r}", tuple(findings))
    return runtime, precision, device


def execution_here(text: str) -> ExecutionClass:
    """The execution class of that name, of the version that is installed here.

    Raises SubmitterError for a name that means nothing, MachineError where it is not installed.
    """
    runtime, precision, device = parse_execution(text)
    found = installed_runtimes().get(runtime)
    if found is None:
        remedy = f"pip install {RUNTIMES[runtime].packages[0]}"
        finding = Finding("execution", "not installed", remedy)
        raise MachineError(f"{runtime} is not installed here", (finding,))
    return ExecutionClass(runtime=runtime, version=found, precision=precision, device=device)


def execution_name(execution: ExecutionClass) -> str | None:
    """What a person writes to have it again; None for the default and for built-ins."""
    name = f"{execution.runtime}/{execution.precision}/{execution.device}"
    return None if execution.runtime == "builtin" or name == "onnxruntime/float32/cpu" else name


def installed_runtimes() -> dict[str, str]:
    """Name to version of the runtimes that are installed here."""
    found = {name: installed(*kind.packages) for name, kind in RUNTIMES.items()}
    return {name: known for name, known in found.items() if known is not None}


def installed(*packages: str) -> str | None:
    """The version of the first that is installed: a program may come as several, by device."""
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None
