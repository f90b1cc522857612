"""What stands beside a route's roads, and the light it is seen in."""

import math

import numpy as np

from workers.simulation.world.ground import ground_at
from workers.simulation.world.objects import BANDED, BOX, CAR, CYLINDER, ELLIPSOID, LEAVES, PLAIN, SIGN
from workers.simulation.world.profile import Alignment, Floats
from workers.simulation.world.route import LEAD_M, PARALLEL_M, TAPER_M, Route
from workers.simulation.world.shading import Light
from workers.simulation.world.texture import pyramid

CAR_COLOURS = ((200, 202, 205), (35, 37, 42), (120, 124, 130), (150, 30, 32), (40, 62, 120), (225, 226, 224), (70, 88, 78))
Placed = list[tuple[float, ...]]


def light_of(route: Route) -> Light:
    """Day with a drawn sun and season, or night with headlights."""
    rng = np.random.default_rng([route.spec.seed, 3])
    azimuth, up, dry = (float(v) for v in rng.uniform((0.0, 0.35, 0.0), (2 * np.pi, 0.85, 1.0)))
    haze, blue, tone = (float(v) for v in rng.uniform((0.85, 0.75, 82.0), (1.0, 1.0, 118.0)))
    night = route.spec.night
    return Light(
        tile=pyramid(), night=night, ambient=0.09 if night else 1.0, beam=0.95,
        horizon=(15.0, 17.0, 25.0) if night else (205.0 * haze, 214.0 * haze, 224.0 * haze),
        zenith=(4.0, 5.0, 11.0) if night else (92.0 * blue, 140.0 * blue, 205.0 * blue),
        asphalt=(tone, tone, 1.02 * tone), grass=(88.0 + 42.0 * dry, 112.0 + 18.0 * dry, 52.0 + 8.0 * dry),
        soil=(140.0, 124.0, 88.0), sun_cos=math.cos(azimuth), sun_sin=math.sin(azimuth), sun_up=up,
    )  # fmt: skip


def beside(road: Alignment, s: Floats, d: Floats) -> tuple[Floats, Floats, Floats]:
    """x, y and the road's yaw at road coordinates."""
    at = np.arange(len(road.table))
    x, y, yaw = (np.interp(s, at, road.table[:, k]) for k in (0, 1, 7))
    return x - d * np.sin(yaw), y + d * np.cos(yaw), yaw


