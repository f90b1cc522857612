"""Depth of the ground plane against rays cut with it one by one."""

import math
from dataclasses import replace

import numpy as np
import pytest

from suites.segment import Camera
from workers.segments.depth.plane import ground_depth

LEVEL = Camera(
    width=64, height=40, fx=60, fy=58, cx=31.5, cy=19.5, forward_m=1.4, left_m=0, up_m=1.3
)


def test_a_level_camera_sees_the_ground_by_similar_triangles() -> None:
    depth = ground_depth(LEVEL, 64, 40)
    assert np.isinf(depth[:20]).all()
    np.testing.assert_allclose(depth[39], 1.3 * 58 / (39 - 19.5), rtol=1e-6)


@pytest.mark.parametrize("size", [(64, 40), (32, 20)])
def test_a_tilted_camera_agrees_with_rays(size: tuple[int, int]) -> None:
    camera = replace(LEVEL, roll_rad=0.05, pitch_rad=0.1, yaw_rad=-0.2)
    depth = ground_depth(camera, *size)
    turn = (
        _about("z", camera.yaw_rad) @ _about("y", camera.pitch_rad) @ _about("x", camera.roll_rad)
    )
    for row, column in (
        (size[1] - 1, 0),
        (size[1] - 2, size[0] - 1),
        (size[1] * 3 // 4, size[0] // 2),
    ):
        u = (column + 0.5) * camera.width / size[0] - 0.5
        v = (row + 0.5) * camera.height / size[1] - 0.5
        along = turn @ [1.0, -(u - camera.cx) / camera.fx, -(v - camera.cy) / camera.fy]
        assert depth[row, column] == pytest.approx(camera.up_m / -along[2], rel=1e-5)


def test_a_camera_that_looks_at_the_sky_sees_no_ground() -> None:
    assert np.isinf(ground_depth(replace(LEVEL, pitch_rad=-1.0), 32, 20)).all()


def _about(axis: str, angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array(
        {
            "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
            "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        }[axis]
    )
