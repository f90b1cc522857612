"""The small offset simulator: logged frames and their depth, seen from where the ego is instead of where the log was.

Source: Goff et al. 2025, Learning to Drive from a World Model, section on reprojective simulation. The nearest logged
frame is moved by the ego's full deviation from that frame's pose (six degrees of freedom, the camera's calibration
included) into the model's virtual camera (workers.simulation.views.warp). Frames are decoded a chunk at a time, once for all
rows that look at them, whatever their offset and, in batches that go on side by side, whatever their model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from suites.errors import DataError, Finding
from suites.manifest import VirtualCamera
from suites.parameters import Parameters, parse
from suites.segment import Camera, DepthSource, SegmentMeta
from suites.simulators import SIMULATORS
from workers.segments.store import StoredSegment, read_segment
from workers.simulation.road.log_driving import DrivingSimulator
from workers.simulation.road.logged_path import Ints
from workers.simulation.road.view_protocol import DrivenSegment, Poses
from workers.simulation.views.geometry import Floats, Lens, between, levelled, mount
from workers.simulation.views.warp import (
    Inverse,
    Picture,
    Warp,
    inverse_depth,
    packed,
    plane_inverse_depth,
)

LEAST_SEEN = 0.5
"""Share that the stored frames must hold, where the ego is where the log was, of what they would hold of the model's view if
the stored camera looked straight ahead. With less (a calibration that points at the sky) a model's failure would be the
data's; a model's camera that is wider than the stored one is the model's own affair."""
CHUNK = 20
"""Frames that are decoded at once: two groups of pictures of the store."""


def open_simulator(
    segments_root: Path, parameters: dict[str, Any], auxiliary: dict[str, Path]
) -> DrivingSimulator:
    """`reprojection` over the stored segments; it needs no auxiliary model. Raises SubmitterError for its parameters."""
    held: WeakValueDictionary[str, StoredSegment] = WeakValueDictionary()

    def open_segment(name: str) -> StoredSegment:
        """Batches that go on side by side read its columns once."""
        segment = held.get(name)
        if segment is None:
            segment = held[name] = read_segment(segments_root, name)
        return segment

    return over_segments(open_segment, parse(parameters))


def over_segments(
    open_segment: Callable[[str], DrivenSegment], parameters: Parameters
) -> DrivingSimulator:
    """`reprojection` over segments from anywhere (`driving.DrivingSimulator.open_segment`)."""
    return DrivingSimulator(
        name="reprojection",
        version=SIMULATORS["reprojection"].version,
        parameters=parameters,
        open_segment=open_segment,
        make_views=partial(make_views, Footage()),
        depth_of=lambda meta: depth_of(meta, parameters),
    )


def make_views(
    footage: "Footage",
    segments: Sequence[DrivenSegment],
    camera: VirtualCamera,
    parameters: Parameters,
    device: str = "cpu",
) -> "ReprojectedViews":
    """Views made on `device`. Raises MachineError where it is `cuda` and this machine has none."""
    if device == "cuda":
        from workers.simulation.views.reprojection_cuda import CudaViews

        return CudaViews(segments, camera, parameters, footage=footage)
    return ReprojectedViews(segments, camera, parameters, footage=footage)


def depth_of(meta: SegmentMeta, parameters: Parameters) -> DepthSource:
    """What is used for depth: the segment's own, or the ground plane where it has none or the plane is asked for."""
    return "plane" if parameters.warp == "plane" else meta.depth_source or "plane"


def source_lens(camera: Camera) -> Lens:
    return Lens(camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)


def target_lens(camera: VirtualCamera) -> Lens:
    return Lens(camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)


def buffer(rows: int, camera: VirtualCamera) -> NDArray[np.uint8]:
    """Room for frames [rows, H, W, 3] whose memory lies in planes, as models want them."""
    return np.empty((rows, 3, camera.height, camera.width), np.uint8).transpose(0, 2, 3, 1)


def reduction(stored: Lens, target: Lens) -> int:
    """How many stored pixels are averaged in each direction before a model that sees fewer of them looks."""
    return max(1, int(stored.fx / target.fx + 0.25))


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Chunk:
    """Frames that were decoded at once."""

    pictures: Picture
    """[n, H, W]; it and `near` are arrays of the device where views are made on one."""
    near: Inverse
    """[n, h, w]; [1, h, w] of the ground where that is all there is."""


Stage = Callable[[Picture, Inverse], Chunk]
"""Where decoded frames are put."""

Footage = WeakValueDictionary[tuple[str, int, int, Stage], Chunk]
"""Chunks that some batch of a simulator holds now, by segment digest, reduction, number and place: whoever looks there
next shares them. It holds nothing itself, so memory is bounded by what is looked at: at most two chunks a row (three on
a device, where the next one is staged ahead)."""


