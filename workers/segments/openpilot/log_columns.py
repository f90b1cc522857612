"""The columns of an openpilot log at its frame times."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suites.errors import DataError, Finding
from suites.segment import DRIVER_CODES, Floats, SegmentColumns, Vehicle
from workers.segments.openpilot.event_log import Channel
from workers.segments.openpilot.lane_lines import lane_columns

MAX_GAP_S = 1.0
"""Longest silence of carState and cameraOdometry inside the segment."""
MAX_HOLD_S = 5.0
"""Longest silence at either end of it: the first (last) value is held."""
MAX_SPEED_MPS, MAX_STEERING_RAD, MAX_YAW_RATE = 100.0, 20.0, 2.0
"""Beyond these a value is damage, not driving."""
SETTLED_ROT_STD = 0.004
"""rad/s: odometry less sure of the yaw rate than this (a model that has just started) is left out."""
BUMP_SAMPLES, BUMP_YAW_RATE = 7, 0.015
"""A sample this far (rad/s) from the median of its neighbours is a bump of the road, not a turn: at 4 Hz it would bend the
path for half a second."""
SLOW_MPS = 3.0
"""Below this the curvature comes from the steering wheel: yaw rate over speed is noise."""
TAKEOVER_S = 2.0
"""After the driver ends an engagement."""
LEAD_GAP_S, LEAD_JUMP_M = 0.5, 5.0
GRAVITY = 9.81


@dataclass(frozen=True, slots=True)
class Signal:
    """Samples of one number, ready to interpolate."""

    time_s: Floats
    value: Floats

    def at(self, t: Floats) -> Floats:
        """Linear between samples, held beyond them."""
        return np.interp(t, self.time_s, self.value)


def vehicle(log: dict[str, Channel]) -> tuple[Vehicle, tuple[str, ...]]:
    """Bicycle model from carParams and liveParameters, as openpilot's VehicleModel has it: slip factor
    m (c_f l_f - c_r l_r) / (l² c_f c_r), with both stiffnesses times the learned factor. What the steering torque holds is
    from liveTorqueParameters where they were learned, else from carParams; logs do not tell its rate."""
    if "carParams" not in log:
        return Vehicle(), ("The log has no carParams: a usual passenger car is taken.",)
    car = {name: values[-1] for name, values in log["carParams"].values.items()}
    if not (1.0 < car["wheelbase"] < 10.0 and 5.0 < car["steer_ratio"] < 40.0):
        raise log["carParams"].wrong(
            -1, f"wheelbase {car['wheelbase']:g} m, steer ratio {car['steer_ratio']:g}: not a car's"
        )
    ratio, stiffness, offset = float(car["steer_ratio"]), 1.0, 0.0
    notes = [f"Vehicle: {car['car']}."]
    if (rows := _learned(log)).any():
        learned = log["liveParameters"]
        ratio, stiffness = (
            float(np.median(learned[name][rows])) for name in ("steer_ratio", "stiffness")
        )
        offset = float(np.radians(np.median(learned["offset_deg"][rows])))
        notes.append(
            "Steer ratio, stiffness and angle offset are the medians of what the log had learned."
        )
    length, front = float(car["wheelbase"]), float(car["to_front"])
    c_front, c_rear = stiffness * float(car["front"]), stiffness * float(car["rear"])
    slip = 0.0
    if c_front > 0 and c_rear > 0:
        slip = (
            float(car["mass"])
            * (c_front * front - c_rear * (length - front))
            / (length**2 * c_front * c_rear)
        )
    torque, friction = float(car["torque"]), float(car["friction"])
    if (
        "liveTorqueParameters" in log
        and (rows := log["liveTorqueParameters"].valid & log["liveTorqueParameters"]["ok"]).any()
    ):
        torque, friction = (
            float(np.median(log["liveTorqueParameters"][name][rows]))
            for name in ("torque", "friction")
        )
    limited = 0.1 < torque < 20.0 and 0.0 <= friction < 1.0
    if limited:
        notes.append(
            f"The steering torque holds {torque * (1 - friction):.2f} m/s² on a level road, friction taken off."
        )
    found = Vehicle(
        wheelbase_m=length,
        steer_ratio=ratio,
        slip_factor=slip,
        angle_offset_rad=offset,
        actuator_delay_s=float(car["delay"]),
        torque_lateral_acceleration_mps2=torque if limited else None,
        torque_friction=friction if limited else 0.0,
    )
    return found, tuple(notes)


def columns(
    log: dict[str, Channel], eof_ns: NDArray[np.int64], car: Vehicle, forward_m: float
) -> tuple[SegmentColumns, tuple[str, ...], tuple[str, ...]]:
    """(columns, missing channels, notes) at frames whose exposure ended at `eof_ns` [N].

    The pose is dead-reckoned in the plane: speed from carState, yaw rate from cameraOdometry. liveLocationKalman is not
    used: it jumps when it finds its place, and is a placeholder until then. carState.yawRate is 0 in many cars.
    """
    t = (eof_ns - eof_ns[0]) / 1e9
    state = log["carState"]
    usable = state.valid & state["can"]
    state_s = (state.time_ns - eof_ns[0]) / 1e9
    speed = _signal(state, "speed", usable, state_s, t, MAX_SPEED_MPS).at(t)
    steering = np.radians(
        _signal(state, "steering_deg", usable, state_s, t, np.degrees(MAX_STEERING_RAD)).at(t)
    )
    roll = _roll(log, eof_ns, t)
    by_wheel = _wheel_curvature(car, steering, speed, np.nan_to_num(roll))
    yaw_rate, bumps = _yaw_rate(log["cameraOdometry"], eof_ns, t, by_wheel * speed)
    step = np.diff(t)
    yaw = _summed(0.5 * (yaw_rate[1:] + yaw_rate[:-1]) * step)
    ahead, heading = 0.5 * (speed[1:] + speed[:-1]) * step, 0.5 * (yaw[1:] + yaw[:-1])
    x, y = _summed(ahead * np.cos(heading)), _summed(ahead * np.sin(heading))
    fast = speed >= SLOW_MPS
    curvature = np.where(fast, yaw_rate / np.maximum(speed, SLOW_MPS), by_wheel)
    known = (t >= state_s[usable][0]) & (t <= state_s[usable][-1])
    row = _latest(state_s[usable], t)
    left, right = (state[side][usable][row] & known for side in ("left", "right"))
    lanes = lane_columns(log, eof_ns, x, y, yaw, forward_m)
    missing = ["z", "pitch", *_absent(lanes)]
    missing += [] if np.isfinite(roll).any() else ["roll"]
    notes = ["The road is taken as flat: the pose is dead-reckoned in the plane and drifts slowly."]
    if not known.all():
        notes.append(
            f"carState is valid from {state_s[usable][0]:.2f} s to {state_s[usable][-1]:.2f} s: held beyond."
        )
    if fast.any():
        apart = float(np.sqrt(np.mean((by_wheel - curvature)[fast] ** 2)))
        notes.append(
            "Curvature is cameraOdometry's yaw rate over the speed (it has no offset to learn, unlike the steering wheel); "
            f"steering wheel and bicycle model differ by {apart:.1e} 1/m (rms)."
        )
    if bumps:
        notes.append(
            f"{bumps} samples of cameraOdometry's yaw rate stood out from their neighbours and were replaced."
        )
    lead = _lead(log, eof_ns, t)
    missing += [] if "radarState" in log else ["lead"]
    driver = _driver(log, eof_ns, t, known)
    missing += [] if "carControl" in log else ["driver"]
    found = SegmentColumns(
        t_s=t,
        x_m=x,
        y_m=y,
        z_m=np.zeros_like(t),
        roll_rad=roll,
        pitch_rad=np.full_like(t, np.nan),
        yaw_rad=yaw,
        speed_mps=speed,
        acceleration_mps2=_signal(state, "acceleration", usable, state_s, t, 50.0).at(t),
        curvature=curvature,
        steering_angle_rad=steering,
        driver=driver,
        left_blinker=left,
        right_blinker=right,
        lead_distance_m=lead,
        **lanes,
    )
    return found, tuple(missing), tuple(notes)


def _signal(
    channel: Channel, field: str, usable: NDArray[np.bool_], time_s: Floats, t: Floats, most: float
) -> Signal:
    """The usable samples of a field. Raises DataError where they are absent, silent too long, or absurd."""
    rows = np.flatnonzero(usable)
    if not len(rows):
        problem = f"none of its {len(channel)} events is marked valid"
        finding = Finding(f"{channel.path}: {channel.name}", problem)
        raise DataError(
            f"{channel.path.name} cannot be imported: {channel.name}: {problem}", (finding,)
        )
    times, values = time_s[rows], channel[field][rows].astype(np.float64)
    absurd = np.abs(values) > most
    if absurd.any():
        row = int(np.argmax(absurd))
        raise channel.wrong(
            int(rows[row]), f"{field}: at most {most:g} expected, found {values[row]:g}"
        )
    inside = (times[1:] > t[0]) & (times[:-1] < t[-1])
    silent = inside & (np.diff(times) > MAX_GAP_S)
    if silent.any():
        row = int(np.argmax(silent))
        raise channel.wrong(
            int(rows[row]), f"silent or invalid for {times[row + 1] - times[row]:.1f} s after this"
        )
    for gap, row, side in (
        (times[0] - t[0], rows[0], "before"),
        (t[-1] - times[-1], rows[-1], "after"),
    ):
        if gap > MAX_HOLD_S:
            raise channel.wrong(
                int(row),
                f"frames go on for {gap:.1f} s {side} this, its {'first' if side == 'before' else 'last'}",
            )
    return Signal(times, values)


def _yaw_rate(
    odometry: Channel, eof_ns: NDArray[np.int64], t: Floats, by_wheel: Floats
) -> tuple[Floats, int]:
    """rad/s [N], left positive, from cameraOdometry (forward-right-down, so its sign turns), and how many of its samples
    were bumps: next to what the wheel says (by_wheel [N] rad/s), they stand out from the samples around them."""
    time_s = (odometry["eof"].astype(np.int64) - eof_ns[0]) / 1e9
    if (back := np.diff(time_s) <= 0).any():
        raise odometry.wrong(int(np.argmax(back)) + 1, "its frame's time goes back")
    settled = odometry.valid & (odometry["rot_std"][:, 2] < SETTLED_ROT_STD)
    turned = replace(odometry, values={"rot": -odometry["rot"][:, 2]})
    rate = _signal(turned, "rot", settled, time_s, t, MAX_YAW_RATE)
    wheel = np.interp(rate.time_s, t, by_wheel)
    beyond = np.pad(rate.value - wheel, BUMP_SAMPLES // 2, mode="edge")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(beyond, BUMP_SAMPLES), axis=1)
    bump = np.abs(rate.value - wheel - usual) > BUMP_YAW_RATE
    return Signal(rate.time_s, np.where(bump, wheel + usual, rate.value)).at(t), int(bump.sum())


def _wheel_curvature(car: Vehicle, steering: Floats, speed: Floats, roll: Floats) -> Floats:
    """1/m of the bicycle model, with the bank of the road: a road that leans right (roll > 0) turns the car right."""
    bend = 1.0 - car.slip_factor * speed**2
    wheel = np.tan((steering - car.angle_offset_rad) / car.steer_ratio)
    return np.asarray(wheel / car.wheelbase_m / bend + GRAVITY * roll * car.slip_factor / bend)


def _learned(log: dict[str, Channel]) -> NDArray[np.bool_]:
    learned = log.get("liveParameters")
    return np.zeros(0, np.bool_) if learned is None else learned.valid & learned["ok"]


def _roll(log: dict[str, Channel], eof_ns: NDArray[np.int64], t: Floats) -> Floats:
    """Bank of the road where liveParameters knows it, else NaN (openpilot's sign is that of ISO 8855)."""
    if not (rows := _learned(log)).any():
        return np.full_like(t, np.nan)
    learned = log["liveParameters"]
    time_s = (learned.time_ns[rows] - eof_ns[0]) / 1e9
    far = np.abs(time_s[_nearest(time_s, t)] - t) > MAX_GAP_S
    return np.where(far, np.nan, np.interp(t, time_s, learned["roll"][rows].astype(np.float64)))


def _driver(
    log: dict[str, Channel], eof_ns: NDArray[np.int64], t: Floats, known: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """DRIVER_CODES: the model steers while carControl says so. Takeover: the driver turns the wheel against it without a
    blinker (with one it is the nudge that starts a lane change), and TAKEOVER_S from each end of an engagement."""
    codes = np.full(len(t), DRIVER_CODES["unknown"])
    if "carControl" not in log:
        return codes
    control, state = log["carControl"], log["carState"]
    control_s, state_s = (control.time_ns - eof_ns[0]) / 1e9, (state.time_ns - eof_ns[0]) / 1e9
    steers = control["steers"][_latest(control_s, t)]
    codes[known] = np.where(steers, DRIVER_CODES["model"], DRIVER_CODES["human"])[known]
    row = _latest(state_s, t)
    against = state["pressed"][row] & ~state["left"][row] & ~state["right"][row]
    codes[known & steers & against] = DRIVER_CODES["takeover"]
    for end in np.flatnonzero(control["steers"][:-1] & ~control["steers"][1:]):
        since = t - control_s[end + 1]
        codes[known & ~steers & (since >= 0) & (since < TAKEOVER_S)] = DRIVER_CODES["takeover"]
    return codes


def _lead(log: dict[str, Channel], eof_ns: NDArray[np.int64], t: Floats) -> Floats:
    """Gap to the lead, interpolated while the same one is followed."""
    if "radarState" not in log:
        return np.full_like(t, np.nan)
    radar = log["radarState"]
    time_s = (radar.time_ns - eof_ns[0]) / 1e9
    gap = np.where(radar.valid & radar["lead"], radar["distance"].astype(np.float64), np.nan)
    after = np.clip(np.searchsorted(time_s, t), 1, len(radar) - 1)
    before = after - 1
    share = (t - time_s[before]) / np.maximum(time_s[after] - time_s[before], 1e-9)
    same = (np.abs(gap[after] - gap[before]) < LEAD_JUMP_M) & (
        time_s[after] - time_s[before] < LEAD_GAP_S
    )
    inside = (t >= time_s[0]) & (t <= time_s[-1])
    return np.where(same & inside, gap[before] + share * (gap[after] - gap[before]), np.nan)


def _absent(lanes: dict[str, Floats]) -> list[str]:
    return [
        name.removesuffix("_m") for name, values in lanes.items() if not np.isfinite(values).any()
    ]


def _summed(steps: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(steps)])


def _latest(time_s: Floats, t: Floats) -> NDArray[np.int64]:
    """Row of the last sample at or before each t (the first, before any)."""
    return np.maximum(np.searchsorted(time_s, t, side="right") - 1, 0)


def _nearest(time_s: Floats, t: Floats) -> NDArray[np.int64]:
    after = np.clip(np.searchsorted(time_s, t), 0, len(time_s) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(time_s[before] - t) < np.abs(time_s[after] - t), before, after)
