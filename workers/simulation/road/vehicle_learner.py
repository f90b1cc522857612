"""Steer ratio, slip factor and angle offset of a car, learned from its log.

An extended Kalman filter over a constant state. The state does not move, so the whole log is one
measurement and is iterated, which is Gauss-Newton (Bell and Cathey 1993, The iterated Kalman filter
update as a Gauss-Newton method). The measurement is the yaw rate; `vehicle.bicycle` predicts it.

Errors of a real log last for seconds (the bank of the road, the lag of the tyres). A log of n rows
whose errors stay correlated for k of them weighs as n/k rows.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suites.errors import DataError, Finding
from suites.segment import SegmentColumns, Vehicle
from workers.simulation.road.vehicle import GRAVITY_MPS2, LEAST_BEND, bicycle

Floats = NDArray[np.float64]

NAMES = ("steer_ratio", "slip_factor", "angle_offset_rad")
MIN_SPEED_MPS, MAX_WHEEL_RAD, MAX_LATERAL_MPS2 = 5.0, 1.0, 3.0
"""Rows beyond are left out: tyres no longer answer linearly."""
MIN_ROWS = 100
PRIOR_RATIO_SHARE, PRIOR_SLIP, PRIOR_OFFSET_RAD = 0.15, 1e-3, 0.1
"""One standard deviation of what is believed before the log is read."""
ROUNDS = 8
WINDOW_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """The parameters of NAMES after a log."""

    vehicle: Vehicle
    deviation: dict[str, float]
    """One standard deviation of each."""
    stiffness_factor: float | None
    """Of the tyres, against the start's: its slip factor, if any, over the learned one."""
    rows: int
    independent_rows: float
    """What the rows weigh once the correlation of their errors is counted."""
    yaw_rate_error: float
    """Root mean square of what the model leaves unexplained, rad/s."""

    def interval(self, name: str, deviations: float = 1.96) -> tuple[float, float]:
        """The parameter's interval; 95 % as it stands."""
        value = float(getattr(self.vehicle, name))
        wide = deviations * self.deviation[name]
        return value - wide, value + wide


class Signals(NamedTuple):
    """What is learned from, each [N]."""

    speed_mps: Floats
    wheel_rad: Floats
    yaw_rate: Floats
    """rad/s."""
    roll_rad: Floats
    """0 where unknown: a level road."""


def learn(columns: SegmentColumns, start: Vehicle) -> Learned:
    """Learn from a log whose car is believed to be about `start`.

    Raises DataError where fewer than MIN_ROWS rows are fit to learn from (`_usable`).
    """
    log = _usable(_signals(columns))
    count = len(log.speed_mps)
    if count < MIN_ROWS:
        problem = (
            f"at least {MIN_ROWS} rows above {MIN_SPEED_MPS:g} m/s with a steering angle expected, "
            f"found {count}"
        )
        raise DataError(f"the vehicle cannot be learned: {problem}", (Finding("columns", problem),))
    believed = _state(start)
    ratio_wide = PRIOR_RATIO_SHARE * start.steer_ratio
    wide = np.array([ratio_wide, max(PRIOR_SLIP, abs(start.slip_factor)), PRIOR_OFFSET_RAD])
    least = [2.0, -0.02, -1.0]
    most = [60.0, 0.9 / float(log.speed_mps.max()) ** 2, 1.0]
    state = believed
    for _ in range(ROUNDS):
        left = log.yaw_rate - _predicted(state, start.wheelbase_m, log)
        lasting = _lasting(left)
        # What is left of the errors once the state is fitted to them.
        spare = max(1.0 - len(NAMES) * lasting / count, 0.1)
        noise = max(float(np.mean(left**2)) / spare, 1e-12)
        slope = _slope(state, start.wheelbase_m, log)
        weight = 1.0 / (noise * lasting)
        information = np.diag(wide**-2.0) + weight * slope.T @ slope
        pull = (believed - state) / wide**2 + weight * slope.T @ left
        state = np.clip(state + np.linalg.solve(information, pull), least, most)
    ratio, slip, offset = state.tolist()
    deviation = np.sqrt(np.diag(np.linalg.inv(information)))
    return Learned(
        vehicle=replace(start, steer_ratio=ratio, slip_factor=slip, angle_offset_rad=offset),
        deviation=dict(zip(NAMES, deviation.tolist(), strict=True)),
        stiffness_factor=start.slip_factor / slip if start.slip_factor and slip else None,
        rows=count,
        independent_rows=count / lasting,
        yaw_rate_error=float(np.sqrt(noise)),
    )


