"""From values per step to one number per rollout, with the steps that were never driven counted.

A rollout that failed counts every step that it did not drive at the metric's cap, and no driven
step counts for more than the cap: leaving early can never improve a model. A rollout that left the
trust region is *censored*: its value is of what was driven, and [low, high] is what the whole could
have been.

    planned  |----------------------------------------|
    driven   |=====================|
    failed   |=====================| cap  cap  cap  cap |   value = low = high
    censored |=====================|  0 (low) … cap (high) |   value: driven steps alone
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from suites.metrics.result import MetricResult, invalid
from suites.rollout import Trace
from suites.segment import DRIVER_CODES
from suites.vocabulary import FAILING, NOT_SCORED, Outcome

Floats = NDArray[np.float64]
Series = Callable[[Trace], Floats]
"""[T] a value per step; NaN is unknown."""
Measure = Callable[[Trace, Outcome, float], MetricResult]
"""One measure of a rollout; the number is the metric's cap."""


def column(trace: Trace, name: str) -> Floats:
    """One trace column as float64 [T]."""
    return np.asarray(trace[name], dtype=np.float64)


def human(trace: Trace) -> NDArray[np.bool_]:
    """[T] steps at which a human drove the log: only there is the log a reference."""
    return np.equal(column(trace, "log_driver"), DRIVER_CODES["human"])


def undriven_steps(trace: Trace) -> int:
    return max(0, trace.planned_steps - len(trace))


def squared(series: Series) -> Series:
    return lambda trace: series(trace) ** 2


def magnitude(series: Series) -> Series:
    return lambda trace: np.abs(series(trace))


def mean_of(series: Series) -> Measure:
    """The mean of `series` >= 0 over the planned steps."""
    return _over_steps(series, lambda values: float(np.mean(values)))


def percentile_of(series: Series, percent: float) -> Measure:
    """A percentile of `series` >= 0 over the planned steps, linearly interpolated."""
    return _over_steps(series, lambda values: float(np.percentile(values, percent)))


def largest_of(series: Series) -> Measure:
    """The maximum of `series` >= 0 over the planned steps."""
    return percentile_of(series, 100)


def _over_steps(series: Series, reduced: Callable[[Floats], float]) -> Measure:
    """Unknown steps are left out; if every driven step is unknown the result is not valid."""

    def measure(trace: Trace, outcome: Outcome, cap: float) -> MetricResult:
        values = series(trace)
        if outcome in NOT_SCORED:
            return invalid(f"outcome is {outcome}")
        known = np.minimum(values[np.isfinite(values)], cap)
        if len(values) and not len(known):
            return invalid("unknown at every step that was driven")

        def filled(filler: float) -> float:
            """The whole, had every undriven step this value."""
            whole = np.concatenate([known, np.full(undriven_steps(trace), filler)])
            return reduced(whole) if len(whole) else float("nan")

        driven = reduced(known) if len(known) else float("nan")
        return _with_bounds(outcome, driven, filled(0.0), filled(cap))

    return measure


def whole(number: Callable[[Trace], float]) -> Measure:
    """A number >= 0 of the whole driven stretch; NaN where it can't be measured.

    What was not driven counts by its share of the planned steps.
    """

    def measure(trace: Trace, outcome: Outcome, cap: float) -> MetricResult:
        value = number(trace)
        if outcome in NOT_SCORED:
            return invalid(f"outcome is {outcome}")
        share = undriven_steps(trace) / max(trace.planned_steps, 1)
        if not np.isfinite(value):
            if outcome not in FAILING or share == 0.0:
                return invalid("not measurable on what was driven")
            return MetricResult(cap, True, cap, cap)
        driven = min(max(value, 0.0), cap)
        best = (1 - share) * driven
        return _with_bounds(outcome, driven, best, best + share * cap)

    return measure


def _with_bounds(outcome: Outcome, driven: float, best: float, worst: float) -> MetricResult:
    if outcome in FAILING:
        return MetricResult(worst, True, worst, worst)
    if outcome is Outcome.LEFT_TRUST_REGION:
        if not np.isfinite(driven):
            return invalid("left the trust region before the first step")
        return MetricResult(driven, True, best, worst)
    if not np.isfinite(driven):
        return invalid("no step was driven")
    return MetricResult(driven, True, driven, driven)
