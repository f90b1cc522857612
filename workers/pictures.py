"""Pictures of stored rollouts, made on demand: logged frames and the views along a trace's poses, as sheet or video.

Views come from the simulator's own view code at the poses that the trace recorded, so they show what the model was shown
(without declared pixel noise), in its field of view at the stored frames' resolution.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from suites.errors import DataError, Finding, SubmitterError
from suites.manifest import VirtualCamera
from suites.rollout import Rollout, Trace
from suites.segment import Camera
from workers.segments.video import write_video
from workers.simulation.open_simulator import open_simulator
from workers.simulation.road.log_driving import DrivenSegment, DrivingSimulator, Poses
from workers.simulation.road.logged_path import Ints, join
from workers.simulation.views.reprojection import CHUNK, reduction, source_lens, target_lens

SHEET_HZ, SHEET_TILES = 4.0, 120
"""A sheet shows so many frames a second of the window, and fewer a second where that is more than so many in all."""
SHEET_COLUMNS = 10
TILE_WIDTH = 384
"""Pixels; wider frames are reduced for a sheet."""
JPEG_QUALITY = 82

Frame = NDArray[np.uint8]
"""RGB [H, W, 3]."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Frames of one rollout in one JPEG, row by row."""

    jpeg: bytes
    rate_hz: float
    """Frame i is at i / rate_hz seconds from the window's start."""
    count: int
    columns: int
    tile_width: int
    tile_height: int


class Footage:
    """The logged frames and the views of one rollout with a trace. Steps are rows of the trace.

    camera: the model's; None shows the views through the stored frames' own lens. Raises SubmitterError for a rollout
    that has no views, DataError where the segment is not the one that was driven, MachineError where the simulator is of
    another version here.
    """

    def __init__(self, rollout: Rollout, segments_root: Path, camera: VirtualCamera | None) -> None:
        key = rollout.key
        if rollout.trace is None or "x_m" not in rollout.trace.columns:
            problem = (
                "it ended before its first step"
                if rollout.trace is None
                else f"{key.simulator.name} has no camera"
            )
            raise SubmitterError(f"there is nothing to see of this rollout: {problem}")
        simulator = open_simulator(key.simulator, segments_root, {})
        assert isinstance(simulator, DrivingSimulator)
        segment = simulator.open_segment(key.scenario.segment_id)
        if segment.digest != key.scenario.segment_digest:
            problem = f"digest {key.scenario.segment_digest[:12]}… was driven, {segment.digest[:12]}… is stored"
            raise DataError(
                f"segment {segment.meta.segment_id} was imported again",
                (Finding("meta.json", problem),),
            )
        if segment.meta.camera is None:
            raise SubmitterError(f"segment {segment.meta.segment_id} has no camera")
        self.trace: Trace = rollout.trace
        self._segment = segment
        self._lens = _viewer(camera, segment.meta.camera)
        self._views = simulator.make_views([segment], self._lens, simulator.parameters)
        self._poses, self._frames = _poses(self.trace, segment, key.scenario.start_s)

    def views(self, steps: Sequence[int]) -> Iterator[Frame]:
        """What the model's camera saw at these steps."""
        for step in steps:
            row = slice(step, step + 1)
            pose = replace(
                self._poses, **{name: getattr(self._poses, name)[row] for name in Poses.__slots__}
            )
            yield self._views.frames(pose)[0].copy()

    def logged(self, steps: Sequence[int]) -> Iterator[Frame]:
        """The stored frames at these steps' times."""
        loaded, chunk = -1, np.empty((0, 0, 0, 3), np.uint8)
        count = self._segment.meta.frame_count
        for step in steps:
            frame = int(self._frames[step])
            if frame // CHUNK != loaded:
                loaded = frame // CHUNK
                chunk = self._segment.frames(loaded * CHUNK, min((loaded + 1) * CHUNK, count))
            yield chunk[frame % CHUNK]


