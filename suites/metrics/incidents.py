"""Countable driving mistakes: at which second each happened, and as 0/1 per rollout."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from suites.judgement import MetricResult
from suites.metrics.comfort import hard_brake, uncomfortable
from suites.metrics.steps import Floats, column, over_steps
from suites.rollout import Trace
from suites.vocabulary import Outcome


@dataclass(frozen=True, slots=True)
class Incident:
    kind: str
    start_s: float
    end_s: float
    """Time from the window's start; one incident is one uninterrupted stretch."""


def _beyond(trace: Trace, left: str, right: str) -> Floats:
    """[T] 1 where the body crosses an edge that the human, at the same place, kept inside; NaN where unknown."""
    half, offset = trace.vehicle_width_m / 2, column(trace, "lateral_offset_m")
    left_m, right_m = column(trace, left), column(trace, right)
    ego = (left_m < half) | (right_m > -half)
    # The edge seen from the log's pose: where the human was over it too, the step carries no penalty.
    log = (left_m + offset < half) | (right_m + offset > -half)
    return np.where(
        np.isfinite(left_m) & np.isfinite(right_m), (ego & ~log).astype(np.float64), np.nan
    )


def road_departure(trace: Trace) -> Floats:
    return _beyond(trace, "road_left_m", "road_right_m")


def lane_departure(trace: Trace) -> Floats:
    return _beyond(trace, "lane_left_m", "lane_right_m")


DETECTORS: dict[str, tuple[Callable[[Trace], Floats], tuple[str, ...]]] = {
    "road_departure": (road_departure, ("road_left_m", "road_right_m", "lateral_offset_m")),
    "lane_departure": (lane_departure, ("lane_left_m", "lane_right_m", "lateral_offset_m")),
    "hard_brake": (hard_brake, ("acceleration_mps2", "log_acceleration_mps2", "log_driver")),
    "comfort_violation": (uncomfortable, ("curvature", "speed_mps", "acceleration_mps2")),
}
"""Kind to (detector [T] of 0, 1 or NaN unknown; the columns that it needs)."""


def incidents(trace: Trace) -> list[Incident]:
    """Every incident of a rollout, in order of time."""
    found = []
    for kind, (detect, needs) in DETECTORS.items():
        if not set(needs) <= trace.columns.keys():
            continue
        hit = np.concatenate([[False], detect(trace) == 1, [False]])
        edges = np.flatnonzero(hit[1:] != hit[:-1])
        times = column(trace, "t_s")
        found += [
            Incident(kind, float(times[a]), float(times[b - 1]))
            for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]
    return sorted(found, key=lambda incident: (incident.start_s, incident.kind))


def lane_departure_share(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_steps(trace, outcome, lane_departure(trace), 1.0)


def incident_road_departure(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_steps(trace, outcome, road_departure(trace), 1.0, percentile=100)


def incident_lane_departure(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_steps(trace, outcome, lane_departure(trace), 1.0, percentile=100)


def incident_hard_brake(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_steps(trace, outcome, hard_brake(trace), 1.0, percentile=100)


def incident_comfort_violation(trace: Trace, outcome: Outcome) -> MetricResult:
    return over_steps(trace, outcome, uncomfortable(trace), 1.0, percentile=100)
