"""Where a logged camera and the ego's virtual camera stand to each other.

Vehicle frame ISO 8855 (x forward, y left, z up; roll about x, pitch nose down about y, yaw about
z). Camera frame OpenCV (x right, y down, z forward). Integer pixel coordinates are pixel centres.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from suites.manifest import VirtualCamera
from suites.segment import Camera

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lens:
    """A pinhole camera's pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @classmethod
    def of(cls, camera: Camera | VirtualCamera) -> "Lens":
        """Of a stored camera, or of a model's."""
        c = camera
        return cls(c.width, c.height, c.fx, c.fy, c.cx, c.cy)

    def reduced(self, factor: int) -> "Lens":
        """The lens of the picture whose pixels are means of factor x factor pixels."""
        f = float(factor)
        cx, cy = (self.cx + 0.5) / f - 0.5, (self.cy + 0.5) / f - 0.5
        return Lens(self.width // factor, self.height // factor, self.fx / f, self.fy / f, cx, cy)

    def numbers(self) -> Floats:
        """[4] fx, fy, cx, cy."""
        return np.array([self.fx, self.fy, self.cx, self.cy])


def reduction(stored: Lens, target: Lens) -> int:
    """How many stored pixels are averaged in each direction before a coarser model looks."""
    return max(1, int(stored.fx / target.fx + 0.25))


def mount(camera: Camera) -> Floats:
    """[6] position on the vehicle and roll, pitch, yaw of a segment's camera."""
    place = (camera.forward_m, camera.left_m, camera.up_m)
    return np.array([*place, camera.roll_rad, camera.pitch_rad, camera.yaw_rad])


def levelled(camera: Camera) -> Floats:
    """[6] the virtual camera's mount: the same place, no roll, pitch or yaw."""
    return np.array([camera.forward_m, camera.left_m, camera.up_m, 0.0, 0.0, 0.0])


def between(from_pose: Floats, from_mount: Floats, to_pose: Floats, to_mount: Floats) -> Floats:
    """[3, 4] the motion [R | t] from the first camera's frame to the second's: X' = R X + t.

    Poses [6] x, y, z m, roll, pitch, yaw rad of the vehicles in one frame; mounts [6] likewise on
    the vehicle.
    """
    out = np.empty((3, 4))
    _between(from_pose, from_mount, to_pose, to_mount, out)
    return out


def inverse(motion: Floats) -> Floats:
    """[3, 4] the motion back."""
    out = np.empty((3, 4))
    inverse_into(motion, out)
    return out


@njit(cache=True)
def _rotation(roll, pitch, yaw):  # type: ignore[no-untyped-def]
    cr, sr, cp, sp = math.cos(roll), math.sin(roll), math.cos(pitch), math.sin(pitch)
    cy, sy = math.cos(yaw), math.sin(yaw)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


@njit(cache=True)
def _product(a, b, transposed):  # type: ignore[no-untyped-def]
    """a b, or a' b, of 3x3 matrices (in plain sums: no BLAS, whose order of summing is its own)."""
    out = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for k in range(3):
                out[i, j] += (a[k, i] if transposed else a[i, k]) * b[k, j]
    return out


@njit(cache=True)
def _camera(pose, place, position):  # type: ignore[no-untyped-def]
    """Rotation camera to world, and into `position` the camera's place relative to the pose's."""
    vehicle = _rotation(pose[3], pose[4], pose[5])
    for i in range(3):
        position[i] = vehicle[i, 0] * place[0] + vehicle[i, 1] * place[1] + vehicle[i, 2] * place[2]
    optical = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    return _product(
        _product(vehicle, _rotation(place[3], place[4], place[5]), False), optical, False
    )


@njit(cache=True)
def _between(from_pose, from_mount, to_pose, to_mount, out):  # type: ignore[no-untyped-def]
    from_place, to_place = np.empty(3), np.empty(3)
    from_camera = _camera(from_pose, from_mount, from_place)
    to_camera = _camera(to_pose, to_mount, to_place)
    out[:, :3] = _product(to_camera, from_camera, True)
    for i in range(3):
        out[i, 3] = 0.0
        for k in range(3):
            out[i, 3] += to_camera[k, i] * (
                (from_pose[k] - to_pose[k]) + (from_place[k] - to_place[k])
            )


@njit(cache=True)
def inverse_into(motion, out):  # type: ignore[no-untyped-def]
    """`inverse` as a kernel: into out [3, 4]."""
    for i in range(3):
        out[i, 3] = 0.0
        for k in range(3):
            out[i, k] = motion[k, i]
            out[i, 3] -= motion[k, i] * motion[k, 3]
