"""What a drive_key says about the machinery: simulator versions and default execution classes, known to server and workers."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from suites.errors import Finding, SubmitterError
from suites.model import Manifest
from suites.parameters import parse, parse_controls
from suites.rollout import ExecutionClass, SimulatorSpec

SIMULATORS: dict[str, str] = {"reprojection": "2", "tinyphysics": "1", "rendered": "1"}
"""Simulator to version. Golden rollouts force the version to be bumped: whoever changes a trace changes it here."""

AUXILIARY_ROLES: dict[str, tuple[str, ...]] = {"reprojection": (), "tinyphysics": ("dynamics",), "rendered": ()}
"""Parameters that hold the sha256 of a model that the simulator itself needs."""

BUILTIN_VERSION = "1"
"""Of the built-in models (`log`, `pid`, `zero`)."""


def simulator_spec(name: str, parameters: dict[str, Any]) -> SimulatorSpec:
    """The simulator at its current version. Raises SubmitterError for an unknown name, parameter or value, or a missing
    auxiliary model."""
    if name not in SIMULATORS:
        raise SubmitterError(
            f"no simulator is named {name!r}", (Finding("simulator.name", "unknown", f"one of {', '.join(SIMULATORS)}"),)
        )
    roles = AUXILIARY_ROLES[name]
    missing = tuple(
        Finding(f"simulator.parameters.{role}", "missing", f"the sha256 of the {role} model, uploaded as a blob")
        for role in roles
        if not isinstance(parameters.get(role), str)
    )
    if missing:
        raise SubmitterError(f"the {name} simulator needs a model of its own", missing)
    told = {k: v for k, v in parameters.items() if k not in roles}
    (parse_controls if name == "tinyphysics" else parse)(told)
    return SimulatorSpec(
        name=name,  # type: ignore[arg-type]  # checked against SIMULATORS above
        version=SIMULATORS[name],
        parameters=told,
        auxiliary={role: parameters[role] for role in roles},
    )


def default_execution(manifest: Manifest) -> ExecutionClass:
    """How a model runs when nobody chose: built-ins as themselves, graphs on ONNX Runtime, the CPU, in float32."""
    if manifest.builtin is not None:
        return ExecutionClass(runtime="builtin", version=BUILTIN_VERSION, precision="float64")
    return ExecutionClass(runtime="onnxruntime", version=installed("onnxruntime", "onnxruntime-gpu") or version("onnxruntime"))


def installed(*packages: str) -> str | None:
    """The version of the first of these packages that is installed: one program may come as several, by what it runs on."""
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None
