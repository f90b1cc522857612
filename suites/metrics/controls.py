"""The costs of comma's controls challenge, over the steps that its public script scores."""

import numpy as np

from suites.judgement import MetricResult
from suites.metrics.steps import column, over_whole
from suites.rollout import Trace
from suites.vocabulary import Outcome

STEP_S = 0.1
LATACCEL_WEIGHT = 50.0
LATACCEL_CAP, JERK_CAP = 1e3, 1e4


def _costs(trace: Trace) -> tuple[float, float]:
    scored = column(trace, "cost_window") == 1
    if scored.sum() < 2:
        return float("nan"), float("nan")
    target, driven = (
        column(trace, "target_lataccel_mps2")[scored],
        column(trace, "lataccel_mps2")[scored],
    )
    return float(np.mean((target - driven) ** 2) * 100), float(
        np.mean((np.diff(driven) / STEP_S) ** 2) * 100
    )


def lataccel_cost(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_whole(trace, outcome, _costs(trace)[0], LATACCEL_CAP)


def jerk_cost(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_whole(trace, outcome, _costs(trace)[1], JERK_CAP)


def total_cost(trace: Trace, outcome: Outcome) -> MetricResult:
    lataccel, jerk = _costs(trace)
    return over_whole(
        trace, outcome, LATACCEL_WEIGHT * lataccel + jerk, LATACCEL_WEIGHT * LATACCEL_CAP + JERK_CAP
    )
