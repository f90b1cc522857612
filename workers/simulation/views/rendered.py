"""The procedural world as a closed-loop simulator: every view is rendered where the ego is.

Nothing is approximated at an offset, so its rollouts judge the re-projected ones. Views are
rendered through the stored camera and brought into the model's as a logged frame is: the two differ
in nothing but the re-projection (and the video codec).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suites.errors import DataError, Finding
from suites.manifest import VirtualCamera
from suites.parameters import Parameters, parse
from suites.segment import SegmentMeta
from suites.simulators import SIMULATORS
from workers.segments.store import read_segment
from workers.simulation.road.log_driving import DrivingSimulator
from workers.simulation.road.logged_path import Ints
from workers.simulation.road.view_protocol import DrivenSegment, Poses, views_buffer
from workers.simulation.views.geometry import Floats, Lens, between, levelled, mount, reduction
from workers.simulation.views.warp import Warp, packed
from workers.simulation.world.drive import Drive, drive_from_origin, render_view

FORWARD_ONLY = np.zeros((2, 2), np.float32)
"""A rotation needs no depth; the smallest grid that the warp takes."""


def open_simulator(
    segments_root: Path, parameters: dict[str, Any], auxiliary: dict[str, Path]
) -> DrivingSimulator:
    """`rendered` over the procedural world's segments. Raises SubmitterError for its parameters."""
    return DrivingSimulator(
        name="rendered",
        version=SIMULATORS["rendered"].version,
        parameters=parse(parameters),
        make_views=RenderedViews,
        open_segment=lambda name: read_segment(segments_root, name),
        depth_of=lambda meta: "rendered",
    )


@dataclass(frozen=True)
class _Stage:
    """One segment's world and the way from its stored camera to the model's."""

    drive: Drive
    segment: SegmentMeta
    reduced: int
    motion: Floats
    warp: Warp


class RenderedViews:
    """`Views` of one batch; rays are cast on the CPU, whatever the model's device."""

    def __init__(
        self,
        segments: Sequence[DrivenSegment],
        camera: VirtualCamera,
        parameters: Parameters,
        device: str = "cpu",
    ) -> None:
        self._stages = [_stage(segment.meta, camera) for segment in segments]
        self._camera = camera
        self._out = views_buffer(0, camera)

    def frames(self, poses: Poses) -> NDArray[np.uint8]:
        if len(self._out) != len(poses.slot):
            self._out = views_buffer(len(poses.slot), self._camera)
        for row, slot in enumerate(poses.slot):
            stage = self._stages[slot]
            assert stage.segment.camera is not None
            where = float(poses.x_m[row]), float(poses.y_m[row]), float(poses.yaw_rad[row])
            picture, _ = render_view(
                stage.drive, float(poses.time_s[row]), *where, stage.segment.camera
            )
            stage.warp.forward(
                packed(picture[None], stage.reduced)[0], FORWARD_ONLY, stage.motion, self._out[row]
            )
        return self._out

    def release(self, slots: Ints) -> None:
        """A world is small: nothing is held that grows."""


def _stage(meta: SegmentMeta, camera: VirtualCamera) -> _Stage:
    if meta.camera is None or "world" not in meta.origin:
        problem = "only segments of the procedural world can be rendered"
        finding = Finding("meta.origin", problem, "drive it by reprojection")
        raise DataError(f"segment {meta.segment_id} has no world", (finding,))
    lens = Lens.of(meta.camera)
    target = Lens.of(camera)
    still = np.zeros(6)
    reduced = reduction(lens, target)
    return _Stage(
        drive=drive_from_origin(meta.origin),
        segment=meta,
        reduced=reduced,
        motion=between(still, mount(meta.camera), still, levelled(meta.camera)),
        warp=Warp(lens.reduced(reduced), target, FORWARD_ONLY.shape, 0.0),
    )