def things_of(route: Route) -> Floats:
    """[n, 16] static objects (objects.py): guard posts and rails, lamp poles, signs, trees, parked cars."""
    rng = np.random.default_rng([route.spec.seed, 4])
    g, highway = route.ground, route.spec.kind == "highway"
    placed: Placed = []

    def add(
        road: Alignment, s: Floats, d: Floats, kind: int, size: tuple[Floats | float, ...], look: tuple[Floats | float, ...]
    ) -> None:
        x, y, yaw = beside(road, s, d)
        here = ground_at(g, x, y)
        kept = np.ones(len(s), dtype=bool)
        if road is route.main and g.has_ramp:
            kept = ~((np.abs(here[:, 6]) < 7.5) & (here[:, 5] > LEAD_M))
        grade = here[:, 1] * np.cos(yaw) + here[:, 2] * np.sin(yaw)
        length, width, height, lift = (np.broadcast_to(v, s.shape) for v in size)
        red, green, blue, pattern, retro, reach = (np.broadcast_to(v, s.shape) for v in look)
        rows = np.stack(
            [np.full(s.shape, float(kind)), x, y, here[:, 0] + lift, np.cos(yaw), np.sin(yaw), length, width, height, red, green,
             blue, pattern, retro, grade if kind in (BOX, CAR) else np.zeros(s.shape), reach], axis=1)  # fmt: skip
        placed.extend(tuple(row) for row in rows[kept])

    def posts(road: Alignment, s: Floats, d: float) -> None:
        add(road, s, np.full(s.shape, d), CYLINDER, (0.06, 0.06, 1.05, 0.0), (232.0, 232.0, 228.0, BANDED, 0.55, 160.0))

    def trees(road: Alignment, s: Floats, d: Floats) -> None:
        radius = rng.uniform(1.3, 3.2, len(s))
        height = radius * rng.uniform(2.2, 3.4, len(s))
        trunk = rng.uniform(0.8, 2.4, len(s))
        tint = rng.uniform(0.7, 1.15, len(s))
        add(road, s, d, CYLINDER, (0.16, 0.16, trunk + 0.8, 0.0), (74.0, 58.0, 44.0, PLAIN, 0.0, 180.0))
        add(road, s, d, ELLIPSOID, (radius, radius, height, trunk), (66.0 * tint, 92.0 * tint, 44.0, LEAVES, 0.0, 420.0))

    end = route.main.length_m
    spaced = np.arange(20.0, end, 25.0 if not highway else 50.0)
    posts(route.main, spaced, g.right_paved - 0.5)
    posts(route.main, spaced, g.left_paved + 0.5)
    if g.median > 0:
        _rail(add, route.main, 0.0, end, g.left_paved + 0.5 * g.median)
        posts(route.main, spaced, g.far_left + 0.5)
    for start in np.arange(60.0, end - 200.0, rng.uniform(320.0, 520.0)):
        if rng.random() < 0.6:
            _rail(add, route.main, start, start + rng.uniform(80.0, 180.0), g.right_paved - 0.9)
    lamps = np.arange(40.0, end, 45.0)
    if rng.random() < 0.5:
        add(
            route.main,
            lamps,
            np.full(lamps.shape, g.right_paved - 2.4),
            CYLINDER,
            (0.11, 0.11, 8.5, 0.0),
            (128.0, 132.0, 134.0, PLAIN, 0.05, 300.0),
        )
    side = rng.permuted(np.tile([-1.0, 1.0], int(end / 9.0 / 2)))
    along = rng.uniform(0.0, end, len(side))
    away = rng.gamma(1.6, 9.0, len(side)) + 5.0
    trees(route.main, along, np.where(side > 0, g.far_left + away, g.right_paved - away))
    if not highway:
        avenue = np.arange(rng.uniform(200, 900), end, 14.0)[: int(rng.integers(12, 40))]
        trees(route.main, avenue, np.full(avenue.shape, g.right_paved - 3.2))
    stopped = rng.uniform(150.0, end - 200.0, 5 if highway else 9)
    colours = np.array(CAR_COLOURS, dtype=float)[rng.integers(len(CAR_COLOURS), size=len(stopped))]
    add(
        route.main, stopped, np.full(stopped.shape, g.right_paved + (1.15 if highway else -1.9)), CAR, (2.25, 0.9, 1.47, 0.0),
        (colours[:, 0], colours[:, 1], colours[:, 2], PLAIN, 0.06, 250.0),
    )  # fmt: skip
    boards = np.arange(rng.uniform(250, 500), end, 640.0)
    _board(add, route.main, boards, g.right_paved - 2.6, (30.0, 74.0, 150.0))
    if route.ramp is not None and route.spec.exit_m is not None:
        gore = LEAD_M + TAPER_M + PARALLEL_M
        after = np.arange(gore + 20.0, route.ramp.length_m, 25.0)
        posts(route.ramp, after, -0.5 * g.lane_width - 2.4)
        posts(route.ramp, after[4:], 0.5 * g.lane_width + 1.6)
        trees(route.ramp, rng.uniform(gore + 60, route.ramp.length_m, 24), -rng.uniform(8.0, 26.0, 24))
        _board(add, route.main, np.array([route.spec.exit_m - 60.0]), g.right_paved - 2.2, (28.0, 110.0, 62.0))
        _board(add, route.ramp, np.array([gore + 130.0]), 6.5, (28.0, 110.0, 62.0))
    return np.array(placed, dtype=np.float64)


def _rail(add, road: Alignment, start: float, stop: float, d: float) -> None:  # type: ignore[no-untyped-def]
    """A guard rail: plates of 4 m on posts."""
    s = np.arange(start + 2.0, min(stop, road.length_m - 3.0), 4.0)
    across = np.full(s.shape, d)
    add(road, s, across, BOX, (2.02, 0.04, 0.32, 0.46), (168.0, 172.0, 176.0, PLAIN, 0.06, 170.0))
    add(road, s, across - 0.08, CYLINDER, (0.06, 0.06, 0.7, 0.0), (120.0, 122.0, 124.0, PLAIN, 0.0, 60.0))


def _board(add, road: Alignment, s: Floats, d: float, colour: tuple[float, float, float]) -> None:  # type: ignore[no-untyped-def]
    """A sign board on two posts."""
    for aside in (-1.0, 1.0):
        add(road, s, np.full(s.shape, d + aside), CYLINDER, (0.07, 0.07, 3.0, 0.0), (130.0, 132.0, 134.0, PLAIN, 0.0, 220.0))
    add(road, s - 0.12, np.full(s.shape, d), BOX, (0.04, 1.6, 1.7, 1.7), (*colour, SIGN, 0.5, 300.0))
