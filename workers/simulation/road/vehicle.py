"""How a car answers a curvature command: limits, actuator delay and lag, bicycle model. Batched.

    wanted ─ limits ─▶ command ─ delay, lag ─▶ actuator ─ believed car ─▶ steering wheel
                                                                              │
    pose ◀─ integrate ─ driven curvature ◀─ true car, bank of the road ───────┘

The limits clip as openpilot clips a desired curvature before it is sent. The believed car is the
segment's: what the car's own controller goes by. The true car has the drive_key's overrides and
noise. Where both are equal they cancel.

Steering torque: at small slip a tyre's self-aligning torque grows with its lateral force (Rajamani,
ch. 13). So the motor's torque T, as a share of its full one, holds the lateral acceleration f T;
friction takes some of T. This is the steady state of openpilot's torque controller
(latcontrol_torque.py, `torque_from_lateral_accel`; f is its latAccelFactor). |T| <= 1 bounds
curvature v² + g roll by f (1 - friction). A bound on T's rate bounds that one's rate by f times it.
Not modelled: the torque that turns a standing wheel, and the driver's hands.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from suites.errors import Finding, SubmitterError
from suites.manifest import validation_findings
from suites.segment import Vehicle

Floats = NDArray[np.float64]

GRAVITY_MPS2 = 9.81
MAX_DELAY_S = 1.0
MAX_CURVATURE = 0.2
"""1/m: full lock of a passenger car, and what any absurd command is clipped to."""
LONGITUDINAL_LAG_S = 0.3
"""Time constant from wanted to driven acceleration."""
MIN_ACCELERATION_MPS2 = -9.0
MAX_ACCELERATION_MPS2 = 4.0
LEAST_BEND = 0.1
"""Of 1 - slip v²: an oversteering car beyond its critical speed is held here."""

_VEHICLE: TypeAdapter[Vehicle] = TypeAdapter(Vehicle)


class Geometry(NamedTuple):
    """From the steering wheel to the road, of B vehicles; each [B] float64."""

    wheelbase_m: Floats
    steer_ratio: Floats
    slip_factor: Floats
    angle_offset_rad: Floats


class Vehicles(NamedTuple):
    """Parameters of B vehicles, each [B] float64."""

    believed: Geometry
    true: Geometry
    curvature_gain: Floats
    """Declared noise: driven curvature is multiplied by it."""
    delay_s: Floats
    lag_s: Floats
    max_rate: Floats
    max_lateral_acceleration: Floats
    max_lateral_jerk: Floats
    held_lateral_acceleration: Floats
    """By the full steering torque, gravity's part on a banked road included; or infinite."""
    held_lateral_jerk: Floats
    """The same by the torque's rate."""
    width_m: Floats


class Motion(NamedTuple):
    """State of B vehicles: rear axle in the segment's local frame; each [B] float64 unless said."""

    x_m: Floats
    y_m: Floats
    yaw_rad: Floats
    speed_mps: Floats
    acceleration_mps2: Floats
    curvature: Floats
    """That is driven."""
    actuator: Floats
    """Curvature that the steering actuator has reached."""
    command: Floats
    """The last command, clipped."""
    pending: Floats
    """[B, K] clipped commands, the newest first: those that still wait for the delay."""


class Foreseen(NamedTuple):
    """When a command given now begins to act, and where each vehicle is then; each [B]."""

    time_s: Floats
    x_m: Floats
    """In the present ego frame, as y and yaw."""
    y_m: Floats
    yaw_rad: Floats


def overridden(vehicle: Vehicle, overrides: dict[str, Any]) -> Vehicle:
    """A segment's vehicle with a drive_key's overrides.

    Raises SubmitterError for an unknown or malformed parameter.
    """
    known = Vehicle.__slots__
    unknown = sorted(set(overrides) - set(known))
    if unknown:
        remedy = f"one of {', '.join(known)}"
        raise SubmitterError(
            f"the vehicle has no parameter {unknown[0]!r}",
            tuple(Finding(f"vehicle.{name}", "unknown", remedy) for name in unknown),
        )
    values = {name: overrides.get(name, getattr(vehicle, name)) for name in known}
    try:
        return _VEHICLE.validate_python(values)
    except ValidationError as error:
        findings = validation_findings(error)
        raise SubmitterError("the vehicle's parameters are not valid", findings) from None


