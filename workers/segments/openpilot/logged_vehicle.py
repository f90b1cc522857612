"""The car of an openpilot log."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suites.segment import Vehicle
from workers.segments.openpilot.event_log import Channel

UNKNOWN_CAR = "The log has no carParams: a usual passenger car is taken."
LEARNED = "Steer ratio, stiffness and angle offset are the medians of what the log had learned."


def vehicle(log: dict[str, Channel]) -> tuple[Vehicle, tuple[str, ...]]:
    """(bicycle model from carParams, as openpilot's VehicleModel has it; notes).

    What the log had learned replaces what the car's fingerprint says: liveParameters for steering,
    liveTorqueParameters for what the steering torque holds. Logs do not tell the torque's rate.
    """
    if "carParams" not in log:
        return Vehicle(), (UNKNOWN_CAR,)
    car = {name: values[-1] for name, values in log["carParams"].values.items()}
    length, ratio = float(car["wheelbase"]), float(car["steer_ratio"])
    if not (1.0 < length < 10.0 and 5.0 < ratio < 40.0):
        problem = f"wheelbase {length:g} m, steer ratio {ratio:g}: not a car's"
        raise log["carParams"].wrong(-1, problem)
    notes = [f"Vehicle: {car['car']}."]
    stiffness, offset_deg = 1.0, 0.0
    if steering := _medians(log, "liveParameters", "steer_ratio", "stiffness", "offset_deg"):
        ratio, stiffness, offset_deg = steering
        notes.append(LEARNED)
    learned = _medians(log, "liveTorqueParameters", "torque", "friction")
    torque, friction = learned or (float(car["torque"]), float(car["friction"]))
    limited = 0.1 < torque < 20.0 and 0.0 <= friction < 1.0
    if limited:
        holds = f"The steering torque holds {torque * (1 - friction):.2f} m/s² on a level road"
        notes.append(f"{holds}, friction taken off.")
    found = Vehicle(
        wheelbase_m=length,
        steer_ratio=ratio,
        slip_factor=_slip_factor(car, stiffness),
        angle_offset_rad=float(np.radians(offset_deg)),
        actuator_delay_s=float(car["delay"]),
        torque_lateral_acceleration_mps2=torque if limited else None,
        torque_friction=friction if limited else 0.0,
    )
    return found, tuple(notes)


def learned_rows(log: dict[str, Channel], name: str) -> NDArray[np.bool_]:
    """Rows of a channel of learned parameters that are fit for use; none where it is absent."""
    channel = log.get(name)
    return np.zeros(0, np.bool_) if channel is None else channel.valid & channel["ok"]


def _medians(log: dict[str, Channel], name: str, *fields: str) -> list[float]:
    """Medians of what was learned; nothing where nothing was."""
    rows = learned_rows(log, name)
    return [float(np.median(log[name][field][rows])) for field in fields] if rows.any() else []


def _slip_factor(car: Mapping[str, Any], stiffness: float) -> float:
    """m (c_f l_f - c_r l_r) / (l² c_f c_r), both stiffnesses times the learned factor."""
    length, front = float(car["wheelbase"]), float(car["to_front"])
    c_front, c_rear = stiffness * float(car["front"]), stiffness * float(car["rear"])
    if c_front <= 0 or c_rear <= 0:
        return 0.0
    moment = float(car["mass"]) * (c_front * front - c_rear * (length - front))
    return moment / (length**2 * c_front * c_rear)
