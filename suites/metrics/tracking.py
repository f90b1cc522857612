"""Where the car was: against the human's path, and against the lane."""

import numpy as np

from suites.judgement import MetricResult
from suites.metrics.steps import column, human, invalid, over_steps, over_whole
from suites.rollout import Trace
from suites.vocabulary import NOT_SCORED, Outcome

LATERAL_CAP_M = 4.0
"""The small offset simulator's own limit (Goff et al. 2025): further off is lost, however far."""
HEADING_CAP_RAD = 0.35
TURN_CURVATURE = 1 / 500
"""1/m: tighter counts as a turn."""


def _lateral_error_m(trace: Trace) -> np.ndarray:
    return np.where(human(trace), np.abs(column(trace, "lateral_offset_m")), np.nan)


def lateral_error_mean_m(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_steps(trace, outcome, _lateral_error_m(trace), LATERAL_CAP_M)


def lateral_error_p95_m(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_steps(trace, outcome, _lateral_error_m(trace), LATERAL_CAP_M, percentile=95)


def lateral_error_max_m(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_steps(trace, outcome, _lateral_error_m(trace), LATERAL_CAP_M, percentile=100)


def lane_position_m(trace: Trace) -> np.ndarray:
    """[T] signed position of the ego from the middle of its lane, left positive; NaN where edges are unknown."""
    return -(column(trace, "lane_left_m") + column(trace, "lane_right_m")) / 2


def lane_centre_error_mean_m(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_steps(trace, outcome, np.abs(lane_position_m(trace)), LATERAL_CAP_M)


def lane_bias_m(trace: Trace, outcome: Outcome) -> MetricResult:
    """Magnitude of the mean signed position: a steady pull to one side, which weaving about the centre is not."""
    known = lane_position_m(trace)
    known = known[np.isfinite(known)]
    return over_whole(
        trace, outcome, abs(float(known.mean())) if len(known) else float("nan"), LATERAL_CAP_M
    )


def heading_error_mean_rad(trace: Trace, outcome: Outcome) -> MetricResult:
    values = np.where(human(trace), np.abs(column(trace, "heading_error_rad")), np.nan)
    return over_steps(trace, outcome, values, HEADING_CAP_RAD)


def turn_cutting_m(trace: Trace, outcome: Outcome) -> MetricResult:
    """Mean offset towards the inside of the turn, over the human's turns tighter than 500 m radius."""
    bend = column(trace, "log_curvature")
    turning = human(trace) & (np.abs(bend) > TURN_CURVATURE)
    inward = np.sign(bend) * column(trace, "lateral_offset_m")
    return over_steps(
        trace, outcome, np.where(turning, np.maximum(inward, 0.0), np.nan), LATERAL_CAP_M
    )


def time_to_failure_s(trace: Trace, outcome: Outcome) -> MetricResult:
    """Time driven before the rollout failed; the whole window if it did not. Higher is better, so a censored
    rollout's `low` (best) is the whole window."""
    if outcome in NOT_SCORED:
        return invalid(f"outcome is {outcome}")
    driven, planned = len(trace) / trace.rate_hz, trace.planned_steps / trace.rate_hz
    return MetricResult(
        driven, True, planned if outcome is Outcome.LEFT_TRUST_REGION else driven, driven
    )


def progress_shortfall(trace: Trace, outcome: Outcome) -> MetricResult:
    """Share of the logged progress that was not made: 1 - nuPlan's ego_progress_along_expert_route, with the log's
    own time as the measure of progress (no credit for being faster)."""
    index = column(trace, "log_index")
    if len(index) < 2:
        return over_whole(trace, outcome, float("nan"), 1.0)
    return over_whole(trace, outcome, 1 - float(index[-1] - index[0]) / (len(index) - 1), 1.0)
