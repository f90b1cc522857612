"""What sensors on the ego would log in the procedural world, and the depth made of it.

An import makes the same (segments/depth/from_log.py). A lidar of 64 beams from 2° above to 24.8°
below the horizon reaches 120 m, with a tenth of its returns lost and 2 cm noise (one standard
deviation). It stands where the camera stands: KITTI's, but for its parallax. A right camera stands
BASELINE_M beside the stored one, free of noise and perfectly rectified.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suites.segment import DepthSource, SegmentMeta
from workers.segments.depth.fill import filled
from workers.segments.depth.from_log import PER_METRE, lidar_inverse, stereo_inverse
from workers.segments.store import read_segment, replace_depth
from workers.simulation.world.drive import (
    STORED_CAMERA,
    Drive,
    drive_from_origin,
    logged_pose,
    render_pose,
)

Frame = NDArray[np.uint8]
Depth = NDArray[np.float32]

BEAMS = 64
HIGHEST_DEG = 2.0
LOWEST_DEG = -24.8
REACH_M, LOST, NOISE_M = 120.0, 0.1, 0.02
BASELINE_M = 0.54
SENSORS: tuple[DepthSource, ...] = ("lidar", "stereo")


def sensed(sensor: DepthSource, drive: Drive, row: int, picture: Frame) -> Depth:
    """[H/2, W/2] m: what an import makes of one row of the log, whose left picture is `picture`."""
    aside_m = 0.0 if sensor == "lidar" else BASELINE_M
    camera = replace(STORED_CAMERA, left_m=STORED_CAMERA.left_m - aside_m)
    time_s = float(drive.columns.t_s[row])
    right, depth = render_pose(drive, time_s, logged_pose(drive, row), camera)
    if sensor == "lidar":
        near = lidar_inverse(lidar_map(depth, np.random.default_rng([drive.spec.seed, row])))
    else:
        near = stereo_inverse(picture, right, STORED_CAMERA, BASELINE_M)
    return filled(near, picture, STORED_CAMERA, STORED_CAMERA.width // 2, STORED_CAMERA.height // 2)


def lidar_map(depth: Depth, rng: np.random.Generator) -> NDArray[np.float64]:
    """[H, W] m along the camera's axis as KITTI's PNGs hold it, 0 where no beam came back."""
    height, width = depth.shape
    column = np.arange(width)
    aside = np.hypot(1.0, (column - STORED_CAMERA.cx) / STORED_CAMERA.fx)
    out = np.zeros((height, width))
    for angle in np.radians(np.linspace(HIGHEST_DEG, LOWEST_DEG, BEAMS)):
        height_px = STORED_CAMERA.cy - STORED_CAMERA.fy * math.tan(angle) * aside
        line = np.rint(height_px).astype(np.int64)
        inside = (line >= 0) & (line < height) & (rng.random(width) >= LOST)
        v, u = line[inside], column[inside]
        found = depth[v, u] + rng.normal(0.0, NOISE_M, len(u))
        out[v, u] = np.where(found * aside[u] / math.cos(angle) <= REACH_M, found, 0.0)
    return np.rint(out * PER_METRE) / PER_METRE


def with_sensor(root: Path, meta: SegmentMeta, sensor: DepthSource) -> SegmentMeta:
    """Give a stored segment of the world the depth that this sensor would have logged."""
    segment = read_segment(root, meta.segment_id)
    drive = drive_from_origin(meta.origin)

    def frames() -> Iterator[Depth]:
        for row, picture in enumerate(segment.frames()):
            yield sensed(sensor, drive, row, picture)

    return replace_depth(root, segment, frames(), sensor, {"simulated": sensor})
