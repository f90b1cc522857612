"""The columns of an openpilot log at its frame times."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suites.segment import DRIVER_CODES, Floats, SegmentColumns, Vehicle
from workers.segments.data_errors import not_importable
from workers.segments.openpilot.event_log import Channel
from workers.segments.openpilot.lane_lines import lane_columns
from workers.segments.openpilot.logged_vehicle import learned_rows

MAX_GAP_S = 1.0
"""Longest silence of carState and cameraOdometry inside the segment."""
MAX_HOLD_S = 5.0
"""Longest silence at either end of it: the first (last) value is held."""
MAX_SPEED_MPS, MAX_ACCELERATION_MPS2, MAX_STEERING_RAD, MAX_YAW_RATE = 100.0, 50.0, 20.0, 2.0
"""Beyond these a value is damage, not driving."""
SETTLED_ROT_STD = 0.004
"""rad/s: odometry less sure of the yaw rate (a model that has just started) is left out."""
BUMP_SAMPLES = 7
BUMP_YAW_RATE = 0.015
"""A sample this far (rad/s) from the median of its neighbours is a bump of the road, not a turn.

At 4 Hz it would bend the path for half a second."""
SLOW_MPS = 3.0
"""Below this the curvature comes from the steering wheel: yaw rate over speed is noise."""
TAKEOVER_S = 2.0
"""After the driver ends an engagement."""
LEAD_GAP_S, LEAD_JUMP_M = 0.5, 5.0
GRAVITY = 9.81


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """When the frames were taken: at the end of their exposure."""

    start_ns: np.int64
    t: Floats
    """[N] s since the first."""

    def seconds(self, time_ns: NDArray[np.int64]) -> Floats:
        """Times of the log as seconds since the first frame."""
        return np.asarray((time_ns.astype(np.int64) - self.start_ns) / 1e9)


@dataclass(frozen=True, slots=True)
class Signal:
    """Samples of one number, ready to interpolate."""

    time_s: Floats
    value: Floats

    def at(self, t: Floats) -> Floats:
        """Linear between samples, held beyond them."""
        return np.interp(t, self.time_s, self.value)


def columns(
    log: dict[str, Channel], eof_ns: NDArray[np.int64], car: Vehicle, forward_m: float
) -> tuple[SegmentColumns, tuple[str, ...], tuple[str, ...]]:
    """(columns, missing channels, notes) at frames whose exposure ended at `eof_ns` [N].

    The pose is dead-reckoned in the plane: speed from carState, yaw rate from cameraOdometry.
    liveLocationKalman is not used: it jumps when it finds its place, and is a placeholder until
    then. carState.yawRate is 0 in many cars.
    """
    t = (eof_ns - eof_ns[0]) / 1e9
    frames = FrameTimes(eof_ns[0], t)
    state = log["carState"]
    usable = state.valid & state["can"]
    state_s = frames.seconds(state.time_ns)

    def from_state(field: str, most: float) -> Floats:
        return _signal(state, field, usable, state_s, t, most).at(t)

    speed = from_state("speed", MAX_SPEED_MPS)
    steering = np.radians(from_state("steering_deg", np.degrees(MAX_STEERING_RAD)))
    roll = _roll(log, frames)
    by_wheel = _wheel_curvature(car, steering, speed, np.nan_to_num(roll))
    yaw_rate, bumps = _yaw_rate(log["cameraOdometry"], frames, by_wheel * speed)
    x, y, yaw = _dead_reckoned(t, speed, yaw_rate)
    fast = speed >= SLOW_MPS
    curvature = np.where(fast, yaw_rate / np.maximum(speed, SLOW_MPS), by_wheel)

    usable_s = state_s[usable]
    known = (t >= usable_s[0]) & (t <= usable_s[-1])
    row = _latest(usable_s, t)
    lanes = lane_columns(log, eof_ns, x, y, yaw, forward_m)
    found = SegmentColumns(
        t_s=t,
        x_m=x,
        y_m=y,
        z_m=np.zeros_like(t),
        roll_rad=roll,
        pitch_rad=np.full_like(t, np.nan),
        yaw_rad=yaw,
        speed_mps=speed,
        acceleration_mps2=from_state("acceleration", MAX_ACCELERATION_MPS2),
        curvature=curvature,
        steering_angle_rad=steering,
        driver=_driver(log, frames, known),
        left_blinker=state["left"][usable][row] & known,
        right_blinker=state["right"][usable][row] & known,
        lead_distance_m=_lead(log, frames),
        **lanes,
    )
    apart = (by_wheel - curvature)[fast]
    notes = _notes(usable_s, bool(known.all()), apart, bumps)
    return found, _missing(log, lanes, roll), notes


def _missing(log: dict[str, Channel], lanes: dict[str, Floats], roll: Floats) -> tuple[str, ...]:
    known = {name.removesuffix("_m"): bool(np.isfinite(lane).any()) for name, lane in lanes.items()}
    known |= {"roll": bool(np.isfinite(roll).any())}
    known |= {"lead": "radarState" in log, "driver": "carControl" in log}
    return ("z", "pitch", *(name for name, there in known.items() if not there))


def _notes(usable_s: Floats, all_known: bool, apart: Floats, bumps: int) -> tuple[str, ...]:
    """What to know of the columns. apart: steering wheel less odometry where it drove fast, 1/m."""
    notes = ["The road is taken as flat: the pose is dead-reckoned in the plane and drifts slowly."]
    if not all_known:
        valid = f"carState is valid from {usable_s[0]:.2f} s to {usable_s[-1]:.2f} s"
        notes.append(f"{valid}: held beyond.")
    if len(apart):
        notes.append(
            "Curvature is cameraOdometry's yaw rate over the speed (it has no offset to learn, "
            "unlike the steering wheel); steering wheel and bicycle model differ by "
            f"{float(np.sqrt(np.mean(apart**2))):.1e} 1/m (rms)."
        )
    if bumps:
        samples = f"{bumps} samples of cameraOdometry's yaw rate"
        notes.append(f"{samples} stood out from their neighbours and were replaced.")
    return tuple(notes)


def _signal(
    channel: Channel, field: str, usable: NDArray[np.bool_], time_s: Floats, t: Floats, most: float
) -> Signal:
    """The usable samples. Raises DataError where they are absent, silent too long, or absurd."""
    rows = np.flatnonzero(usable)
    if not len(rows):
        problem = f"none of its {len(channel)} events is marked valid"
        raise not_importable(channel.path, channel.name, problem)
    times = time_s[rows]
    values = channel[field][rows].astype(np.float64)
    absurd = np.abs(values) > most
    if absurd.any():
        row = int(np.argmax(absurd))
        problem = f"{field}: at most {most:g} expected, found {values[row]:g}"
        raise channel.wrong(int(rows[row]), problem)
    inside = (times[1:] > t[0]) & (times[:-1] < t[-1])
    silent = inside & (np.diff(times) > MAX_GAP_S)
    if silent.any():
        row = int(np.argmax(silent))
        problem = f"silent or invalid for {times[row + 1] - times[row]:.1f} s after this"
        raise channel.wrong(int(rows[row]), problem)
    first = times[0] - t[0]
    last = t[-1] - times[-1]
    if first > MAX_HOLD_S:
        problem = f"frames go on for {first:.1f} s before this, its first"
        raise channel.wrong(int(rows[0]), problem)
    if last > MAX_HOLD_S:
        problem = f"frames go on for {last:.1f} s after this, its last"
        raise channel.wrong(int(rows[-1]), problem)
    return Signal(times, values)


def _dead_reckoned(t: Floats, speed: Floats, yaw_rate: Floats) -> tuple[Floats, Floats, Floats]:
    """(x m, y m, yaw rad) [N] from the first frame's pose, by the trapezoidal rule."""
    step = np.diff(t)
    yaw = _summed(0.5 * (yaw_rate[1:] + yaw_rate[:-1]) * step)
    ahead = 0.5 * (speed[1:] + speed[:-1]) * step
    heading = 0.5 * (yaw[1:] + yaw[:-1])
    return _summed(ahead * np.cos(heading)), _summed(ahead * np.sin(heading)), yaw


