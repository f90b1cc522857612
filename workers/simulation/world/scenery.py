"""What stands beside a route's roads, and the light it is seen in."""

from dataclasses import dataclass, field

import numpy as np

from workers.simulation.world.exact import cos_sin
from workers.simulation.world.ground import Ground, ground_at
from workers.simulation.world.objects import (
    BANDED,
    BOX,
    CAR,
    CYLINDER,
    ELLIPSOID,
    LEAVES,
    PLAIN,
    SIGN,
)
from workers.simulation.world.profile import Alignment, Floats
from workers.simulation.world.route import LEAD_M, Route
from workers.simulation.world.shading import Light
from workers.simulation.world.texture import pyramid

CAR_COLOURS = (
    (200, 202, 205), (35, 37, 42), (120, 124, 130), (150, 30, 32),
    (40, 62, 120), (225, 226, 224), (70, 88, 78),
)  # fmt: skip
Look = tuple[Floats | float, Floats | float, Floats | float, int, float, float]
"""Red, green, blue, pattern, retro-reflection and reach (objects.py)."""


def light_of(route: Route) -> Light:
    """Day with a drawn sun and season, or night with headlights."""
    rng = np.random.default_rng([route.spec.seed, 3])
    azimuth, up, dry = (float(v) for v in rng.uniform((0.0, 0.35, 0.0), (2 * np.pi, 0.85, 1.0)))
    haze, blue, tone = (float(v) for v in rng.uniform((0.85, 0.75, 82.0), (1.0, 1.0, 118.0)))
    night = route.spec.night
    cos, sin = cos_sin(np.array(azimuth))
    return Light(
        tile=pyramid(),
        night=night,
        ambient=0.09 if night else 1.0,
        beam=0.95,
        horizon=(15.0, 17.0, 25.0) if night else (205.0 * haze, 214.0 * haze, 224.0 * haze),
        zenith=(4.0, 5.0, 11.0) if night else (92.0 * blue, 140.0 * blue, 205.0 * blue),
        asphalt=(tone, tone, 1.02 * tone),
        grass=(88.0 + 42.0 * dry, 112.0 + 18.0 * dry, 52.0 + 8.0 * dry),
        soil=(140.0, 124.0, 88.0),
        sun_cos=float(cos),
        sun_sin=float(sin),
        sun_up=up,
    )


def beside(road: Alignment, s: Floats, d: Floats) -> tuple[Floats, Floats, Floats]:
    """x, y and the road's yaw at road coordinates."""
    at = np.arange(len(road.table))
    x, y, yaw = (np.interp(s, at, road.table[:, k]) for k in (0, 1, 7))
    cos, sin = cos_sin(yaw)
    return x - d * sin, y + d * cos, yaw


@dataclass(frozen=True, slots=True)
class _Roadside:
    """Puts objects on the ground at road coordinates; nothing stands on the exit ramp."""

    route: Route
    rng: np.random.Generator
    rows: list[Floats] = field(default_factory=list)

    def add(
        self,
        road: Alignment,
        s: Floats,
        d: Floats | float,
        kind: int,
        size: tuple[Floats | float, ...],
        look: Look,
    ) -> None:
        """`size`: half length, half width, height and how far it hangs above the ground."""
        x, y, yaw = beside(road, s, np.broadcast_to(d, s.shape))
        here = ground_at(self.route.ground, x, y)
        cos, sin = cos_sin(yaw)
        grade = here[:, 1] * cos + here[:, 2] * sin if kind in (BOX, CAR) else 0.0
        columns = (kind, x, y, here[:, 0] + size[3], cos, sin, *size[:3], *look[:5], grade, look[5])
        rows = np.stack(
            [np.broadcast_to(np.asarray(c, dtype=np.float64), s.shape) for c in columns], axis=1
        )
        on_ramp = (np.abs(here[:, 6]) < 7.5) & (here[:, 5] > LEAD_M) & (road is self.route.main)
        self.rows.append(rows[~on_ramp])

    def posts(self, road: Alignment, s: Floats, d: float) -> None:
        look = (232.0, 232.0, 228.0, BANDED, 0.55, 160.0)
        self.add(road, s, d, CYLINDER, (0.06, 0.06, 1.05, 0.0), look)

    def lamps(self, road: Alignment, s: Floats, d: float) -> None:
        look = (128.0, 132.0, 134.0, PLAIN, 0.05, 300.0)
        self.add(road, s, d, CYLINDER, (0.11, 0.11, 8.5, 0.0), look)

    def trees(self, road: Alignment, s: Floats, d: Floats | float) -> None:
        low, high = (1.3, 2.2, 0.8, 0.7), (3.2, 3.4, 2.4, 1.15)
        radius, shape, trunk, tint = self.rng.uniform(low, high, (len(s), 4)).T
        bark = (74.0, 58.0, 44.0, PLAIN, 0.0, 180.0)
        self.add(road, s, d, CYLINDER, (0.16, 0.16, trunk + 0.8, 0.0), bark)
        crown = (66.0 * tint, 92.0 * tint, 44.0, LEAVES, 0.0, 420.0)
        self.add(road, s, d, ELLIPSOID, (radius, radius, radius * shape, trunk), crown)

    def rail(self, road: Alignment, start_m: float, stop_m: float, d: float) -> None:
        """A guard rail: plates of 4 m on posts."""
        s = np.arange(start_m + 2.0, min(stop_m, road.length_m - 3.0), 4.0)
        plate = (168.0, 172.0, 176.0, PLAIN, 0.06, 170.0)
        post = (120.0, 122.0, 124.0, PLAIN, 0.0, 60.0)
        self.add(road, s, d, BOX, (2.02, 0.04, 0.32, 0.46), plate)
        self.add(road, s, d - 0.08, CYLINDER, (0.06, 0.06, 0.7, 0.0), post)

    def board(
        self, road: Alignment, s: Floats, d: float, colour: tuple[float, float, float]
    ) -> None:
        """A sign board on two posts."""
        post = (130.0, 132.0, 134.0, PLAIN, 0.0, 220.0)
        for aside in (-1.0, 1.0):
            self.add(road, s, d + aside, CYLINDER, (0.07, 0.07, 3.0, 0.0), post)
        self.add(road, s - 0.12, d, BOX, (0.04, 1.6, 1.7, 1.7), (*colour, SIGN, 0.5, 300.0))

    def parked(self, road: Alignment, s: Floats, d: float) -> None:
        drawn = self.rng.integers(len(CAR_COLOURS), size=len(s))
        red, green, blue = np.array(CAR_COLOURS, dtype=np.float64)[drawn].T
        self.add(road, s, d, CAR, (2.25, 0.9, 1.47, 0.0), (red, green, blue, PLAIN, 0.06, 250.0))


