"""Pictures of the procedural world with all that is known of them, and their true views."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suites.errors import DataError, Finding
from suites.manifest import VirtualCamera
from suites.segment import Camera, DepthSource
from workers.segments.store import read_segment
from workers.simulation.fidelity.likeness import psnr
from workers.simulation.fidelity.sensors import SENSORS, sensed
from workers.simulation.views.geometry import Floats, levelled, mount
from workers.simulation.world.corpus import make_segment, tags_of
from workers.simulation.world.drive import (
    STORED_CAMERA,
    Drive,
    drive_from_origin,
    logged_pose,
    render_pose,
    render_view,
)
from workers.simulation.world.reduce import halved

Frame = NDArray[np.uint8]
Depth = NDArray[np.float32]

SEED = 0
HELD_OUT_SEEDS = (101, 102, 103)
"""Worlds on which no rule of the warp was chosen: they are measured, and never tuned on."""
SCENES = ((0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 0), (6, 2), (8, 1))
"""(route, number) of drives: highway and country, day and night, with and without near vehicles."""
ROWS = (40, 120, 200)
"""Frames of each."""
CODEC_DB = 28.0
"""What the store's codec leaves of a frame, at least."""
FULL = VirtualCamera(width=256, height=128, fx=200.0, fy=200.0, cx=127.5, cy=59.5)
"""The stored camera's own resolution, as large a view as leaves a margin for heading."""

LOGGED_MOUNT, LEVELLED_MOUNT = mount(STORED_CAMERA), levelled(STORED_CAMERA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Displacement:
    """Of the ego from the logged pose."""

    lateral_m: float = 0.0
    longitudinal_m: float = 0.0
    heading_rad: float = 0.0

    @property
    def name(self) -> str:
        parts = [
            f"{v:+g} m {what}"
            for v, what in ((self.lateral_m, "left"), (self.longitudinal_m, "ahead"))
            if v
        ]
        parts += [f"{math.degrees(self.heading_rad):+.2g}°"] if self.heading_rad else []
        return ", ".join(parts) or "none"

    def along(self, axis: str) -> float:
        """How far along one axis (a field), where it is along no other; else 0."""
        values = asdict(self)
        along: float = values.pop(axis)
        return 0.0 if any(values.values()) else along


@dataclass(frozen=True, slots=True)
class Shot:
    """One logged frame of the world."""

    drive: Drive
    row: int
    tags: tuple[str, ...]
    picture: Frame
    """[160, 320, 3] as rendered."""
    depth: Depth
    """[80, 160] m, exact."""
    stored_picture: Frame
    """After the store's video codec."""
    stored_depth: Depth
    """After the store's depth codec."""
    sensed: Mapping[DepthSource, Depth] = field(default_factory=dict)
    """[80, 160] m by sensor (sensors.py)."""

    @property
    def time_s(self) -> float:
        return float(self.drive.columns.t_s[self.row])

    @property
    def pose(self) -> Floats:
        """[6] of the log, as re-projection reads it."""
        return logged_pose(self.drive, self.row)

    def displaced(self, by: Displacement) -> Floats:
        """[6] where the simulator takes a displaced ego to be: it knows no road but the log's."""
        pose = self.pose
        cos, sin = math.cos(pose[5]), math.sin(pose[5])
        pose[0] += by.longitudinal_m * cos - by.lateral_m * sin
        pose[1] += by.longitudinal_m * sin + by.lateral_m * cos
        pose[2] += by.lateral_m * pose[3] - by.longitudinal_m * pose[4]
        pose[5] += by.heading_rad
        return pose

    def truth(self, by: Displacement, camera: VirtualCamera) -> Frame:
        """What a camera sees there, from a car that stands on the road as it is there."""
        x, y, *_, yaw = (float(v) for v in self.displaced(by))
        return render_view(self.drive, self.time_s, x, y, yaw, virtual(camera))[0]


def virtual(camera: VirtualCamera) -> Camera:
    """A model's camera where the stored one is mounted."""
    return replace(STORED_CAMERA, **asdict(camera))


def take(
    root: Path,
    scenes: Sequence[tuple[int, int]] = SCENES,
    rows: Sequence[int] = ROWS,
    seed: int = SEED,
    sensors: Sequence[DepthSource] = SENSORS,
) -> list[Shot]:
    """The committed scenes of a seed; segments that are not stored yet are made in `root`."""
    shots = []
    for route, number in scenes:
        meta = make_segment(root, seed, route, number)
        segment = read_segment(root, meta.segment_id)
        drive = drive_from_origin(meta.origin)
        for row in rows:
            time_s = float(drive.columns.t_s[row])
            picture, depth = render_pose(drive, time_s, logged_pose(drive, row))
            kept, kept_depth = segment.frames(row, row + 1)[0], segment.depth(row, row + 1)[0]
            if psnr(kept, picture) < CODEC_DB:
                problem = (
                    f"frame {row} is not what this version renders: it was made by another one"
                )
                finding = Finding(meta.segment_id, problem, "remove the folder; it is made again")
                raise DataError(
                    f"segment {meta.segment_id} cannot be compared with the world", (finding,)
                )
            logged = {sensor: sensed(sensor, drive, row, picture) for sensor in sensors}
            shots.append(
                Shot(drive, row, tags_of(drive), picture, halved(depth), kept, kept_depth, logged)
            )
    return shots
