"""What the passengers feel. Bounds and names are nuPlan's (nuplan-devkit, ego_is_comfortable)."""

import numpy as np

from suites.metrics.steps import Floats, column, human
from suites.rollout import Trace

MAX_ABS_LAT_ACCEL_MPS2 = 4.89
MAX_LON_ACCEL_MPS2 = 2.40
MIN_LON_ACCEL_MPS2 = -4.05
MAX_ABS_LON_JERK_MPS3 = 4.13
MAX_ABS_MAG_JERK_MPS3 = 8.37
MAX_ABS_YAW_RATE_RADPS = 0.95
MAX_ABS_YAW_ACCEL_RADPS2 = 1.93
HARD_BRAKE_MPS2 = -3.0
HUMAN_BRAKE_MPS2 = -2.0
"""The human was not braking hard: his longitudinal acceleration stayed above this at that place."""
ACCELERATION_CAP_MPS2 = 9.81
JERK_CAP_MPS3 = 30.0


def lateral_acceleration_mps2(trace: Trace) -> Floats:
    """[T] curvature times speed squared."""
    return column(trace, "curvature") * column(trace, "speed_mps") ** 2


def longitudinal_acceleration_mps2(trace: Trace) -> Floats:
    return column(trace, "acceleration_mps2")


def rate_of(values: Floats, rate_hz: float) -> Floats:
    """[T] backward difference per second; the first step has none (0)."""
    return np.diff(values, prepend=values[:1]) * rate_hz


def lateral_jerk_mps3(trace: Trace) -> Floats:
    return rate_of(lateral_acceleration_mps2(trace), trace.rate_hz)


def longitudinal_jerk_mps3(trace: Trace) -> Floats:
    return rate_of(longitudinal_acceleration_mps2(trace), trace.rate_hz)


def hard_brake(trace: Trace) -> Floats:
    """[T] 1 where the car brakes hard and the human, there, did not; NaN where no human drove."""
    slams = column(trace, "acceleration_mps2") < HARD_BRAKE_MPS2
    calm = column(trace, "log_acceleration_mps2") > HUMAN_BRAKE_MPS2
    return np.where(human(trace), (slams & calm).astype(np.float64), np.nan)


def uncomfortable(trace: Trace) -> Floats:
    """[T] 1 where any of nuPlan's comfort bounds is crossed."""
    speed = column(trace, "speed_mps")
    acceleration = column(trace, "acceleration_mps2")
    yaw_rate = column(trace, "curvature") * speed
    lateral_jerk = lateral_jerk_mps3(trace)
    longitudinal_jerk = longitudinal_jerk_mps3(trace)
    crossed = (
        (np.abs(lateral_acceleration_mps2(trace)) > MAX_ABS_LAT_ACCEL_MPS2)
        | (acceleration > MAX_LON_ACCEL_MPS2)
        | (acceleration < MIN_LON_ACCEL_MPS2)
        | (np.abs(longitudinal_jerk) > MAX_ABS_LON_JERK_MPS3)
        | (np.hypot(lateral_jerk, longitudinal_jerk) > MAX_ABS_MAG_JERK_MPS3)
        | (np.abs(yaw_rate) > MAX_ABS_YAW_RATE_RADPS)
        | (np.abs(rate_of(yaw_rate, trace.rate_hz)) > MAX_ABS_YAW_ACCEL_RADPS2)
    )
    return crossed.astype(np.float64)
