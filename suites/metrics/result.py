"""What measuring one rollout answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One measure of one rollout. Missing is not zero: `valid` says whether `value` may be read."""

    value: float
    """NaN when not valid."""
    valid: bool
    low: float
    """Best that the value can be: what lies beyond the trust region counts at the best."""
    high: float
    """Worst that it can be: what lies beyond the trust region counts at the metric's cap."""
    reason: str = ""
    """Why it is not valid."""


def invalid(reason: str) -> MetricResult:
    nan = float("nan")
    return MetricResult(nan, False, nan, nan, reason)