def things_of(route: Route) -> Floats:
    """[n, 16] static objects (objects.py): posts, rails, lamp poles, signs, trees, parked cars."""
    rng = np.random.default_rng([route.spec.seed, 4])
    side = _Roadside(route, rng)
    g = route.ground
    main = route.main
    highway = route.spec.kind == "highway"
    end = main.length_m
    spaced = np.arange(20.0, end, 50.0 if highway else 25.0)
    side.posts(main, spaced, g.right_paved - 0.5)
    side.posts(main, spaced, g.left_paved + 0.5)
    if g.median > 0:
        side.rail(main, 0.0, end, g.left_paved + 0.5 * g.median)
        side.posts(main, spaced, g.far_left + 0.5)
    for start in np.arange(60.0, end - 200.0, rng.uniform(320.0, 520.0)):
        if rng.random() < 0.6:
            side.rail(main, start, start + rng.uniform(80.0, 180.0), g.right_paved - 0.9)
    if rng.random() < 0.5:
        side.lamps(main, np.arange(40.0, end, 45.0), g.right_paved - 2.4)
    left = rng.permuted(np.arange(int(end / 9.0)) % 2 == 0)
    away = rng.gamma(1.6, 9.0, len(left)) + 5.0
    sides = np.where(left, g.far_left + away, g.right_paved - away)
    side.trees(main, rng.uniform(0.0, end, len(left)), sides)
    if not highway:
        avenue = np.arange(rng.uniform(200, 900), end, 14.0)[: int(rng.integers(12, 40))]
        side.trees(main, avenue, g.right_paved - 3.2)
    stopped = rng.uniform(150.0, end - 200.0, 9 if highway else 5)
    side.parked(main, stopped, g.right_paved + (1.15 if highway else -1.9))
    boards = np.arange(rng.uniform(250, 500), end, 640.0)
    side.board(main, boards, g.right_paved - 2.6, (30.0, 74.0, 150.0))
    if route.ramp is not None and route.spec.exit_m is not None:
        _beside_ramp(side, g, route.ramp, route.spec.exit_m)
    return np.concatenate(side.rows)


def _beside_ramp(side: _Roadside, g: Ground, ramp: Alignment, exit_m: float) -> None:
    after = np.arange(g.gore + 20.0, ramp.length_m, 25.0)
    side.posts(ramp, after, -0.5 * g.lane_width - 2.4)
    side.posts(ramp, after[4:], 0.5 * g.lane_width + 1.6)
    along = side.rng.uniform(g.gore + 60, ramp.length_m, 24)
    away = side.rng.uniform(8.0, 26.0, 24)
    side.trees(ramp, along, -away)
    side.board(side.route.main, np.array([exit_m - 60.0]), g.right_paved - 2.2, (28.0, 110.0, 62.0))
    side.board(ramp, np.array([g.gore + 130.0]), 6.5, (28.0, 110.0, 62.0))
