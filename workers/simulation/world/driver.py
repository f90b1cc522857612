"""A human driver: a smooth path near the lane's centre, a speed for the curves, and its log."""

from dataclasses import dataclass

import numpy as np

from workers.simulation.world.exact import arctan, blurred, cos_sin
from workers.simulation.world.profile import FINE_M, Alignment, Floats, cumulative

COMFORT_LATERAL_MPS2 = 2.0
HARDEST_MPS2 = 1.2
"""Bound of the longitudinal acceleration before smoothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A lateral move between two lane centres of the road, as positions d."""

    start_m: float
    length_m: float
    from_d: float
    to_d: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A driven path sampled every FINE_M of the road's arc length; all [n]."""

    s_m: Floats
    t_s: Floats
    x_m: Floats
    y_m: Floats
    yaw_rad: Floats
    curvature: Floats
    speed_mps: Floats
    """Horizontal."""
    acceleration_mps2: Floats

    def at(self, name: str, t_s: Floats) -> Floats:
        """A column at given times."""
        column: Floats = getattr(self, name)
        return np.interp(t_s, self.t_s, column)


def lateral(
    s: Floats, d: float, moves: tuple[Move, ...], wander: Floats
) -> tuple[Floats, Floats, Floats]:
    """d(s) and its first two derivatives: lane centre `d`, quintic moves, and wander.

    Wander is [k, 3]: amplitude, wave number, phase.
    """
    at, rate, bend = np.full_like(s, d), np.zeros_like(s), np.zeros_like(s)
    for move in moves:
        p = np.clip((s - move.start_m) / move.length_m, 0.0, 1.0)
        jump = move.to_d - move.from_d
        at += jump * p * p * p * (10 - 15 * p + 6 * p * p)
        rate += jump * 30 * p**2 * (1 - p) ** 2 / move.length_m
        bend += jump * 60 * p * (1 - p) * (1 - 2 * p) / move.length_m**2
    for amplitude, number, phase in wander:
        cos, sin = cos_sin(number * s + phase)
        at += amplitude * sin
        rate += amplitude * number * cos
        bend -= amplitude * number * number * sin
    return at, rate, bend


def speed_profile(
    s: Floats, curvature: Floats, cruise_mps: float, breath: tuple[float, float]
) -> Floats:
    """Speed [n] over the road: cruising with a slow breath (amplitude share, phase).

    It is slower in curves, bounded in acceleration, and smoothed over about 40 m.
    """
    wanted = cruise_mps * (1 + breath[0] * cos_sin(s / 70.0 + breath[1])[1])
    wanted = np.minimum(wanted, np.sqrt(COMFORT_LATERAL_MPS2 / np.maximum(np.abs(curvature), 1e-5)))
    coarse = slice(None, None, 20)
    square = wanted[coarse] ** 2
    gain = 2 * HARDEST_MPS2 * FINE_M * 20
    for order in (range(1, len(square)), range(len(square) - 2, -1, -1)):
        for i in order:
            square[i] = min(square[i], square[i - 1 if order.step > 0 else i + 1] + gain)
    return blurred(np.interp(s, s[coarse], blurred(np.sqrt(square), 43)), 61)


def drive_path(
    road: Alignment,
    start_m: float,
    stop_m: float,
    d: float,
    moves: tuple[Move, ...],
    wander: Floats,
    cruise_mps: float,
    breath: tuple[float, float],
) -> Path:
    """The path over s in [start, stop] of a road.

    Curvature is that of the curve c(s) + d(s) n(s). Heading and position are its integrals, so the
    columns agree to the integration's step (1e-6).
    """
    s = start_m + np.arange(int((stop_m - start_m) / FINE_M) + 1, dtype=np.float64) * FINE_M
    kappa = road.curvature(s)
    kappa_rate = road.curvature(s, 1)
    at, rate, bend = lateral(s, d, moves, wander)
    shrink = 1 - kappa * at
    stretch = np.sqrt(shrink**2 + rate**2)
    turn = shrink * (kappa * shrink + bend) + rate * (2 * kappa * rate + kappa_rate * at)
    curvature = turn / (stretch * stretch * stretch)
    node = road.table[min(round(start_m), len(road.table) - 1)]
    rest = start_m - round(start_m)
    yaw0 = node[7] + node[4] * rest
    yaw = yaw0 + arctan(rate[:1] / shrink[:1]) + cumulative(curvature * stretch, FINE_M)
    cos0, sin0 = cos_sin(yaw0)
    x0 = node[0] + rest * node[2] - at[0] * sin0
    y0 = node[1] + rest * node[3] + at[0] * cos0
    cos, sin = cos_sin(yaw)
    speed = speed_profile(s, curvature, cruise_mps, breath)
    t = cumulative(stretch / speed, FINE_M)
    return Path(
        s_m=s,
        t_s=t,
        x_m=x0 + cumulative(cos * stretch, FINE_M),
        y_m=y0 + cumulative(sin * stretch, FINE_M),
        yaw_rad=yaw,
        curvature=curvature,
        speed_mps=speed,
        acceleration_mps2=np.gradient(speed, t),
    )
