"""Tags that a log earns by what happens in it, for suites to select by."""

import numpy as np
from numpy.typing import NDArray

from suites.segment import Floats, SegmentColumns

HIGHWAY_MPS = 22.0
CURVE, CURVE_S, CURVE_MIN_MPS = 0.002, 2.0, 5.0
"""Radius under 500 m for two seconds on end, driven at a speed at which curvature is known."""
LANE_SHIFT_M, LANE_SETTLE_S, LANE_MAX_TURN_RAD = 2.0, 3.0, 0.25
NIGHT_LUMA = 45.0


def automatic_tags(columns: SegmentColumns, luma: Floats) -> tuple[str, ...]:
    """`highway` by median speed, `curve` by curvature, `night` by brightness, `lane_change` by a
    blinker and a shift to its side. luma: mean grey level (0-255) of each frame [n]."""
    bend = np.abs(columns.curvature) * (columns.speed_mps > CURVE_MIN_MPS)
    found = {
        "curve": _longest(bend >= CURVE, columns.t_s) >= CURVE_S,
        "highway": float(np.median(columns.speed_mps)) >= HIGHWAY_MPS,
        "lane_change": _changes_lane(columns, columns.left_blinker, 1.0)
        or _changes_lane(columns, columns.right_blinker, -1.0),
        "night": float(np.median(luma)) < NIGHT_LUMA,
    }
    return tuple(sorted(tag for tag, holds in found.items() if holds))


def _changes_lane(columns: SegmentColumns, blinker: NDArray[np.bool_], side: float) -> bool:
    """Whether the car shifts aside of its mean turning while the blinker is on, or just after."""
    t = columns.t_s
    for start, stop in _runs(blinker):
        rows = (t >= t[start]) & (t <= t[stop - 1] + LANE_SETTLE_S)
        time = t[rows]
        yaw = columns.yaw_rad[rows]
        if len(time) < 2 or abs(yaw[-1] - yaw[0]) > LANE_MAX_TURN_RAD:
            continue
        aside = yaw - np.interp(time, time[[0, -1]], yaw[[0, -1]])
        shift = float(np.trapezoid(columns.speed_mps[rows] * np.sin(aside), time))
        if side * shift >= LANE_SHIFT_M:
            return True
    return False


def _longest(holds: NDArray[np.bool_], t: Floats) -> float:
    return max((float(t[stop - 1] - t[start]) for start, stop in _runs(holds)), default=0.0)


def _runs(holds: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, stop) of each stretch that holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
