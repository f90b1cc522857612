"""A route: one road world from one seed, with its main road, terrain and perhaps an exit ramp."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from workers.simulation.world.ground import Ground, survey
from workers.simulation.world.profile import (
    STEP_M,
    Alignment,
    Floats,
    align,
    rolling,
    smooth,
    winding,
)

LEAD_M = 250.0
"""The ramp's table begins this far before its lane opens, as an offset curve of the main road."""
TAPER_M = 60.0
PARALLEL_M = 150.0
RAMP_M = 420.0
OPPOSITE_MARGIN_M = 3.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """All that a route's world follows from; stored in each segment's meta.json."""

    seed: int
    kind: Literal["highway", "country"]
    lanes: int
    """Of the ego's carriageway. A country road has two, the left one oncoming."""
    lane_width_m: float
    length_m: float
    tightest_1pm: float
    """Largest curvature of the road."""
    steepest: float
    """Largest grade of the road."""
    cruise_mps: float
    night: bool
    exit_m: float | None
    """Where the exit's lane opens, along the main road."""


def route_spec(seed: int, number: int) -> RouteSpec:
    """Route `number` of a corpus: kinds, night, exits and hills alternate, the rest is drawn."""
    rng = np.random.default_rng([seed, number, 1])
    kind: Literal["highway", "country"] = "country" if number % 3 == 2 else "highway"
    highway = kind == "highway"
    hilly = number % 2 == 1
    return RouteSpec(
        seed=int(rng.integers(2**31)),
        kind=kind,
        lanes=int(rng.integers(2, 4)) if highway else 2,
        lane_width_m=round(float(rng.uniform(3.5, 3.75) if highway else rng.uniform(3.2, 3.5)), 2),
        length_m=2600.0,
        tightest_1pm=round(
            float(rng.uniform(1 / 420, 1 / 260) if highway else rng.uniform(1 / 160, 1 / 90)), 5
        ),
        steepest=round(float(rng.uniform(0.04, 0.065) if hilly else rng.uniform(0.004, 0.012)), 4),
        cruise_mps=round(float(rng.uniform(23, 30) if highway else rng.uniform(17, 21)), 1),
        night=number % 5 == 3,
        exit_m=1150.0 if highway and number % 6 in (0, 4) else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A built route, in its own world frame."""

    spec: RouteSpec
    main: Alignment
    ramp: Alignment | None
    ground: Ground

    def lane_centre(self, lane: int) -> float:
        """d of the middle of a lane of the main road, counted from the left."""
        return ((self.spec.lanes - 1) / 2 - lane) * self.spec.lane_width_m


def _ramp(spec: RouteSpec, main: Alignment, exit_m: float, rng: np.random.Generator) -> Alignment:
    """Beside the main road to the gore, then away to the right, rising or falling."""
    d = -(spec.lanes + 1) / 2 * spec.lane_width_m
    start = exit_m - LEAD_M
    gore = LEAD_M + TAPER_M + PARALLEL_M
    s2 = np.arange(int((gore + RAMP_M) / STEP_M) + 1) * STEP_M
    s1 = np.empty_like(s2)
    s1[0] = start
    for i in range(1, len(s2)):
        s1[i] = s1[i - 1] + STEP_M / (1 - float(main.curvature(s1[i - 1])) * d)
    inside = np.clip(s1, 0.0, main.length_m)
    road = main.curvature(inside) / (1 - main.curvature(inside) * d)
    follow = smooth(np.clip(1 - (s2 - gore - 20.0) / 60.0, 0.0, 1.0), 24.0)
    away = 1 / rng.uniform(230, 320)
    later = -1 / rng.uniform(110, 200)
    bends = [0, -away, -away, 0, later, later, 0]
    own = np.interp(s2 - gore, [0, 40, 70, 110, 170, 320, 380], bends)
    curvature = road * follow + smooth(own, 24.0)
    apart = np.clip((s2 - gore - 70.0) / 150.0, 0.0, 1.0)
    rise = float(rng.choice([-1.0, 1.0])) * rng.uniform(2.0, 4.5)
    step = 10 + apart * (6 * apart - 15)
    elevation = main.elevation(inside) + rise * apart * apart * apart * step
    x, y, cos, sin, *_, yaw = main.table[int(start / STEP_M)]
    return align(curvature, elevation, x - d * sin, y + d * cos, yaw)


@lru_cache(maxsize=4)
def build_route(spec: RouteSpec) -> Route:
    """Build the world of a route (about 0.15 s)."""
    rng = np.random.default_rng([spec.seed, 2])
    highway = spec.kind == "highway"
    straight_m = (60.0, 320.0) if highway else (30.0, 160.0)
    curvature = winding(rng, spec.length_m, spec.tightest_1pm, straight_m)
    if spec.exit_m is not None:
        curvature = _straighten(curvature, spec.exit_m, spec.exit_m + TAPER_M + PARALLEL_M + 100.0)
    main = align(curvature, rolling(rng, spec.length_m, spec.steepest))
    ramp = None if spec.exit_m is None else _ramp(spec, main, spec.exit_m, rng)
    ramp_table = None if ramp is None else ramp.table
    grid, grid_x, grid_y = survey(main.table, ramp_table, 4.0 + 60.0 * spec.steepest, rng)
    half = spec.lanes * spec.lane_width_m / 2
    left, right = (half + 1.0, -half - 2.5) if highway else (half + 0.7, -half - 0.7)
    median = 4.0 if highway else 0.0
    ground = Ground(
        main=main.table,
        ramp=main.table[:1] if ramp is None else ramp.table,
        grid=grid,
        grid_x=grid_x,
        grid_y=grid_y,
        lanes=spec.lanes,
        lane_width=spec.lane_width_m,
        left_paved=left,
        right_paved=right,
        far_left=left + median + 2 * half + OPPOSITE_MARGIN_M if highway else left,
        median=median,
        has_ramp=ramp is not None,
        taper_start=LEAD_M,
        taper_length=TAPER_M,
        gore=LEAD_M + TAPER_M + PARALLEL_M,
    )
    return Route(spec=spec, main=main, ramp=ramp, ground=ground)


def _straighten(curvature: Floats, start_m: float, stop_m: float) -> Floats:
    """Gentler by 80 % on a stretch: exits lie where the road is nearly straight."""
    s = np.arange(len(curvature)) * STEP_M
    eased: Floats = np.interp(s, [start_m - 80, start_m, stop_m, stop_m + 80], [0.0, 0.8, 0.8, 0.0])
    return curvature * (1 - eased)
