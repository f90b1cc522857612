"""Segments made up for tests."""

import numpy as np

from suites.segment import DRIVER_CODES, SegmentColumns


def straight_columns(rows: int, rate_hz: float, speed_mps: float = 20.0) -> SegmentColumns:
    """A human drives straight on at constant speed in the middle of a 3.6 m lane."""
    t = np.arange(rows) / rate_hz
    zero, false = np.zeros(rows), np.zeros(rows, dtype=bool)
    return SegmentColumns(
        t_s=t,
        x_m=speed_mps * t,
        y_m=zero,
        z_m=zero,
        roll_rad=zero,
        pitch_rad=zero,
        yaw_rad=zero,
        speed_mps=zero + speed_mps,
        acceleration_mps2=zero,
        curvature=zero,
        steering_angle_rad=zero,
        driver=np.full(rows, DRIVER_CODES["human"], dtype=np.int64),
        left_blinker=false,
        right_blinker=false,
        lane_left_m=zero + 1.8,
        lane_right_m=zero - 1.8,
        road_left_m=zero + 5.4,
        road_right_m=zero - 1.8,
        lead_distance_m=zero + np.nan,
    )
