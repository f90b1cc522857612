"""Signals that a condition may read: the trace's columns, and what is derived from them."""

import numpy as np

from suites.metrics.comfort import (
    lateral_acceleration_mps2,
    lateral_jerk_mps3,
    longitudinal_jerk_mps3,
)
from suites.metrics.steps import Floats, Series, column
from suites.metrics.tracking import lane_position_m
from suites.rollout import TRACE_COLUMNS, Trace


def line_crossing_s(trace: Trace) -> Floats:
    """[T] time to line crossing, s (van Winsum et al. 2000, first-order).

    Distance of the body to the lane edge that it moves towards, over the lateral speed at which it
    does; infinite while it moves to neither, 0 beyond an edge, NaN where an edge is unknown.
    """
    room_left = _room(trace, "lane_left_m")
    room_right = _room(trace, "lane_right_m")
    lateral_mps = column(trace, "speed_mps") * np.sin(column(trace, "heading_error_rad"))
    room = np.maximum(np.where(lateral_mps >= 0, room_left, room_right), 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        time = np.where(np.abs(lateral_mps) > 1e-6, room / np.abs(lateral_mps), np.inf)
    time = np.where(np.minimum(room_left, room_right) <= 0, 0.0, time)
    return np.where(np.isfinite(room_left) & np.isfinite(room_right), time, np.nan)


def _room(trace: Trace, edge: str) -> Floats:
    """[T] from the side of the body to an edge, m; negative beyond it."""
    to_edge = column(trace, edge)
    return (to_edge if "left" in edge else -to_edge) - trace.vehicle_width_m / 2


DERIVED: dict[str, Series] = {
    "lane_position_m": lane_position_m,
    "lateral_acceleration_mps2": lateral_acceleration_mps2,
    "lateral_jerk_mps3": lateral_jerk_mps3,
    "longitudinal_jerk_mps3": longitudinal_jerk_mps3,
    "line_crossing_s": line_crossing_s,
    "lane_gap_left_m": lambda trace: _room(trace, "lane_left_m"),
    "lane_gap_right_m": lambda trace: _room(trace, "lane_right_m"),
    "road_gap_left_m": lambda trace: _room(trace, "road_left_m"),
    "road_gap_right_m": lambda trace: _room(trace, "road_right_m"),
}
"""Signals beside the trace's own columns, in the unit of their name; left is positive."""

SIGNALS = frozenset({*TRACE_COLUMNS, *DERIVED})


def signal_values(trace: Trace, name: str) -> Floats:
    """[T] values of a signal. Raises KeyError where the trace lacks a column that it needs."""
    return DERIVED[name](trace) if name in DERIVED else column(trace, name)