def vehicles(
    nominal: Sequence[Vehicle], true: Sequence[Vehicle], delay_noise_s: Floats, gain: Floats
) -> Vehicles:
    """Rows of what the controller believes, what is true, and the declared noise ([B] s, [B])."""

    def column(name: str, rows: Sequence[Vehicle] = true) -> Floats:
        """NaN where the parameter is None."""
        return np.array([getattr(row, name) for row in rows], np.float64)

    def geometry(rows: Sequence[Vehicle]) -> Geometry:
        return Geometry(*(column(name, rows) for name in Geometry._fields))

    def unless_none(name: str) -> Floats:
        values = column(name)
        return np.where(np.isnan(values), np.inf, values)

    torque = unless_none("torque_lateral_acceleration_mps2")
    return Vehicles(
        believed=geometry(nominal),
        true=geometry(true),
        curvature_gain=gain,
        delay_s=np.clip(column("actuator_delay_s") + delay_noise_s, 0.0, MAX_DELAY_S),
        lag_s=column("actuator_time_constant_s"),
        max_rate=column("max_curvature_rate"),
        max_lateral_acceleration=column("max_lateral_acceleration_mps2"),
        max_lateral_jerk=column("max_lateral_jerk_mps3"),
        held_lateral_acceleration=torque * np.maximum(1.0 - column("torque_friction"), 1e-6),
        held_lateral_jerk=torque * unless_none("max_torque_rate"),
        width_m=column("width_m"),
    )


def standing(batch: int, slots: int) -> Motion:
    """B vehicles at rest at the origin, with K = `slots` commands under way."""
    zeros = np.zeros(batch)
    return Motion(zeros, zeros, zeros, zeros, zeros, zeros, zeros, zeros, np.zeros((batch, slots)))


def pending_slots(dt_s: float) -> int:
    """K of `Motion.pending`: enough for MAX_DELAY_S, and one to interpolate with."""
    return int(np.ceil(MAX_DELAY_S / dt_s)) + 2


def steer(
    rows: Vehicles,
    motion: Motion,
    wanted: Floats,
    next_speed: Floats,
    next_acceleration: Floats,
    roll_rad: Floats,
    dt_s: float,
) -> tuple[Motion, NDArray[np.bool_]]:
    """One step under the wanted curvature [B] 1/m (finite); the speed [B] at its end is known.

    roll_rad: bank of the road, left side up. Returns the motion dt later, and where a limit cut.
    """
    moved = Motion(*[part.copy() for part in motion])
    cut = np.zeros(len(wanted), np.bool_)
    _steer(rows, moved, wanted, next_speed, roll_rad, dt_s, cut)
    return moved._replace(speed_mps=next_speed, acceleration_mps2=next_acceleration), cut


def accelerate(motion: Motion, wanted: Floats, dt_s: float) -> tuple[Floats, Floats]:
    """(speed [B], acceleration [B]) dt later when the model wants an acceleration [B] m/s².

    It is clipped and followed with a first-order lag; a standing car stays where it is.
    """
    target = np.clip(wanted, MIN_ACCELERATION_MPS2, MAX_ACCELERATION_MPS2)
    share = 1.0 - float(np.exp(-dt_s / LONGITUDINAL_LAG_S))
    acceleration = motion.acceleration_mps2 + share * (target - motion.acceleration_mps2)
    speed = np.maximum(motion.speed_mps + acceleration * dt_s, 0.0)
    return speed, (speed - motion.speed_mps) / dt_s


def foreseen(rows: Vehicles, motion: Motion, dt_s: float) -> Foreseen:
    """Where the commands under way will have taken each vehicle when one given now begins to act.

    The lag counts as delay: its area is the same.
    """
    out = np.empty((4, len(motion.x_m)))
    _foreseen(
        rows.delay_s, rows.lag_s, motion.speed_mps, motion.actuator, motion.pending, dt_s, out
    )
    return Foreseen(*out)


def bicycle(
    factor: Any,
    wheel: Any,
    speed: Any,
    lean: Any,
    wheelbase: Any,
    ratio: Any,
    slip: Any,
    offset: Any,
) -> Any:
    """`factor` times the curvature 1/m that a wheel angle gives: numbers, or arrays of one shape.

    Steady-state bicycle model (Rajamani, Vehicle Dynamics and Control, ch. 2.6 and 3.2), with
    `slip` for the understeer and `lean` = g roll for the bank:

        curvature = (tan((wheel - offset) / ratio) / wheelbase + slip lean) / (1 - slip speed²)

    factor: 1, a gain, or the speed (which gives the yaw rate).
    """
    road = np.tan((wheel - offset) / ratio) / wheelbase + slip * lean
    return factor * road / np.maximum(1.0 - slip * speed * speed, LEAST_BEND)


_bicycle = njit(cache=True)(bicycle)


