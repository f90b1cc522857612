"""How a car answers a curvature command: limits, actuator delay and lag, bicycle model with understeer. Batched.

Order: the command is clipped to the limits (as openpilot clips a desired curvature before it is sent), waits for the
actuator delay, is followed with a first-order lag, becomes a steering-wheel angle by the parameters that the car's own
controller believes in (the segment's), and that angle becomes a curvature by the parameters that the car really has
(the segment's with the drive_key's overrides and noise). Equal parameters cancel.

Steering torque: at small slip a tyre's self-aligning torque grows with its lateral force (Rajamani, ch. 13), so the motor's
torque T, in shares of its full one, holds the lateral acceleration that the tyres give, f T; some of T is lost to friction.
This is the steady state of openpilot's torque controller (latcontrol_torque.py, `torque_from_lateral_accel`; f is its
latAccelFactor). |T| <= 1 bounds curvature v² + g roll by f (1 - friction), and a bound on T's rate that one's rate by f times
it. Not modelled: the torque that turns a standing wheel, and the driver's hands.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

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
MIN_ACCELERATION_MPS2, MAX_ACCELERATION_MPS2 = -9.0, 4.0

_VEHICLE: TypeAdapter[Vehicle] = TypeAdapter(Vehicle)


@dataclass(frozen=True, slots=True)
class Vehicles:
    """Parameters of B vehicles, each [B] float64."""

    wheelbase_m: Floats
    steer_ratio: Floats
    slip_factor: Floats
    angle_offset_rad: Floats
    true_wheelbase_m: Floats
    true_steer_ratio: Floats
    true_slip_factor: Floats
    true_angle_offset_rad: Floats
    curvature_gain: Floats
    """Declared noise: driven curvature is multiplied by it."""
    delay_s: Floats
    lag_s: Floats
    max_rate: Floats
    max_lateral_acceleration: Floats
    max_lateral_jerk: Floats
    held_lateral_acceleration: Floats
    """By the full steering torque, gravity's part on a banked road included; infinite without a limit."""
    held_lateral_jerk: Floats
    """The same by the torque's rate."""
    width_m: Floats


@dataclass(frozen=True, slots=True)
class Motion:
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


def overridden(vehicle: Vehicle, overrides: dict[str, Any]) -> Vehicle:
    """A segment's vehicle with a drive_key's overrides. Raises SubmitterError for an unknown or malformed parameter."""
    unknown = sorted(set(overrides) - set(Vehicle.__slots__))
    if unknown:
        raise SubmitterError(
            f"the vehicle has no parameter {unknown[0]!r}",
            tuple(
                Finding(f"vehicle.{name}", "unknown", f"one of {', '.join(Vehicle.__slots__)}")
                for name in unknown
            ),
        )
    try:
        return _VEHICLE.validate_python(
            {name: overrides.get(name, getattr(vehicle, name)) for name in Vehicle.__slots__}
        )
    except ValidationError as error:
        raise SubmitterError(
            "the vehicle's parameters are not valid", validation_findings(error)
        ) from None


