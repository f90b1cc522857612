"""What a driving simulator may be told (`SimulatorSpec.parameters`), and how far it may be trusted."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from suites.errors import SubmitterError
from suites.model import STRICT, validation_findings

Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The region around the logged path in which the simulator can tell what a camera would see."""

    lateral_m: float
    longitudinal_m: float
    """Between the ego and where the log was at that time: beyond, what moves is in the wrong place."""
    heading_rad: float


EVERYWHERE = Trust(lateral_m=float("inf"), longitudinal_m=float("inf"), heading_rad=float("inf"))

TRUST: dict[str, Trust] = {
    "exact": Trust(lateral_m=2.25, longitudinal_m=15.0, heading_rad=0.20),
    "lidar": Trust(lateral_m=2.25, longitudinal_m=15.0, heading_rad=0.20),
    "stereo": Trust(lateral_m=2.25, longitudinal_m=15.0, heading_rad=0.20),
    "model": Trust(lateral_m=2.0, longitudinal_m=15.0, heading_rad=0.20),
    "plane": Trust(lateral_m=1.5, longitudinal_m=15.0, heading_rad=0.20),
    "rendered": EVERYWHERE,
}
"""Validity horizon of views by what they rest on: a segment's source of depth, or a renderer that knows the whole world.
Measured by `redrive simulator report`: benchmarks/results/simulator.md says from which figures each follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Unknown names are refused: a typing error must not change what is tested."""

    __pydantic_config__ = STRICT

    feedback: Literal["closed", "log"] = "closed"
    """`log`: the ego is kept on the logged poses (at the scenario's offset) whatever the model answers."""
    indicator: Literal["log", "none"] = "log"
    """What a model whose desire is the blinker is told: the log's, or (`none`) that nobody wants to turn."""
    lateral_bound_m: Positive = 2.0
    """Farther from the logged path is *failed*; never nearer than 0.5 m beyond the offset that the scenario starts at."""
    warm_up_s: Annotated[float, Field(ge=0, le=20)] = 1.0
    """Of logged frames that fill a recurrent state before the window starts."""
    trust_lateral_m: Positive | None = None
    trust_longitudinal_m: Positive | None = None
    trust_heading_rad: Positive | None = None
    """Overrides of TRUST."""
    warp: Literal["forward", "backward", "plane"] = "forward"
    """How reprojection makes a view (workers.simulation.warp); `rendered` has no use for it."""

    def trust(self, base: Trust) -> Trust:
        """The trust region with the overrides."""
        return Trust(
            lateral_m=self.trust_lateral_m or base.lateral_m,
            longitudinal_m=self.trust_longitudinal_m or base.longitudinal_m,
            heading_rad=self.trust_heading_rad or base.heading_rad,
        )


_PARAMETERS: TypeAdapter[Parameters] = TypeAdapter(Parameters)


def parse(parameters: dict[str, Any]) -> Parameters:
    """Raises SubmitterError with one finding per unknown or malformed parameter."""
    try:
        return _PARAMETERS.validate_python(parameters)
    except ValidationError as error:
        raise SubmitterError("the simulator's parameters are not valid", validation_findings(error)) from None
