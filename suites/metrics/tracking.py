"""Where the car was: against the human's path, and against the lane."""

import numpy as np

from suites.metrics.result import MetricResult, invalid
from suites.metrics.steps import Floats, column, human
from suites.rollout import Trace
from suites.vocabulary import NOT_SCORED, Outcome

LATERAL_CAP_M = 4.0
"""The small offset simulator's own limit (Goff et al. 2025): further off is lost, however far."""
HEADING_CAP_RAD = 0.35
TURN_CURVATURE = 1 / 500
"""1/m: tighter counts as a turn."""


def lateral_error_m(trace: Trace) -> Floats:
    """[T] distance from the human's path; NaN where no human drove."""
    return np.where(human(trace), np.abs(column(trace, "lateral_offset_m")), np.nan)


def lane_position_m(trace: Trace) -> Floats:
    """[T] position from the middle of the lane, left positive; NaN where edges are unknown."""
    return -(column(trace, "lane_left_m") + column(trace, "lane_right_m")) / 2


def lane_bias_m(trace: Trace) -> float:
    """Magnitude of the mean position: a steady pull to one side, which weaving is not."""
    position = lane_position_m(trace)
    known = position[np.isfinite(position)]
    return abs(float(known.mean())) if len(known) else float("nan")


def heading_error_rad(trace: Trace) -> Floats:
    """[T] difference from the human's heading; NaN where no human drove."""
    return np.where(human(trace), np.abs(column(trace, "heading_error_rad")), np.nan)


def turn_cutting_m(trace: Trace) -> Floats:
    """[T] offset towards the inside of the human's turns tighter than 500 m; NaN elsewhere."""
    bend = column(trace, "log_curvature")
    turning = human(trace) & (np.abs(bend) > TURN_CURVATURE)
    inward = np.sign(bend) * column(trace, "lateral_offset_m")
    return np.where(turning, np.maximum(inward, 0.0), np.nan)


def time_to_failure_s(trace: Trace, outcome: Outcome, _cap: float) -> MetricResult:
    """Time driven before the rollout failed; the whole window if it did not."""
    if outcome in NOT_SCORED:
        return invalid(f"outcome is {outcome}")
    driven_s = len(trace) / trace.rate_hz
    # Longer is better: the best that a censored rollout can be is the whole window.
    censored = outcome is Outcome.LEFT_TRUST_REGION
    best_s = trace.planned_steps / trace.rate_hz if censored else driven_s
    return MetricResult(driven_s, True, best_s, driven_s)


def progress_shortfall(trace: Trace) -> float:
    """Share of the logged progress that was not made.

    1 - nuPlan's ego_progress_along_expert_route, with the log's own time as the measure of
    progress: no credit for being faster.
    """
    index = column(trace, "log_index")
    if len(index) < 2:
        return float("nan")
    return 1 - float(index[-1] - index[0]) / (len(index) - 1)
