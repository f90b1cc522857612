"""What a car's steering is really like, learned from its log: steer ratio, slip factor, angle offset, with uncertainty.

An extended Kalman filter over a constant state. Since the state does not move, the whole log is taken as one measurement
and iterated, which is Gauss-Newton (Bell and Cathey 1993, The iterated Kalman filter update as a Gauss-Newton method).
The measurement is the yaw rate, its prediction the bicycle model of `vehicle.steer` (Rajamani, Vehicle Dynamics and
Control, ch. 2.6 and 3.2; openpilot's VehicleModel is the same). Errors of a real log last for seconds (the bank of the
road, the lag of the tyres): a log of n rows whose errors stay correlated for k of them weighs as n/k rows.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suites.errors import DataError, Finding
from suites.segment import SegmentColumns, Vehicle
from workers.simulation.road.vehicle import GRAVITY_MPS2

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
    """Tyre stiffness against the starting vehicle's (its slip factor over the learned one); None where it had no slip."""
    rows: int
    independent_rows: float
    """What the rows weigh once the correlation of their errors is counted."""
    yaw_rate_error: float
    """Root mean square of what the model leaves unexplained, rad/s."""

    def interval(self, name: str, deviations: float = 1.96) -> tuple[float, float]:
        """The parameter's interval; 95 % as it stands."""
        value, wide = float(getattr(self.vehicle, name)), deviations * self.deviation[name]
        return value - wide, value + wide


def learn(columns: SegmentColumns, start: Vehicle) -> Learned:
    """Learn from a log whose car is believed to be about `start`. Missing roll is taken as a level road.

    Raises DataError where fewer than MIN_ROWS rows have speed, curvature and a steering angle fit to learn from.
    """
    speed, wheel, rate, roll = (values[_usable(columns)] for values in _signals(columns))
    if len(speed) < MIN_ROWS:
        problem = f"at least {MIN_ROWS} rows above {MIN_SPEED_MPS:g} m/s with a steering angle expected, found {len(speed)}"
        raise DataError(f"the vehicle cannot be learned: {problem}", (Finding("columns", problem),))
    believed = np.array([getattr(start, name) for name in NAMES])
    wide = np.array(
        [
            PRIOR_RATIO_SHARE * start.steer_ratio,
            max(PRIOR_SLIP, abs(start.slip_factor)),
            PRIOR_OFFSET_RAD,
        ]
    )
    state, information, lasting, noise = believed, np.diag(wide**-2.0), 1.0, 0.0
    for _ in range(ROUNDS):
        left = rate - _predicted(state, start.wheelbase_m, speed, wheel, roll)
        lasting = _lasting(left)
        spare = max(
            1.0 - len(NAMES) * lasting / len(left), 0.1
        )  # what is left of the errors once the state is fitted to them
        noise = max(float(np.mean(left**2)) / spare, 1e-12)
        slope = _slope(state, start.wheelbase_m, speed, wheel, roll)
        weight = 1.0 / (noise * lasting)
        information = np.diag(wide**-2.0) + weight * slope.T @ slope
        state = state + np.linalg.solve(
            information, (believed - state) / wide**2 + weight * slope.T @ left
        )
        state = np.clip(state, [2.0, -0.02, -1.0], [60.0, 0.9 / float(speed.max()) ** 2, 1.0])
    ratio, slip, offset = (float(v) for v in state)
    deviation = np.sqrt(np.diag(np.linalg.inv(information)))
    return Learned(
        vehicle=replace(start, steer_ratio=ratio, slip_factor=slip, angle_offset_rad=offset),
        deviation={name: float(d) for name, d in zip(NAMES, deviation, strict=True)},
        stiffness_factor=start.slip_factor / slip if start.slip_factor and slip else None,
        rows=len(speed),
        independent_rows=len(speed) / lasting,
        yaw_rate_error=float(np.sqrt(noise)),
    )


