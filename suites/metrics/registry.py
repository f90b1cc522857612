"""The one literal registry of metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from suites.judgement import MetricResult
from suites.rollout import Trace
from suites.words import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A named measure with unit and direction; lower is better unless said."""

    name: str
    version: int
    unit: str
    description: str
    direction: Literal["lower", "higher", "none"]
    cap: float | None
    """Value of a step (or of the whole) that was not driven; None: such a rollout is not valid for it."""
    measure: Callable[[Trace, Outcome], MetricResult]


METRICS: dict[str, Metric] = {}