def vehicles(
    nominal: Sequence[Vehicle], true: Sequence[Vehicle], delay_noise_s: Floats, gain: Floats
) -> Vehicles:
    """Rows of what the controller believes, what is true, and the declared noise ([B] seconds and factor)."""

    def column(rows: Sequence[Vehicle], name: str) -> Floats:
        return np.array([getattr(row, name) for row in rows], np.float64)

    def unless_none(name: str) -> Floats:
        return np.array(
            [np.inf if (value := getattr(row, name)) is None else value for row in true]
        )

    torque = unless_none("torque_lateral_acceleration_mps2")

    return Vehicles(
        wheelbase_m=column(nominal, "wheelbase_m"),
        steer_ratio=column(nominal, "steer_ratio"),
        slip_factor=column(nominal, "slip_factor"),
        angle_offset_rad=column(nominal, "angle_offset_rad"),
        true_wheelbase_m=column(true, "wheelbase_m"),
        true_steer_ratio=column(true, "steer_ratio"),
        true_slip_factor=column(true, "slip_factor"),
        true_angle_offset_rad=column(true, "angle_offset_rad"),
        curvature_gain=gain,
        delay_s=np.clip(column(true, "actuator_delay_s") + delay_noise_s, 0.0, MAX_DELAY_S),
        lag_s=column(true, "actuator_time_constant_s"),
        max_rate=column(true, "max_curvature_rate"),
        max_lateral_acceleration=column(true, "max_lateral_acceleration_mps2"),
        max_lateral_jerk=column(true, "max_lateral_jerk_mps3"),
        held_lateral_acceleration=torque * np.maximum(1.0 - column(true, "torque_friction"), 1e-6),
        held_lateral_jerk=torque * unless_none("max_torque_rate"),
        width_m=column(true, "width_m"),
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
    """One step under the wanted curvature [B] 1/m (finite), with the speed [B] at its end already known.

    roll_rad: bank of the road, left side up. Returns the motion dt later and where a limit cut the command.
    """
    x, y, yaw = motion.x_m.copy(), motion.y_m.copy(), motion.yaw_rad.copy()
    curvature, actuator = motion.curvature.copy(), motion.actuator.copy()
    command, pending = motion.command.copy(), motion.pending.copy()
    cut = np.zeros(len(x), np.bool_)
    _steer(
        wanted,
        motion.speed_mps,
        next_speed,
        roll_rad,
        dt_s,
        rows.wheelbase_m,
        rows.steer_ratio,
        rows.slip_factor,
        rows.angle_offset_rad,
        rows.true_wheelbase_m,
        rows.true_steer_ratio,
        rows.true_slip_factor,
        rows.true_angle_offset_rad,
        rows.curvature_gain,
        rows.delay_s,
        rows.lag_s,
        rows.max_rate,
        rows.max_lateral_acceleration,
        rows.max_lateral_jerk,
        rows.held_lateral_acceleration,
        rows.held_lateral_jerk,
        x,
        y,
        yaw,
        curvature,
        actuator,
        command,
        pending,
        cut,
    )
    moved = replace(
        motion,
        x_m=x,
        y_m=y,
        yaw_rad=yaw,
        speed_mps=next_speed,
        acceleration_mps2=next_acceleration,
        curvature=curvature,
        actuator=actuator,
        command=command,
        pending=pending,
    )
    return moved, cut


def accelerate(motion: Motion, wanted: Floats, dt_s: float) -> tuple[Floats, Floats]:
    """(speed [B], acceleration [B]) dt later when the model wants an acceleration [B] m/s²: clipped, first-order lag,
    and a standing car stays where it is."""
    target = np.clip(wanted, MIN_ACCELERATION_MPS2, MAX_ACCELERATION_MPS2)
    share = 1.0 - float(np.exp(-dt_s / LONGITUDINAL_LAG_S))
    acceleration = motion.acceleration_mps2 + share * (target - motion.acceleration_mps2)
    speed = np.maximum(motion.speed_mps + acceleration * dt_s, 0.0)
    return speed, (speed - motion.speed_mps) / dt_s


def foreseen(rows: Vehicles, motion: Motion, dt_s: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Where the commands already given will have taken each vehicle when a command given now begins to act: (time s,
    x m, y m, heading rad), each [B], in the present ego frame. The lag counts as delay: its area is the same."""
    out = np.empty((4, len(motion.x_m)))
    _foreseen(
        rows.delay_s, rows.lag_s, motion.speed_mps, motion.actuator, motion.pending, dt_s, out
    )
    return out[0], out[1], out[2], out[3]


@njit(cache=True)
def _steer(  # type: ignore[no-untyped-def]
    wanted,
    speed,
    next_speed,
    roll,
    dt,
    wheelbase,
    ratio,
    slip,
    angle_offset,
    true_wheelbase,
    true_ratio,
    true_slip,
    true_offset,
    gain,
    delay,
    lag,
    max_rate,
    max_lateral,
    max_jerk,
    held,
    held_jerk,
    x,
    y,
    yaw,
    curvature,
    actuator,
    command,
    pending,
    cut,
):
    for r in range(len(x)):
        v = 0.5 * (speed[r] + next_speed[r])
        v2 = max(v * v, 1.0)
        lean = GRAVITY_MPS2 * roll[r]
        bound, step = (
            min(max_lateral[r] / v2, MAX_CURVATURE),
            min(max_rate[r], min(max_jerk[r], held_jerk[r]) / v2) * dt,
        )
        sent = min(
            max(wanted[r], max(-bound, (-held[r] - lean) / v2)), min(bound, (held[r] - lean) / v2)
        )
        sent = min(max(sent, command[r] - step), command[r] + step)
        cut[r] = abs(sent - wanted[r]) > 1e-9
        command[r] = sent
        for k in range(pending.shape[1] - 1, 0, -1):
            pending[r, k] = pending[r, k - 1]
        pending[r, 0] = sent
        whole = int(delay[r] / dt)
        part = delay[r] / dt - whole
        arrived = pending[r, whole] + part * (pending[r, whole + 1] - pending[r, whole])
        share = 1.0 - math.exp(-dt / lag[r]) if lag[r] > 1e-6 else 1.0
        actuator[r] += share * (arrived - actuator[r])
        # Steady-state bicycle model (Rajamani, Vehicle Dynamics and Control, ch. 2.6 and 3.2): with understeer s and
        # bank, curvature = (tan(wheel angle / ratio) / wheelbase + s g roll) / (1 - s v^2).
        tangent = (actuator[r] * max(1.0 - slip[r] * v * v, 0.1) - slip[r] * lean) * wheelbase[r]
        wheel = math.atan(tangent) * ratio[r] + angle_offset[r]
        road = (
            math.tan((wheel - true_offset[r]) / true_ratio[r]) / true_wheelbase[r]
            + true_slip[r] * lean
        )
        driven = gain[r] * road / max(1.0 - true_slip[r] * v * v, 0.1)
        turned = v * dt * 0.5 * (curvature[r] + driven)
        x[r] += v * dt * math.cos(yaw[r] + 0.5 * turned)
        y[r] += v * dt * math.sin(yaw[r] + 0.5 * turned)
        yaw[r] += turned
        curvature[r] = driven


@njit(cache=True)
def _foreseen(delay, lag, speed, actuator, pending, dt, out):  # type: ignore[no-untyped-def]
    for r in range(len(delay)):
        whole = int(delay[r] / dt)
        area = actuator[r] * lag[r] + pending[r, whole] * (delay[r] - whole * dt)
        for k in range(whole):
            area += pending[r, k] * dt
        time, heading = delay[r] + lag[r], speed[r] * area
        out[0, r], out[3, r] = time, heading
        # An arc of constant curvature: the chord lies half the turn away.
        out[1, r], out[2, r] = (
            speed[r] * time * math.cos(heading / 2),
            speed[r] * time * math.sin(heading / 2),
        )


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
            out[r, p, 0], out[r, p, 1] = dx * cos + dy * sin, dy * cos - dx * sin