def _yaw_rate(odometry: Channel, frames: FrameTimes, by_wheel: Floats) -> tuple[Floats, int]:
    """(rad/s [N], left positive, from cameraOdometry; how many of its samples were bumps).

    A bump stands out from the samples around it, each taken less what the wheel says (by_wheel [N]
    rad/s). It is replaced by the wheel's rate and the usual difference to it.
    """
    time_s = frames.seconds(odometry["eof"])
    if (back := np.diff(time_s) <= 0).any():
        raise odometry.wrong(int(np.argmax(back)) + 1, "its frame's time goes back")
    settled = odometry.valid & (odometry["rot_std"][:, 2] < SETTLED_ROT_STD)
    # its axes are forward, right, down: the sign of the yaw rate turns
    turned = replace(odometry, values={"rot": -odometry["rot"][:, 2]})
    rate = _signal(turned, "rot", settled, time_s, frames.t, MAX_YAW_RATE)
    wheel = np.interp(rate.time_s, frames.t, by_wheel)
    beyond = np.pad(rate.value - wheel, BUMP_SAMPLES // 2, mode="edge")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(beyond, BUMP_SAMPLES), axis=1)
    bump = np.abs(rate.value - wheel - usual) > BUMP_YAW_RATE
    smooth = Signal(rate.time_s, np.where(bump, wheel + usual, rate.value))
    return smooth.at(frames.t), int(bump.sum())


def _wheel_curvature(car: Vehicle, steering: Floats, speed: Floats, roll: Floats) -> Floats:
    """1/m of the bicycle model: a road that leans right (roll > 0) turns the car right."""
    # Not road/vehicle.bicycle: this order of operations is in the digests of imported segments.
    bend = 1.0 - car.slip_factor * speed**2
    wheel = np.tan((steering - car.angle_offset_rad) / car.steer_ratio)
    return np.asarray(wheel / car.wheelbase_m / bend + GRAVITY * roll * car.slip_factor / bend)


def _roll(log: dict[str, Channel], frames: FrameTimes) -> Floats:
    """Bank of the road where liveParameters knows it, else NaN (its sign is that of ISO 8855)."""
    rows = learned_rows(log, "liveParameters")
    if not rows.any():
        return np.full_like(frames.t, np.nan)
    learned = log["liveParameters"]
    roll = Signal(frames.seconds(learned.time_ns[rows]), learned["roll"][rows].astype(np.float64))
    far = np.abs(roll.time_s[_nearest(roll.time_s, frames.t)] - frames.t) > MAX_GAP_S
    return np.where(far, np.nan, roll.at(frames.t))


def _driver(
    log: dict[str, Channel], frames: FrameTimes, known: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """DRIVER_CODES [N]: the model steers while carControl says so.

    Takeover: the driver turns the wheel against it without a blinker (with one it is the nudge that
    starts a lane change), and TAKEOVER_S from each end of an engagement.
    """
    t = frames.t
    codes = np.full(len(t), DRIVER_CODES["unknown"])
    if "carControl" not in log:
        return codes
    control, state = log["carControl"], log["carState"]
    control_s = frames.seconds(control.time_ns)
    steers = control["steers"][_latest(control_s, t)]
    codes[known] = np.where(steers, DRIVER_CODES["model"], DRIVER_CODES["human"])[known]
    row = _latest(frames.seconds(state.time_ns), t)
    against = state["pressed"][row] & ~state["left"][row] & ~state["right"][row]
    codes[known & steers & against] = DRIVER_CODES["takeover"]
    for end in np.flatnonzero(control["steers"][:-1] & ~control["steers"][1:]):
        since = t - control_s[end + 1]
        codes[known & ~steers & (since >= 0) & (since < TAKEOVER_S)] = DRIVER_CODES["takeover"]
    return codes


def _lead(log: dict[str, Channel], frames: FrameTimes) -> Floats:
    """Gap to the lead, interpolated while the same one is followed."""
    t = frames.t
    if "radarState" not in log:
        return np.full_like(t, np.nan)
    radar = log["radarState"]
    time_s = frames.seconds(radar.time_ns)
    gap = np.where(radar.valid & radar["lead"], radar["distance"].astype(np.float64), np.nan)
    after = np.clip(np.searchsorted(time_s, t), 1, len(radar) - 1)
    before = after - 1
    apart_s = time_s[after] - time_s[before]
    moved = gap[after] - gap[before]
    share = (t - time_s[before]) / np.maximum(apart_s, 1e-9)
    same = (np.abs(moved) < LEAD_JUMP_M) & (apart_s < LEAD_GAP_S)
    inside = (t >= time_s[0]) & (t <= time_s[-1])
    return np.where(same & inside, gap[before] + share * moved, np.nan)


def _summed(steps: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(steps)])


def _latest(time_s: Floats, t: Floats) -> NDArray[np.int64]:
    """Row of the last sample at or before each t (the first, before any)."""
    return np.maximum(np.searchsorted(time_s, t, side="right") - 1, 0)


def _nearest(time_s: Floats, t: Floats) -> NDArray[np.int64]:
    after = np.clip(np.searchsorted(time_s, t), 0, len(time_s) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(time_s[before] - t) < np.abs(time_s[after] - t), before, after)
