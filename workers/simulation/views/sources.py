"""A segment of a batch, as the model's camera sees it: camera and poses, chunks, ground."""

from dataclasses import dataclass, field

import numpy as np

from suites.errors import DataError, Finding
from suites.manifest import VirtualCamera
from suites.parameters import Parameters
from suites.segment import Camera, DepthSource, SegmentMeta
from workers.simulation.road.view_protocol import DrivenSegment
from workers.simulation.views.chunks import CHUNK, Chunk, SharedChunks, Stage
from workers.simulation.views.geometry import Floats, Lens, between, levelled, mount, reduction
from workers.simulation.views.warp import (
    Inverse,
    Picture,
    Warp,
    inverse_depth,
    packed,
    plane_inverse_depth,
)

LEAST_SEEN = 0.5
"""Of the share of the model's view that the stored frames would hold if their camera looked ahead.

With less (a calibration that points at the sky) a model's failure would be the data's. A model's
camera that is wider than the stored one is the model's own affair.
"""
STILL = np.zeros(6)


def depth_of(meta: SegmentMeta, parameters: Parameters) -> DepthSource:
    """The segment's own; the ground plane where it has none, or where the plane is asked for."""
    return "plane" if parameters.warp == "plane" else meta.depth_source or "plane"


@dataclass
class WarpSource:
    """One segment of a batch."""

    segment: DrivenSegment
    reduced: int
    """Stored pixels to one of the pictures', in each direction."""
    poses: Floats
    """[N, 6] of the log at its frames."""
    mount: Floats
    levelled: Floats
    ground: Inverse
    """Of the plane below the camera."""
    flat: bool
    """Use the ground for depth."""
    warp: Warp
    shared: SharedChunks
    chunks: dict[int, Chunk] = field(default_factory=dict)

    def at(self, frame: int) -> tuple[Picture, Inverse]:
        """(picture [H, W], inverse depth [h, w]) of a frame whose chunk is loaded."""
        chunk = self.chunks[frame // CHUNK]
        k = frame % CHUNK
        return chunk.pictures[k], self.ground if self.flat else chunk.near[k]

    def motion(self, frame: int, ego: Floats) -> Floats:
        """[3, 4] from the stored camera at a frame to the model's on an ego [6]."""
        return between(self.poses[frame], self.mount, ego, self.levelled)

    def load(self, wanted: set[int]) -> None:
        """Hold exactly these chunks."""
        if wanted != self.chunks.keys():
            self.chunks = {number: self.chunk(number) for number in sorted(wanted)}

    def chunk(self, number: int, stage: Stage = Chunk) -> Chunk:
        """One chunk, decoded unless somebody holds it."""
        name = self.segment.digest, self.reduced, number, stage
        chunk = self.shared.get(name)
        if chunk is None:
            start = number * CHUNK
            stop = min((number + 1) * CHUNK, len(self.poses))
            pictures = packed(self.segment.frames(start, stop), self.reduced)
            flat = self.flat
            near = self.ground[None] if flat else inverse_depth(self.segment.depth(start, stop))
            chunk = self.shared[name] = stage(pictures, near)
        return chunk


def source_of(
    segment: DrivenSegment, camera: VirtualCamera, parameters: Parameters, shared: SharedChunks
) -> WarpSource:
    """Raises DataError for a segment whose frames do not show what the model should see."""
    meta, columns = segment.meta, segment.columns
    if meta.camera is None:
        finding = Finding("meta.camera", f"a {meta.kind} segment without a camera")
        raise DataError(f"segment {meta.segment_id} has no frames", (finding,))
    stored = Lens.of(meta.camera)
    target = Lens.of(camera)
    place = mount(meta.camera)
    _check_seen(meta.segment_id, meta.camera, target)
    reduced = reduction(stored, target)
    flat = depth_of(meta, parameters) == "plane"
    size = (stored.height // 2, stored.width // 2) if flat else segment.depth(0, 1).shape[1:]
    height, width = size
    # Down to the ground, in the camera: the third row of its rotation from the vehicle.
    down = -between(STILL, STILL, STILL, place)[:, :3] @ np.array([0.0, -1.0, 0.0])
    slope = (stored.height / height) / (stored.fy * meta.camera.up_m)
    tilt = [np.nan_to_num(values, nan=0.0) for values in (columns.roll_rad, columns.pitch_rad)]
    return WarpSource(
        segment=segment,
        reduced=reduced,
        poses=np.stack([columns.x_m, columns.y_m, columns.z_m, *tilt, columns.yaw_rad], axis=1),
        mount=place,
        levelled=levelled(meta.camera),
        ground=plane_inverse_depth(stored, down, meta.camera.up_m, height, width),
        flat=flat,
        warp=Warp(stored.reduced(reduced), target, (height, width), 1.5 * slope),
        shared=shared,
    )


def _check_seen(segment_id: str, camera: Camera, target: Lens) -> None:
    """Raises DataError where the stored camera looks elsewhere (LEAST_SEEN)."""
    stored = Lens.of(camera)
    turn = between(STILL, levelled(camera), STILL, mount(camera))[:, :3]
    share = _seen(target, stored, turn)
    straight = _seen(target, stored, np.eye(3))
    if share < LEAST_SEEN * straight:
        problem = (
            f"{share:.0%} of what the model's camera sees is in the stored frames, straight ahead "
            f"it would be {straight:.0%}: does the stored camera look ahead?"
        )
        finding = Finding("meta.camera", problem)
        raise DataError(f"segment {segment_id} cannot be driven: {problem}", (finding,))


def _seen(target: Lens, source: Lens, turn: Floats) -> float:
    """Share of the target's pixels whose directions, turned [3, 3], the source's picture holds."""
    v, u = np.mgrid[: target.height, : target.width].reshape(2, -1)
    rays = np.stack([(u - target.cx) / target.fx, (v - target.cy) / target.fy, np.ones(len(u))])
    x, y, z = turn @ rays
    ahead = np.maximum(z, 1e-9)
    across, down = source.fx * x / ahead + source.cx, source.fy * y / ahead + source.cy
    inside = (across > -1) & (across < source.width) & (down > -1) & (down < source.height)
    return float(np.mean((z > 0) & inside))
