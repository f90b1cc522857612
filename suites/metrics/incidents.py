"""Countable driving mistakes, and at which second each happened."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from suites.metrics.comfort import hard_brake, uncomfortable
from suites.metrics.steps import Floats, Series, column
from suites.rollout import Trace


@dataclass(frozen=True, slots=True)
class Incident:
    kind: str
    start_s: float
    end_s: float
    """Time from the window's start; one incident is one uninterrupted stretch."""


def _beyond(trace: Trace, left: str, right: str) -> Floats:
    """[T] 1 where the body crosses an edge that the human kept inside there; NaN where unknown."""
    half = trace.vehicle_width_m / 2
    offset = column(trace, "lateral_offset_m")
    left_m = column(trace, left)
    right_m = column(trace, right)
    ego = (left_m < half) | (right_m > -half)
    # The edge seen from the log's pose: where the human was over it too, there is no penalty.
    log = (left_m + offset < half) | (right_m + offset > -half)
    known = np.isfinite(left_m) & np.isfinite(right_m)
    return np.where(known, (ego & ~log).astype(np.float64), np.nan)


def road_departure(trace: Trace) -> Floats:
    return _beyond(trace, "road_left_m", "road_right_m")


def lane_departure(trace: Trace) -> Floats:
    return _beyond(trace, "lane_left_m", "lane_right_m")


class Detector(NamedTuple):
    """How one kind of incident is seen."""

    detect: Series
    """[T] 1 where it happens, 0 where not, NaN unknown."""
    needs: tuple[str, ...]
    """Trace columns that it reads."""


DETECTORS = {
    "road_departure": Detector(road_departure, ("road_left_m", "road_right_m", "lateral_offset_m")),
    "lane_departure": Detector(lane_departure, ("lane_left_m", "lane_right_m", "lateral_offset_m")),
    "hard_brake": Detector(
        hard_brake, ("acceleration_mps2", "log_acceleration_mps2", "log_driver")
    ),
    "comfort_violation": Detector(uncomfortable, ("curvature", "speed_mps", "acceleration_mps2")),
}
"""By kind; each is a metric of its own too, `incident_` and its kind."""


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
