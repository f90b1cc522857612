"""Depth of a flat ground: what a camera sees when nothing stands on the road."""

import math

import numpy as np

from suites.segment import Camera
from workers.segments.depth_codec import Depth


def ground_depth(camera: Camera, width: int, height: int) -> Depth:
    """float32 [height, width] metres along the optical axis, infinite at and above the horizon.

    Each pixel is the mean of a block of the camera's pixels; integer coordinates are pixel centres.
    The ground is the plane under the vehicle, `up_m` below the camera, seen through its angles.
    """
    u = ((np.arange(width) + 0.5) * camera.width / width - 0.5 - camera.cx) / camera.fx
    v = ((np.arange(height) + 0.5) * camera.height / height - 0.5 - camera.cy) / camera.fy
    right, down, ahead = ground_normal(camera)
    fall = right * u[None, :] + down * v[:, None] + ahead
    return np.where(fall > 0, camera.up_m / np.maximum(fall, 1e-9), np.inf).astype(np.float32)


def ground_normal(camera: Camera) -> tuple[float, float, float]:
    """Straight down in the camera's frame (x right, y down, z ahead).

    The last row of the ISO 8855 mounting rotation Rz(yaw) Ry(pitch) Rx(roll), its axes renamed.
    """
    cos_pitch = math.cos(camera.pitch_rad)
    left = cos_pitch * math.sin(camera.roll_rad)
    up = cos_pitch * math.cos(camera.roll_rad)
    return left, up, math.sin(camera.pitch_rad)
