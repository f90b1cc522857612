"""From values per step to one number per rollout, with the steps that were never driven counted honestly.

A rollout that failed counts every step it did not drive at the metric's cap, and no driven step counts for more than
the cap: leaving early can never improve a model. A rollout that left the trust region is *censored*: its value is what
was driven, and [low, high] is what the whole could have been.
"""

import numpy as np
from numpy.typing import NDArray

from suites.judgement import MetricResult
from suites.rollout import Trace
from suites.segment import DRIVER_CODES
from suites.vocabulary import FAILING, NOT_SCORED, Outcome

Floats = NDArray[np.float64]


def invalid(reason: str) -> MetricResult:
    nan = float("nan")
    return MetricResult(nan, False, nan, nan, reason)


def column(trace: Trace, name: str) -> Floats:
    """One trace column as float64 [T]."""
    return np.asarray(trace[name], dtype=np.float64)


def human(trace: Trace) -> NDArray[np.bool_]:
    """[T] steps at which a human drove the log: only there is the log a reference."""
    return np.equal(column(trace, "log_driver"), DRIVER_CODES["human"])


def undriven_steps(trace: Trace) -> int:
    return max(0, trace.planned_steps - len(trace))


def over_steps(
    trace: Trace, outcome: Outcome, values: Floats, cap: float, *, percentile: float | None = None
) -> MetricResult:
    """Mean (or a percentile, linear interpolation; 100 is the maximum) of `values` [T] >= 0 over the planned steps.
    NaN steps are unknown and left out; if every driven step is unknown the result is not valid."""
    if outcome in NOT_SCORED:
        return invalid(f"outcome is {outcome}")
    known = np.minimum(values[np.isfinite(values)], cap)
    if len(values) and not len(known):
        return invalid("unknown at every step that was driven")

    def reduce(filler: float | None) -> float:
        full = (
            known
            if filler is None
            else np.concatenate([known, np.full(undriven_steps(trace), filler)])
        )
        if not len(full):
            return float("nan")
        return float(np.mean(full) if percentile is None else np.percentile(full, percentile))

    return _with_bounds(trace, outcome, reduce(None), reduce(0.0), reduce(cap))


def over_whole(
    trace: Trace, outcome: Outcome, value: float, cap: float, floor: float = 0.0
) -> MetricResult:
    """A number of the whole driven stretch; what was not driven counts by its share of the planned steps."""
    if outcome in NOT_SCORED:
        return invalid(f"outcome is {outcome}")
    share = undriven_steps(trace) / max(trace.planned_steps, 1)
    if not np.isfinite(value):
        if outcome not in FAILING or share == 0.0:
            return invalid("not measurable on what was driven")
        return MetricResult(cap, True, cap, cap)
    driven = min(max(value, floor), cap)
    return _with_bounds(
        trace,
        outcome,
        driven,
        (1 - share) * driven + share * floor,
        (1 - share) * driven + share * cap,
    )


def _with_bounds(
    trace: Trace, outcome: Outcome, driven: float, best: float, worst: float
) -> MetricResult:
    if outcome in FAILING:
        return MetricResult(worst, True, worst, worst)
    if outcome is Outcome.LEFT_TRUST_REGION:
        if not np.isfinite(driven):
            return invalid("left the trust region before the first step")
        return MetricResult(driven, True, best, worst)
    return (
        MetricResult(driven, True, driven, driven)
        if np.isfinite(driven)
        else invalid("no step was driven")
    )
