"""What a simulator may be told by a suite (`[simulator] parameters`).

Checked when a suite is registered, long before it is driven. Unknown names are refused: a typing
error must not change what is tested.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, StrictBool, TypeAdapter, ValidationError

from suites.errors import SubmitterError
from suites.manifest import STRICT, validation_findings

T = TypeVar("T")
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Of the driving simulators: `reprojection` and `rendered`."""

    __pydantic_config__ = STRICT

    feedback: Literal["closed", "log"] = "closed"
    """`log`: the ego stays on the logged poses, at the scenario's offset, whatever is answered."""
    indicator: Literal["log", "none"] = "log"
    """What a model is told whose desire is the blinker; `none`: that nobody wants to turn."""
    lateral_bound_m: Positive = 2.0
    """Farther from the logged path is *failed*; at least 0.5 m beyond the scenario's offset."""
    warm_up_s: Annotated[float, Field(ge=0, le=20)] = 1.0
    """Of logged frames that fill a recurrent state before the window starts."""
    trust_lateral_m: Positive | None = None
    trust_longitudinal_m: Positive | None = None
    trust_heading_rad: Positive | None = None
    """Overrides of the trust region that the source of depth gives."""
    warp: Literal["forward", "backward", "plane"] = "forward"
    """How reprojection makes a view (workers.simulation.views.warp); of no use to `rendered`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlsParameters:
    """Of `tinyphysics`."""

    __pydantic_config__ = STRICT

    full: StrictBool = False
    """Drive to the log's end instead of stopping where the costs stop."""
    seed_string: str | None = None
    """Seeds each segment as the public script seeds a file of that path.
    `{segment}` stands for the segment's name. None: seeded from the drive_key."""


_DRIVING: TypeAdapter[Parameters] = TypeAdapter(Parameters)
_CONTROLS: TypeAdapter[ControlsParameters] = TypeAdapter(ControlsParameters)


def parse(parameters: dict[str, Any]) -> Parameters:
    """Raises SubmitterError with one finding per unknown or malformed parameter."""
    return _parsed(_DRIVING, parameters)


def parse_controls(parameters: dict[str, Any]) -> ControlsParameters:
    """Raises SubmitterError with one finding per unknown or malformed parameter."""
    return _parsed(_CONTROLS, parameters)


def _parsed(adapter: TypeAdapter[T], parameters: dict[str, Any]) -> T:
    try:
        return adapter.validate_python(parameters)
    except ValidationError as error:
        findings = tuple(
            replace(f, where=f"simulator.parameters.{f.where}") for f in validation_findings(error)
        )
        raise SubmitterError("the simulator's parameters are not valid", findings) from None