def drift_m_per_minute(
    columns: SegmentColumns, vehicle: Vehicle, window_s: float = WINDOW_S
) -> float:
    """How far the vehicle model, steered by the logged wheel at the logged speed, is from the logged path at the end of a
    window, per minute of window: the root mean square over windows that start every tenth of one, m/min. NaN where the
    log has no whole window in which wheel and speed are known. Position errors grow faster than time: compare figures of one
    `window_s` only."""
    t = columns.t_s
    speed, wheel, _, roll = _signals(columns)
    rate = _predicted(
        np.array([getattr(vehicle, n) for n in NAMES]), vehicle.wheelbase_m, speed, wheel, roll
    )
    logged, ends = columns.yaw_rad, []
    for begin in np.arange(t[0], t[-1] - window_s + 1e-6, window_s / 10):
        rows = slice(int(np.searchsorted(t, begin)), int(np.searchsorted(t, begin + window_s)) + 1)
        if not np.isfinite(rate[rows]).all():
            continue
        yaw = logged[rows.start] + _summed(t[rows], rate[rows])
        x, y = (
            _summed(t[rows], speed[rows] * np.cos(yaw)),
            _summed(t[rows], speed[rows] * np.sin(yaw)),
        )
        along = (
            _summed(t[rows], speed[rows] * np.cos(logged[rows])),
            _summed(t[rows], speed[rows] * np.sin(logged[rows])),
        )
        ends.append((x[-1] - along[0][-1]) ** 2 + (y[-1] - along[1][-1]) ** 2)
    return float(np.sqrt(np.mean(ends)) * 60.0 / window_s) if ends else float("nan")


def held_out_drift(columns: SegmentColumns, start: Vehicle) -> tuple[float, float, float]:
    """(before, after, window s): the drift on each half of a log (m/min) with `start` and with what the other half taught."""
    half = len(columns) // 2
    parts = columns.window(0, half), columns.window(half, len(columns))
    window = min(WINDOW_S, 0.9 * float(min(p.t_s[-1] - p.t_s[0] for p in parts)))
    before = [drift_m_per_minute(part, start, window) for part in parts]
    after = [
        drift_m_per_minute(judged, learn(taught, start).vehicle, window)
        for judged, taught in (parts, (parts[1], parts[0]))
    ]
    return (
        float(np.sqrt(np.mean(np.square(before)))),
        float(np.sqrt(np.mean(np.square(after)))),
        window,
    )


def _signals(columns: SegmentColumns) -> tuple[Floats, Floats, Floats, Floats]:
    """speed m/s, wheel angle rad, yaw rate rad/s, roll rad (0 where unknown)."""
    speed = columns.speed_mps
    return (
        speed,
        columns.steering_angle_rad,
        columns.curvature * speed,
        np.nan_to_num(columns.roll_rad),
    )


def _usable(columns: SegmentColumns) -> NDArray[np.bool_]:
    speed, wheel, rate, _ = _signals(columns)
    with np.errstate(invalid="ignore"):
        driven = (
            (speed > MIN_SPEED_MPS)
            & (np.abs(wheel) < MAX_WHEEL_RAD)
            & (np.abs(rate * speed) < MAX_LATERAL_MPS2)
        )
    return np.asarray(driven & np.isfinite(rate))


def _predicted(
    state: Floats, wheelbase: float, speed: Floats, wheel: Floats, roll: Floats
) -> Floats:
    """Yaw rate rad/s [N] of the bicycle model."""
    ratio, slip, offset = state
    road = np.tan((wheel - offset) / ratio) / wheelbase + slip * GRAVITY_MPS2 * roll
    return np.asarray(speed * road / np.maximum(1.0 - slip * speed**2, 0.1))


def _slope(state: Floats, wheelbase: float, speed: Floats, wheel: Floats, roll: Floats) -> Floats:
    """[N, 3] derivatives of `_predicted`."""
    ratio, slip, offset = state
    angle, bend = (wheel - offset) / ratio, np.maximum(1.0 - slip * speed**2, 0.1)
    steep = speed / (bend * wheelbase * np.cos(angle) ** 2 * ratio)
    by_slip = (
        speed * GRAVITY_MPS2 * roll + speed**2 * _predicted(state, wheelbase, speed, wheel, roll)
    ) / bend
    return np.stack([-steep * angle, by_slip, -steep], axis=1)


def _lasting(errors: Floats) -> float:
    """For how many rows an error lasts: 1 + 2 sum of the autocorrelation up to its first zero (Geyer 1992)."""
    n, centred = len(errors), errors - errors.mean()
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