@njit(cache=True)
def _steer(rows, motion, wanted, next_speed, roll, dt, cut):  # type: ignore[no-untyped-def]
    """Everything of `motion` but speed and acceleration is moved in place."""
    believed, true = rows.believed, rows.true
    for r in range(len(wanted)):
        v = 0.5 * (motion.speed_mps[r] + next_speed[r])
        v2 = max(v * v, 1.0)
        lean = GRAVITY_MPS2 * roll[r]

        # The limits: of curvature, lateral acceleration, what the torque holds, and of their rates.
        bound = min(rows.max_lateral_acceleration[r] / v2, MAX_CURVATURE)
        held = rows.held_lateral_acceleration[r]
        jerk = min(rows.max_lateral_jerk[r], rows.held_lateral_jerk[r])
        step = min(rows.max_rate[r], jerk / v2) * dt
        least = max(-bound, (-held - lean) / v2)
        most = min(bound, (held - lean) / v2)
        last = motion.command[r]
        sent = min(max(wanted[r], least), most)
        sent = min(max(sent, last - step), last + step)
        cut[r] = abs(sent - wanted[r]) > 1e-9
        motion.command[r] = sent

        # The delay, between two of the commands under way; then the lag.
        pending = motion.pending[r]
        for k in range(len(pending) - 1, 0, -1):
            pending[k] = pending[k - 1]
        pending[0] = sent
        delay, lag = rows.delay_s[r], rows.lag_s[r]
        whole = int(delay / dt)
        part = delay / dt - whole
        arrived = pending[whole] + part * (pending[whole + 1] - pending[whole])
        share = 1.0 - math.exp(-dt / lag) if lag > 1e-6 else 1.0
        motion.actuator[r] += share * (arrived - motion.actuator[r])

        # The wheel angle that the believed car needs (`bicycle` solved for it),
        # and what the true car makes of it.
        slip = believed.slip_factor[r]
        bend = max(1.0 - slip * v * v, LEAST_BEND)
        tangent = (motion.actuator[r] * bend - slip * lean) * believed.wheelbase_m[r]
        wheel = math.atan(tangent) * believed.steer_ratio[r] + believed.angle_offset_rad[r]
        driven = _bicycle(
            rows.curvature_gain[r],
            wheel,
            v,
            lean,
            true.wheelbase_m[r],
            true.steer_ratio[r],
            true.slip_factor[r],
            true.angle_offset_rad[r],
        )

        # The arc, by its chord.
        turned = v * dt * 0.5 * (motion.curvature[r] + driven)
        middle = motion.yaw_rad[r] + 0.5 * turned
        motion.x_m[r] += v * dt * math.cos(middle)
        motion.y_m[r] += v * dt * math.sin(middle)
        motion.yaw_rad[r] += turned
        motion.curvature[r] = driven


@njit(cache=True)
def _foreseen(delay, lag, speed, actuator, pending, dt, out):  # type: ignore[no-untyped-def]
    for r in range(len(delay)):
        whole = int(delay[r] / dt)
        area = actuator[r] * lag[r] + pending[r, whole] * (delay[r] - whole * dt)
        for k in range(whole):
            area += pending[r, k] * dt
        time = delay[r] + lag[r]
        heading = speed[r] * area
        # An arc of constant curvature: the chord lies half the turn away.
        out[0, r] = time
        out[1, r] = speed[r] * time * math.cos(heading / 2)
        out[2, r] = speed[r] * time * math.sin(heading / 2)
        out[3, r] = heading


def displaced(
    x_m: Floats, y_m: Floats, yaw_rad: Floats, forward_m: Floats, left_m: Floats
) -> tuple[Floats, Floats]:
    """([B], [B]) points ahead and to the left of poses."""
    out = np.empty((2, len(x_m)))
    _displaced(x_m, y_m, yaw_rad, forward_m, left_m, out)
    return out[0], out[1]


def in_ego_frame(motion: Motion, x_m: Floats, y_m: Floats) -> Floats:
    """Points [B, P] of the segment's frame as [B, P, 2]: x forward, y left of each vehicle."""
    out = np.empty((*x_m.shape, 2))
    _in_ego_frame(motion.x_m, motion.y_m, motion.yaw_rad, x_m, y_m, out)
    return out


@njit(cache=True)
def _displaced(x, y, yaw, forward, left, out):  # type: ignore[no-untyped-def]
    for r in range(len(x)):
        cos, sin = math.cos(yaw[r]), math.sin(yaw[r])
        out[0, r] = x[r] + forward[r] * cos - left[r] * sin
        out[1, r] = y[r] + forward[r] * sin + left[r] * cos


@njit(cache=True)
def _in_ego_frame(ego_x, ego_y, yaw, x, y, out):  # type: ignore[no-untyped-def]
    for r in range(len(ego_x)):
        cos, sin = math.cos(yaw[r]), math.sin(yaw[r])
        for p in range(x.shape[1]):
            dx, dy = x[r, p] - ego_x[r], y[r, p] - ego_y[r]
            out[r, p, 0] = dx * cos + dy * sin
            out[r, p, 1] = dy * cos - dx * sin