def write_comparison(
    path: Path, rollout: Rollout, segments_root: Path, camera: VirtualCamera | None
) -> None:
    """Write an mp4 at the model's rate: the logged frame on the left, the view from the simulated pose on the right.
    Raises as Footage."""
    footage = Footage(rollout, segments_root, camera)
    steps = range(len(footage.trace))
    write_video(
        path, map(_beside, footage.logged(steps), footage.views(steps)), footage.trace.rate_hz
    )


def make_sheet(
    rollout: Rollout,
    segments_root: Path,
    camera: VirtualCamera | None,
    kind: Literal["log", "view"],
) -> Sheet:
    """A sheet of logged frames or of views over the whole driven stretch. Raises as Footage."""
    footage = Footage(rollout, segments_root, camera)
    length, rate_hz = len(footage.trace), footage.trace.rate_hz
    stride = max(round(rate_hz / SHEET_HZ), -(-length // SHEET_TILES))
    steps = range(0, length, stride)
    frames = footage.logged(steps) if kind == "log" else footage.views(steps)
    return _sheet([_tile(frame) for frame in frames], rate_hz / stride)


def _sheet(tiles: Sequence[Image.Image], rate_hz: float) -> Sheet:
    width, height = tiles[0].size
    columns = min(SHEET_COLUMNS, len(tiles))
    canvas = Image.new("RGB", (columns * width, -(-len(tiles) // columns) * height))
    for i, tile in enumerate(tiles):
        canvas.paste(tile, (i % columns * width, i // columns * height))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return Sheet(buffer.getvalue(), rate_hz, len(tiles), columns, width, height)


def _tile(frame: Frame) -> Image.Image:
    height, width = frame.shape[:2]
    tile = Image.fromarray(frame)
    if width <= TILE_WIDTH:
        return tile
    return tile.resize((TILE_WIDTH, round(height * TILE_WIDTH / width)), Image.Resampling.BOX)


def _beside(left: Frame, right: Frame) -> Frame:
    """Two frames side by side at the left one's height, sizes made even for the encoder."""
    height = left.shape[0] - left.shape[0] % 2
    width = round(right.shape[1] * height / right.shape[0])
    resized = np.asarray(Image.fromarray(right).resize((width, height), Image.Resampling.BICUBIC))
    both = np.concatenate([left[:height], resized], axis=1)
    return np.ascontiguousarray(both[:, : both.shape[1] - both.shape[1] % 2])


def _viewer(camera: VirtualCamera | None, stored: Camera) -> VirtualCamera:
    """The model's field of view with the stored frames' density of pixels."""
    if camera is None:
        return VirtualCamera(
            width=stored.width,
            height=stored.height,
            fx=stored.fx,
            fy=stored.fy,
            cx=stored.cx,
            cy=stored.cy,
        )
    finer = reduction(source_lens(stored), target_lens(camera))
    return VirtualCamera(
        width=camera.width * finer,
        height=camera.height * finer,
        fx=camera.fx * finer,
        fy=camera.fy * finer,
        cx=(camera.cx + 0.5) * finer - 0.5,
        cy=(camera.cy + 0.5) * finer - 0.5,
    )


def _poses(trace: Trace, segment: DrivenSegment, start_s: float) -> tuple[Poses, Ints]:
    """Where the camera's vehicle was at every step [T], as DrivingSimulator.observe places it, and the logged frame [T] of
    that time."""
    logs = join([(segment.meta.segment_id, segment.columns)])
    slot = np.zeros(len(trace), np.int64)
    time_s, index = start_s + trace["t_s"], trace["log_index"]
    by_time = logs.frame(slot, logs.index_at_time(slot, time_s))
    roll = logs.at("roll_rad", slot, index)
    poses = Poses(
        slot=slot,
        frame=logs.frame(slot, index) if trace.feedback == "closed" else by_time,
        time_s=time_s,
        x_m=trace["x_m"],
        y_m=trace["y_m"],
        yaw_rad=trace["yaw_rad"],
        roll_rad=roll,
        z_m=logs.at("z_m", slot, index) + trace["lateral_offset_m"] * roll,
        pitch_rad=logs.at("pitch_rad", slot, index),
    )
    return poses, by_time