@dataclass
class _Source:
    """One segment of the batch."""

    segment: DrivenSegment
    lens: Lens
    """Of the pictures: the stored frames', reduced where the model sees fewer pixels."""
    reduced: int
    poses: Floats
    """[N, 6] of the log at its frames."""
    mount: Floats
    levelled: Floats
    ground: Inverse
    """Of the plane below the camera."""
    flat: bool
    """Use the ground for depth."""
    warp: Warp
    footage: Footage
    chunks: dict[int, Chunk] = field(default_factory=dict)

    def at(self, frame: int) -> tuple[Picture, Inverse]:
        """(picture [H, W], inverse depth [h, w]) of a frame whose chunk is loaded."""
        chunk = self.chunks[frame // CHUNK]
        return chunk.pictures[frame % CHUNK], self.ground if self.flat else chunk.near[
            frame % CHUNK
        ]

    def load(self, wanted: set[int]) -> None:
        """Hold exactly these chunks."""
        if wanted != self.chunks.keys():
            self.chunks = {number: self.chunk(number) for number in sorted(wanted)}

    def chunk(self, number: int, stage: Stage = Chunk) -> Chunk:
        """One chunk, decoded unless somebody holds it."""
        name = self.segment.digest, self.reduced, number, stage
        chunk = self.footage.get(name)
        if chunk is None:
            start, stop = number * CHUNK, min((number + 1) * CHUNK, len(self.poses))
            near = (
                self.ground[None] if self.flat else inverse_depth(self.segment.depth(start, stop))
            )
            chunk = self.footage[name] = stage(
                packed(self.segment.frames(start, stop), self.reduced), near
            )
        return chunk


class ReprojectedViews:
    """`driving.Views` of one batch. Memory: one chunk (or two at its border) for each place that is looked at."""

    def __init__(
        self,
        segments: Sequence[DrivenSegment],
        camera: VirtualCamera,
        parameters: Parameters,
        *,
        footage: Footage,
    ) -> None:
        self._camera, self._how = camera, parameters.warp
        self._sources = [
            _source(segment, target_lens(camera), parameters, footage) for segment in segments
        ]
        self._out = buffer(0, camera)

    def frames(self, poses: Poses) -> NDArray[np.uint8]:
        if len(self._out) != len(poses.slot):
            self._out = buffer(len(poses.slot), self._camera)
        places = list(zip(poses.slot.tolist(), poses.frame.tolist(), strict=True))
        wanted: dict[int, set[int]] = {}
        for slot, frame in places:
            wanted.setdefault(slot, set()).add(frame // CHUNK)
        for slot, numbers in wanted.items():
            self._sources[slot].load(numbers)
        ego = np.stack(
            [poses.x_m, poses.y_m, poses.z_m, poses.roll_rad, poses.pitch_rad, poses.yaw_rad],
            axis=1,
        )
        for row, (slot, frame) in enumerate(places):
            source = self._sources[slot]
            picture, near = source.at(frame)
            motion = between(source.poses[frame], source.mount, ego[row], source.levelled)
            if self._how == "forward":
                source.warp.forward(picture, near, motion, self._out[row])
            else:
                source.warp.backward(picture, near, motion, self._out[row])
        return self._out

    def release(self, slots: Ints) -> None:
        for slot, source in enumerate(self._sources):
            if slot not in slots:
                source.chunks = {}


def _source(
    segment: DrivenSegment, target: Lens, parameters: Parameters, footage: Footage
) -> _Source:
    meta, columns = segment.meta, segment.columns
    if meta.camera is None:
        problem = f"a {meta.kind} segment without a camera"
        raise DataError(
            f"segment {meta.segment_id} has no frames", (Finding("meta.camera", problem),)
        )
    lens = source_lens(meta.camera)
    reduced = reduction(lens, target)
    picture = lens.reduced(reduced)
    place = mount(meta.camera)
    share = _seen(
        target, lens, between(np.zeros(6), levelled(meta.camera), np.zeros(6), place)[:, :3]
    )
    if share < LEAST_SEEN * (straight := _seen(target, lens, np.eye(3))):
        problem = (
            f"{share:.0%} of what the model's camera sees is in the stored frames, straight ahead it would be {straight:.0%}: "
            "does the stored camera look ahead?"
        )
        raise DataError(
            f"segment {meta.segment_id} cannot be driven: {problem}",
            (Finding("meta.camera", problem),),
        )
    flat = depth_of(meta, parameters) == "plane"
    height, width = (lens.height // 2, lens.width // 2) if flat else segment.depth(0, 1).shape[1:]
    # The ground's direction in the camera: the third row of its rotation from the vehicle, downwards.
    still = np.zeros(6)
    down = -between(still, np.zeros(6), still, place)[:, :3] @ np.array([0.0, -1.0, 0.0])
    ground = plane_inverse_depth(lens, down, meta.camera.up_m, height, width)
    tilt = [np.nan_to_num(values, nan=0.0) for values in (columns.roll_rad, columns.pitch_rad)]
    slope = (lens.height / height) / (lens.fy * meta.camera.up_m)
    return _Source(
        segment=segment,
        lens=picture,
        reduced=reduced,
        mount=place,
        levelled=levelled(meta.camera),
        ground=ground,
        flat=flat,
        poses=np.stack([columns.x_m, columns.y_m, columns.z_m, *tilt, columns.yaw_rad], axis=1),
        warp=Warp(picture, target, (height, width), 1.5 * slope),
        footage=footage,
    )


def _seen(target: Lens, source: Lens, turn: Floats) -> float:
    """Share of the target's pixels whose directions, turned [3, 3], the source's picture holds."""
    v, u = np.mgrid[: target.height, : target.width].reshape(2, -1)
    rays = np.stack([(u - target.cx) / target.fx, (v - target.cy) / target.fy, np.ones(len(u))])
    x, y, z = turn @ rays
    ahead = np.maximum(z, 1e-9)
    across, down = source.fx * x / ahead + source.cx, source.fy * y / ahead + source.cy
    inside = (across > -1) & (across < source.width) & (down > -1) & (down < source.height)
    return float(np.mean((z > 0) & inside))
