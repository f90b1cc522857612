"""The pinhole camera of the world: where it stands, and the ray of each pixel.

Pixel convention (OpenCV): integer coordinates are pixel centres, so the ray of pixel (u, v) is
((u - cx) / fx, (v - cy) / fy, 1) in the camera's frame: right, down, forward.
"""

from typing import NamedTuple

import numpy as np

from suites.segment import Camera
from workers.simulation.world.compiled import device
from workers.simulation.world.exact import cos_sin, product
from workers.simulation.world.profile import Floats

OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Columns: the camera's right, down and forward in the body frame."""


class Pinhole(NamedTuple):
    """A camera in the world."""

    eye: Floats
    """[3] its position."""
    rotation: Floats
    """[3, 3] columns: its right, down and forward."""
    lens: Floats
    """[4] fx, fy, cx, cy in pixels."""


@device
def ray_of(view: Pinhole, right: float, down: float) -> tuple[float, float, float]:
    """Direction in the world of the ray (right, down, 1) of the camera's frame."""
    m = view.rotation
    return (
        m[0, 2] + right * m[0, 0] + down * m[0, 1],
        m[1, 2] + right * m[1, 0] + down * m[1, 1],
        m[2, 2] + right * m[2, 0] + down * m[2, 1],
    )


def rotation_of(roll: float, pitch: float, yaw: float) -> Floats:
    """Body to world, ISO 8855: yaw about z, then pitch about y (nose down positive), then roll."""
    (cr, cp, cy), (sr, sp, sy) = cos_sin(np.array([roll, pitch, yaw]))
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def camera_pose(ego: Floats, camera: Camera) -> tuple[Floats, Floats]:
    """Position [3] and rotation [3, 3] of a mounted camera.

    `ego` is x, y, z, roll, pitch, yaw of the vehicle's reference point.
    """
    body = rotation_of(ego[3], ego[4], ego[5])
    mount = rotation_of(camera.roll_rad, camera.pitch_rad, camera.yaw_rad)
    place = product(body, np.array([[camera.forward_m], [camera.left_m], [camera.up_m]]))
    return ego[:3] + place[:, 0], product(product(body, mount), OPTICAL)
