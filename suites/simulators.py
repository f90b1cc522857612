"""The kinds of simulator: the one place, beside its own module, that tells one from another."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from suites.errors import Finding, SubmitterError
from suites.parameters import parse, parse_controls
from suites.segment import SegmentMeta

SimulatorName = Literal["reprojection", "tinyphysics", "rendered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorKind:
    """What suites, server and workers ask about a simulator; workers.simulation has its code."""

    version: str
    """Whoever changes a trace raises it here: golden rollouts fail until then."""
    models: Literal["camera", "controller"]
    """The kind of model that it drives."""
    segments: Literal["camera", "controls"]
    """The kind of segment that it drives ..."""
    worlds_only: bool = False
    """... and whether only segments of the procedural world will do."""
    parse: Callable[[dict[str, Any]], Any] = parse
    """Its parameters, read. Raises SubmitterError."""
    auxiliary: tuple[str, ...] = ()
    """Parameters that hold the sha256 of a model that the simulator itself needs."""
    has_views: bool = True
    """Whether there are pictures of what the model saw."""
    light: bool = False
    """A rollout costs so little that a shard holds more of them."""


SIMULATORS: dict[str, SimulatorKind] = {
    "reprojection": SimulatorKind(version="2", models="camera", segments="camera"),
    "tinyphysics": SimulatorKind(
        version="1",
        models="controller",
        segments="controls",
        parse=parse_controls,
        auxiliary=("dynamics",),
        has_views=False,
        light=True,
    ),
    "rendered": SimulatorKind(version="1", models="camera", segments="camera", worlds_only=True),
}
"""By `SimulatorSpec.name`. The first that drives a kind of model is that kind's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSpec:
    """Which simulator, at which version, with which parameters and auxiliary models."""

    name: SimulatorName
    version: str
    parameters: dict[str, Any] = field(default_factory=dict)
    auxiliary: dict[str, str] = field(default_factory=dict)
    """Role to sha256, e.g. {"dynamics": sha256 of tinyphysics.onnx}."""


def simulator_spec(name: str, parameters: dict[str, Any]) -> SimulatorSpec:
    """The simulator at its current version.

    Raises SubmitterError for an unknown name, parameter or value, or a missing auxiliary model.
    """
    if name not in SIMULATORS:
        finding = Finding("simulator.name", "unknown", f"one of {', '.join(SIMULATORS)}")
        raise SubmitterError(f"no simulator is named {name!r}", (finding,))
    kind = SIMULATORS[name]
    missing = tuple(
        Finding(
            f"simulator.parameters.{role}",
            "missing",
            f"the sha256 of the {role} model, uploaded as a blob",
        )
        for role in kind.auxiliary
        if not isinstance(parameters.get(role), str)
    )
    if missing:
        raise SubmitterError(f"the {name} simulator needs a model of its own", missing)
    told = {k: v for k, v in parameters.items() if k not in kind.auxiliary}
    kind.parse(told)
    return SimulatorSpec(
        name=name,  # type: ignore[arg-type]  # checked against SIMULATORS above
        version=kind.version,
        parameters=told,
        auxiliary={role: parameters[role] for role in kind.auxiliary},
    )


def default_simulator(model_kind: str) -> str:
    """The simulator of a kind of model where nobody chose."""
    return next(name for name, kind in SIMULATORS.items() if kind.models == model_kind)


def misfit(simulator: str, meta: SegmentMeta) -> str:
    """Why this simulator can never drive that segment; empty where it can.

    That is nobody's damage, so it is refused before anything is driven.
    """
    kind = SIMULATORS[simulator]
    if meta.kind != kind.segments:
        return f"{simulator} drives {kind.segments} segments, this is one of {meta.kind}"
    if kind.worlds_only and "world" not in meta.origin:
        return "only segments of the procedural world can be rendered"
    return ""
