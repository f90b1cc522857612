"""Other vehicles of one drive: on rails along the road, timed so that they matter to the ego."""

from collections.abc import Iterator
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


class _Car(NamedTuple):
    stations: Floats
    """[T] s on the main road."""
    offset: float
    """d on the main road."""
    sense: float
    """1 with the ego, -1 oncoming."""
    small: bool
    """A car, no lorry."""


def make_traffic(
    route: Route,
    rng: np.random.Generator,
    ego_s: Floats,
    lanes_used: set[int],
    first_lane: int,
    near: bool,
) -> Traffic:
    """Vehicles around an ego whose main-road station is ego_s [T].

    One is ahead in its first lane, others are in lanes that it does not use, others come towards
    it. With `near`, one drives beside it.
    """
    highway = route.spec.kind == "highway"
    free = [lane for lane in range(route.spec.lanes) if lane not in lanes_used] if highway else []
    # The draws' order is part of every world's bits.
    cars = [
        *_ahead(route, rng, ego_s, first_lane, near and not free, len(lanes_used) > 1),
        *(_beside(route, rng, ego_s, free, first_lane) if near and free else []),
        *_in_free_lanes(route, rng, ego_s, free),
        *_oncoming(route, rng, ego_s, first_lane),
    ]
    states = np.empty((len(cars), len(ego_s), 6))
    looks = np.empty((len(cars), 6))
    for i, car in enumerate(cars):
        states[i] = _states(route, car)
        colour = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]
        looks[i] = (*_size(rng, car.small), *colour)
    stations = np.array([car.stations for car in cars]).reshape(len(cars), len(ego_s))
    return Traffic(states, looks, stations, np.array([car.offset for car in cars]))


def _times(ego_s: Floats) -> Floats:
    return np.arange(len(ego_s), dtype=np.float64) * TICK_S


def _ahead(
    route: Route, rng: np.random.Generator, ego_s: Floats, lane: int, close: bool, drifts: bool
) -> Iterator[_Car]:
    """A leader whose gap sways; it falls back where the ego will change lanes."""
    t = _times(ego_s)
    if rng.random() < 0.7 or close:
        gap = rng.uniform(16.0, 24.0) if close else rng.uniform(24.0, 60.0)
        drift = -0.8 if drifts else 0.0
        sway = 2.0 * cos_sin(0.25 * t + rng.uniform(0, 6))[1]
        yield _Car(ego_s + gap + FRONT_M + drift * t + sway, route.lane_centre(lane), 1.0, True)


def _beside(
    route: Route, rng: np.random.Generator, ego_s: Floats, free: list[int], first_lane: int
) -> Iterator[_Car]:
    """One that passes, or is passed, in the nearest free lane."""
    t = _times(ego_s)
    pace = rng.uniform(-1.2, 1.2)
    lane = min(free, key=lambda lane: abs(lane - first_lane))
    stations = ego_s + rng.uniform(6.0, 13.0) - pace * t[-1] * 0.4 + pace * t
    yield _Car(stations, route.lane_centre(lane), 1.0, rng.random() < 0.7)


def _in_free_lanes(
    route: Route, rng: np.random.Generator, ego_s: Floats, free: list[int]
) -> Iterator[_Car]:
    t = _times(ego_s)
    for lane in free:
        for ahead in (rng.uniform(34, 60), rng.uniform(80, 150), rng.uniform(-70, -40)):
            if rng.random() < 0.55:
                stations = ego_s + ahead + rng.uniform(-1.5, 1.5) * t
                yield _Car(stations, route.lane_centre(lane), 1.0, rng.random() < 0.7)


def _oncoming(
    route: Route, rng: np.random.Generator, ego_s: Floats, first_lane: int
) -> Iterator[_Car]:
    """Platoons on the other carriageway, or in the other lane of an undivided road."""
    g = route.ground
    t = _times(ego_s)
    highway = route.spec.kind == "highway"
    lanes = [route.lane_centre(0)]
    if g.median > 0:
        other = g.left_paved + g.median + 1.0 + 0.5 * g.lanes * g.lane_width
        lanes = [other + route.lane_centre(lane) for lane in range(route.spec.lanes)]
    for offset in lanes if g.median > 0 or highway or first_lane > 0 else []:
        pace = rng.uniform(22.0, 31.0) if highway else rng.uniform(17.0, 20.0)
        start = ego_s[0] + rng.uniform(30, 90)
        while start < ego_s[-1] + pace * t[-1] + 200.0:
            yield _Car(start - pace * t, offset, -1.0, rng.random() < 0.85)
            start += rng.uniform(60, 260)


def _states(route: Route, car: _Car) -> Floats:
    """[T, 6] as Traffic.states."""
    x, y, yaw = beside(route.main, car.stations, np.full(len(car.stations), car.offset))
    here = ground_at(route.ground, x, y)
    cos, sin = cos_sin(yaw if car.sense > 0 else yaw + np.pi)
    return np.stack([x, y, here[:, 0], cos, sin, here[:, 1] * cos + here[:, 2] * sin], axis=1)


def _size(rng: np.random.Generator, small: bool) -> tuple[float, float, float]:
    """Half length, half width and height."""
    if small:
        return rng.uniform(2.1, 2.4), rng.uniform(0.88, 0.95), rng.uniform(1.42, 1.75)
    return rng.uniform(4.0, 6.5), 1.23, 3.5


def cars_at(traffic: Traffic, t_s: float) -> Floats:
    """[n, 16] the vehicles as objects at a time; before and after the ticks they stand still."""
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
    """[N] gap to the nearest vehicle ahead in the ego's lane, m; NaN where none is within 150 m."""
    gaps = np.full(len(t_s), np.inf)
    ticks = np.arange(traffic.states.shape[1]) * TICK_S
    for i in range(len(traffic.offsets)):
        from_left = (route.spec.lanes * route.spec.lane_width_m / 2) - traffic.offsets[i]
        its_lane = np.floor(from_left / route.spec.lane_width_m)
        gap = np.interp(t_s, ticks, traffic.stations[i]) - traffic.looks[i, 0] - ego_s - FRONT_M
        gaps = np.where((its_lane == lane) & (gap > 0) & (gap < gaps), gap, gaps)
    return np.where(gaps < 150.0, gaps, np.nan)
