"""Curvature and elevation along a road, and the curve that follows from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from workers.simulation.world.exact import blurred, cos_sin

Floats = NDArray[np.float64]
STEP_M = 1.0
"""Distance between the nodes of a road table."""
FINE_M = 0.05
"""Step of the integrations."""
X, Y, COS, SIN, KAPPA, Z, GRADE, YAW = range(8)
"""Columns of a road table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Where a road runs: smooth functions of its arc length s in [0, length]."""

    curvature: CubicSpline
    elevation: CubicSpline
    table: Floats
    """[n, 8] nodes every STEP_M: x, y, cos(yaw), sin(yaw), curvature, z, grade, yaw."""

    @property
    def length_m(self) -> float:
        return (len(self.table) - 1) * STEP_M


def cumulative(values: Floats, step: float) -> Floats:
    """Integral from the first sample to each (trapezium rule)."""
    return np.concatenate(([0.0], np.cumsum(values[1:] + values[:-1]) * (step / 2)))


def align(
    curvature: Floats, elevation: Floats, x_m: float = 0.0, y_m: float = 0.0, yaw_rad: float = 0.0
) -> Alignment:
    """The curve from a start pose: curvature [n] 1/m (left positive) and elevation [n] m."""
    nodes = np.arange(len(curvature)) * STEP_M
    kappa, height = CubicSpline(nodes, curvature), CubicSpline(nodes, elevation)
    per_node = round(STEP_M / FINE_M)
    fine = np.arange((len(nodes) - 1) * per_node + 1) * FINE_M
    yaw = yaw_rad + cumulative(kappa(fine), FINE_M)
    cos, sin = cos_sin(yaw)
    x, y = x_m + cumulative(cos, FINE_M), y_m + cumulative(sin, FINE_M)
    yaw, x, y, cos, sin = (column[::per_node] for column in (yaw, x, y, cos, sin))
    table = np.stack([x, y, cos, sin, kappa(nodes), height(nodes), height(nodes, 1), yaw], axis=1)
    return Alignment(curvature=kappa, elevation=height, table=np.ascontiguousarray(table))


def smooth(values: Floats, length_m: float) -> Floats:
    """Convolve with a raised cosine of that length, so that the corners of clothoids are smooth."""
    return blurred(values, 2 * int(length_m / STEP_M / 2) + 1)


def winding(
    rng: np.random.Generator, length_m: float, tightest_1pm: float, straight_m: tuple[float, float]
) -> Floats:
    """Curvature [n] of straights and curves joined by clothoids.

    The heading stays within about a radian of the first one, so the road never meets itself.
    """
    corners: list[tuple[float, float]] = [(0.0, 0.0), (120.0, 0.0)]
    heading = 0.0
    s = 120.0
    while s < length_m:
        peak = tightest_1pm * rng.uniform(0.35, 1.0)
        ramp = rng.uniform(40.0, 80.0)
        hold = min(rng.uniform(30.0, 160.0), max(0.0, 0.7 / peak - ramp))
        sign = 1.0 if rng.random() < 0.5 else -1.0
        turn = peak * (ramp + hold)
        if abs(heading + sign * turn) > 0.9:
            sign = -1.0 if heading > 0 else 1.0
        heading += sign * turn
        straight = rng.uniform(*straight_m)
        for step, value in ((ramp, sign * peak), (hold, sign * peak), (ramp, 0.0), (straight, 0.0)):
            s += step
            corners.append((s, value))
    at, values = np.array(corners).T
    return smooth(np.interp(np.arange(int(length_m / STEP_M) + 1) * STEP_M, at, values), 24.0)


def rolling(rng: np.random.Generator, length_m: float, steepest: float) -> Floats:
    """Elevation [n] in metres: waves of 250-700 m whose grades add up to at most `steepest`."""
    s = np.arange(int(length_m / STEP_M) + 1) * STEP_M
    height = np.zeros_like(s)
    for share, wavelength in zip(
        (0.5, 0.3, 0.2), rng.uniform((450, 300, 240), (700, 450, 300)), strict=True
    ):
        _, wave = cos_sin(2 * np.pi * s / wavelength + rng.uniform(0, 2 * np.pi))
        height += steepest * share * wavelength / (2 * np.pi) * wave
    return height