def drift_m_per_minute(
    columns: SegmentColumns, vehicle: Vehicle, window_s: float = WINDOW_S
) -> float:
    """How far the vehicle model, steered by the logged wheel, strays from the logged path.

    m/min: the distance at the end of a window per minute of window, as the root mean square over
    windows that start every tenth of one. NaN where no whole window has wheel and speed. Position
    errors grow faster than time, so compare figures of one `window_s` only.
    """
    t = columns.t_s
    log = _signals(columns)
    rate = _predicted(_state(vehicle), vehicle.wheelbase_m, log)
    squares = []
    for begin in np.arange(t[0], t[-1] - window_s + 1e-6, window_s / 10):
        rows = slice(int(np.searchsorted(t, begin)), int(np.searchsorted(t, begin + window_s)) + 1)
        if not np.isfinite(rate[rows]).all():
            continue
        logged = columns.yaw_rad[rows]
        yaw = logged[0] + _summed(t[rows], rate[rows])
        ends = [_end(t[rows], log.speed_mps[rows], heading) for heading in (yaw, logged)]
        squares.append(np.sum((ends[0] - ends[1]) ** 2))
    return float(np.sqrt(np.mean(squares)) * 60.0 / window_s) if squares else float("nan")


def held_out_drift(columns: SegmentColumns, start: Vehicle) -> tuple[float, float, float]:
    """(before, after, window s): the drift on each half of a log, m/min.

    Before: with `start`. After: with what the other half taught.
    """
    half = len(columns) // 2
    one = columns.window(0, half)
    other = columns.window(half, len(columns))
    window = min(WINDOW_S, 0.9 * float(min(p.t_s[-1] - p.t_s[0] for p in (one, other))))

    def mean(first: Vehicle, second: Vehicle) -> float:
        drifts = [drift_m_per_minute(one, first, window), drift_m_per_minute(other, second, window)]
        return float(np.sqrt(np.mean(np.square(drifts))))

    after = mean(learn(other, start).vehicle, learn(one, start).vehicle)
    return mean(start, start), after, window


def _state(vehicle: Vehicle) -> Floats:
    return np.array([getattr(vehicle, name) for name in NAMES])


def _signals(columns: SegmentColumns) -> Signals:
    speed = columns.speed_mps
    roll = np.nan_to_num(columns.roll_rad)
    return Signals(speed, columns.steering_angle_rad, columns.curvature * speed, roll)


def _usable(log: Signals) -> Signals:
    """The rows in which tyres answer linearly."""
    with np.errstate(invalid="ignore"):
        driven = (
            (log.speed_mps > MIN_SPEED_MPS)
            & (np.abs(log.wheel_rad) < MAX_WHEEL_RAD)
            & (np.abs(log.yaw_rate * log.speed_mps) < MAX_LATERAL_MPS2)
        )
    return Signals(*(values[driven & np.isfinite(log.yaw_rate)] for values in log))


def _predicted(state: Floats, wheelbase: float, log: Signals) -> Floats:
    """Yaw rate rad/s [N] of the bicycle model."""
    speed = log.speed_mps
    lean = GRAVITY_MPS2 * log.roll_rad
    rate: Floats = bicycle(speed, log.wheel_rad, speed, lean, wheelbase, *state)
    return rate


def _slope(state: Floats, wheelbase: float, log: Signals) -> Floats:
    """[N, 3] derivatives of `_predicted`."""
    ratio, slip, offset = state
    speed = log.speed_mps
    angle = (log.wheel_rad - offset) / ratio
    bend = np.maximum(1.0 - slip * speed**2, LEAST_BEND)
    steep = speed / (bend * wheelbase * np.cos(angle) ** 2 * ratio)
    by_bank = speed * GRAVITY_MPS2 * log.roll_rad
    by_slip = (by_bank + speed**2 * _predicted(state, wheelbase, log)) / bend
    return np.stack([-steep * angle, by_slip, -steep], axis=1)


def _lasting(errors: Floats) -> float:
    """For how many rows an error lasts (Geyer 1992).

    1 + 2 sum of the autocorrelation up to its first zero.
    """
    n = len(errors)
    centred = errors - errors.mean()
    spectrum = np.abs(np.fft.rfft(centred, 2 * n)) ** 2
    auto = np.fft.irfft(spectrum)[: n // 2]
    if auto[0] <= 0:
        return 1.0
    share = auto / auto[0]
    stop = int(np.argmax(share <= 0)) if (share <= 0).any() else len(share)
    return max(1.0, 1.0 + 2.0 * float(share[1:stop].sum()))


def _summed(t: Floats, rate: Floats) -> Floats:
    """Trapezoid integral from the first row."""
    return np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(t))])


def _end(t: Floats, speed: Floats, heading: Floats) -> Floats:
    """[2] how far from the first row the last one is, m."""
    return np.array([_summed(t, speed * turn(heading))[-1] for turn in (np.cos, np.sin)])
