"""Other vehicles of one drive: on rails along the road, timed against the logged ego so that they matter to it."""

from typing import NamedTuple

import numpy as np

from workers.simulation.world.exact import cos_sin
from workers.simulation.world.ground import ground_at
from workers.simulation.world.objects import CAR, PLAIN
from workers.simulation.world.profile import Floats
from workers.simulation.world.route import Route
from workers.simulation.world.scenery import CAR_COLOURS, beside

TICK_S = 0.1
FRONT_M = 3.65
"""From the ego's rear axle to its front bumper."""


class Traffic(NamedTuple):
    """n vehicles at T ticks of TICK_S."""

    states: Floats
    """[n, T, 6] x, y, z, cos(yaw), sin(yaw), grade."""
    looks: Floats
    """[n, 6] half length, half width, height, red, green, blue."""
    stations: Floats
    """[n, T] s on the main road."""
    offsets: Floats
    """[n] d on the main road."""


def make_traffic(
    route: Route,
    rng: np.random.Generator,
    ego_s: Floats,
    lanes_used: set[int],
    first_lane: int,
    near: bool,
) -> Traffic:
    """Vehicles around an ego whose main-road station is ego_s [T]: one ahead in its first lane, others in lanes that it
    does not use, oncoming ones. With `near`, one drives beside it."""
    g = route.ground
    t = np.arange(len(ego_s), dtype=np.float64) * TICK_S
    highway = route.spec.kind == "highway"
    cars: list[tuple[Floats, float, float, bool]] = []
    free = [lane for lane in range(route.spec.lanes) if lane not in lanes_used] if highway else []
    if rng.random() < 0.7 or (near and not free):
        gap = rng.uniform(16.0, 24.0) if near and not free else rng.uniform(24.0, 60.0)
        drift = -0.8 if len(lanes_used) > 1 else 0.0
        cars.append(
            (
                ego_s + gap + FRONT_M + drift * t + 2.0 * cos_sin(0.25 * t + rng.uniform(0, 6))[1],
                route.lane_centre(first_lane),
                1.0,
                True,
            )
        )
    if near and free:
        pace = rng.uniform(-1.2, 1.2)
        lane = min(free, key=lambda lane: abs(lane - first_lane))
        cars.append(
            (
                ego_s + rng.uniform(6.0, 13.0) - pace * t[-1] * 0.4 + pace * t,
                route.lane_centre(lane),
                1.0,
                rng.random() < 0.7,
            )
        )
    for lane in free:
        for ahead in (rng.uniform(34, 60), rng.uniform(80, 150), rng.uniform(-70, -40)):
            if rng.random() < 0.55:
                cars.append(
                    (
                        ego_s + ahead + rng.uniform(-1.5, 1.5) * t,
                        route.lane_centre(lane),
                        1.0,
                        rng.random() < 0.7,
                    )
                )
    half = 0.5 * g.lanes * g.lane_width
    oncoming = [route.lane_centre(0)]
    if g.median > 0:
        oncoming = [
            g.left_paved + g.median + 1.0 + half + route.lane_centre(lane)
            for lane in range(route.spec.lanes)
        ]
    for d in oncoming if g.median > 0 or highway or first_lane > 0 else []:
        pace = rng.uniform(17.0, 20.0) if not highway else rng.uniform(22.0, 31.0)
        start = ego_s[0] + rng.uniform(30, 90)
        while start < ego_s[-1] + pace * t[-1] + 200.0:
            cars.append((start - pace * t, d, -1.0, rng.random() < 0.85))
            start += rng.uniform(60, 260)
    ticks = len(t)
    states, looks = np.empty((len(cars), ticks, 6)), np.empty((len(cars), 6))
    for i, (s, d, sense, small) in enumerate(cars):
        x, y, yaw = beside(route.main, s, np.full(ticks, d))
        here = ground_at(g, x, y)
        cos, sin = cos_sin(yaw if sense > 0 else yaw + np.pi)
        states[i] = np.stack(
            [x, y, here[:, 0], cos, sin, here[:, 1] * cos + here[:, 2] * sin], axis=1
        )
        colour = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]
        size = (
            (rng.uniform(2.1, 2.4), rng.uniform(0.88, 0.95), rng.uniform(1.42, 1.75))
            if small
            else (rng.uniform(4.0, 6.5), 1.23, 3.5)
        )
        looks[i] = (*size, *colour)
    return Traffic(
        states,
        looks,
        np.array([c[0] for c in cars]).reshape(len(cars), ticks),
        np.array([c[1] for c in cars]),
    )


def cars_at(traffic: Traffic, t_s: float) -> Floats:
    """[n, 16] the vehicles as objects at a time; before the first and after the last tick they stand still."""
    ticks = traffic.states.shape[1]
    at = min(max(t_s / TICK_S, 0.0), ticks - 1.0)
    tick = min(int(at), ticks - 2)
    part = at - tick
    state = traffic.states[:, tick] * (1 - part) + traffic.states[:, tick + 1] * part
    out = np.zeros((len(state), 16))
    out[:, 0] = CAR
    out[:, 1:6] = state[:, :5]
    out[:, 6:12] = traffic.looks
    out[:, 12], out[:, 13], out[:, 14], out[:, 15] = PLAIN, 0.06, state[:, 5], 260.0
    return out


def lead_gap(route: Route, traffic: Traffic, t_s: Floats, ego_s: Floats, lane: Floats) -> Floats:
    """[N] gap from the ego's front to the nearest vehicle ahead in its lane, metres; NaN if none within 150 m."""
    gaps = np.full(len(t_s), np.inf)
    ticks = np.arange(traffic.states.shape[1]) * TICK_S
    for i in range(len(traffic.offsets)):
        its_lane = np.floor(
            ((route.spec.lanes * route.spec.lane_width_m / 2) - traffic.offsets[i])
            / route.spec.lane_width_m
        )
        gap = np.interp(t_s, ticks, traffic.stations[i]) - traffic.looks[i, 0] - ego_s - FRONT_M
        gaps = np.where((its_lane == lane) & (gap > 0) & (gap < gaps), gap, gaps)
    return np.where(gaps < 150.0, gaps, np.nan)
