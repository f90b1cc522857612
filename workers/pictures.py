"""Pictures of stored rollouts, made on demand, as sheet or video: logged frames, and views.

Views come from the simulator's own view code at the poses that the trace recorded. They show what
the model was shown (without declared pixel noise): its field of view, at the stored frames'
resolution.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from workers.simulation.road.log_driving import DrivingSimulator
from workers.simulation.road.logged_path import Ints, join
from workers.simulation.road.view_protocol import DrivenSegment, Poses
from workers.simulation.views.chunks import CHUNK
from workers.simulation.views.geometry import Lens, reduction

SHEET_HZ = 4.0
"""Frames a second on a sheet; fewer where they would be more than SHEET_TILES."""
SHEET_TILES = 120
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


class RolloutPictures:
    """The logged frames and the views of one rollout with a trace. Steps are rows of the trace.

    camera: the model's; None shows the views through the stored frames' own lens.
    Raises SubmitterError for a rollout that has no views, DataError where another segment was
    driven than is stored, MachineError where the simulator is of another version here.
    """

    def __init__(self, rollout: Rollout, segments_root: Path, camera: VirtualCamera | None) -> None:
        scenario = rollout.key.scenario
        self.trace = _seen_trace(rollout)
        simulator = open_simulator(rollout.key.simulator, segments_root, {})
        assert isinstance(simulator, DrivingSimulator)
        self._segment = simulator.open_segment(scenario.segment_id)
        meta = self._segment.meta
        if self._segment.digest != (driven := scenario.segment_digest):
            problem = f"digest {driven[:12]}… was driven, {self._segment.digest[:12]}… is stored"
            again = f"segment {meta.segment_id} was imported again"
            raise DataError(again, (Finding("meta.json", problem),))
        if meta.camera is None:
            raise SubmitterError(f"segment {meta.segment_id} has no camera")
        lens = _viewer(camera, meta.camera)
        self._views = simulator.make_views([self._segment], lens, simulator.parameters)
        self._poses, self._frames = _poses(self.trace, self._segment, scenario.start_s)

    def views(self, steps: Sequence[int]) -> Iterator[Frame]:
        """What the model's camera saw at these steps."""
        for step in steps:
            row = slice(step, step + 1)
            pose = Poses(*(getattr(self._poses, name)[row] for name in Poses.__slots__))
            yield self._views.frames(pose)[0].copy()

    def logged(self, steps: Sequence[int]) -> Iterator[Frame]:
        """The stored frames at these steps' times."""
        loaded = -1
        chunk = np.empty((0, 0, 0, 3), np.uint8)
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
    """Write an mp4: the log on the left, the view on the right. Raises as RolloutPictures."""
    pictures = RolloutPictures(rollout, segments_root, camera)
    steps = range(len(pictures.trace))
    frames = map(_beside, pictures.logged(steps), pictures.views(steps))
    write_video(path, frames, pictures.trace.rate_hz)


def make_sheet(
    rollout: Rollout,
    segments_root: Path,
    camera: VirtualCamera | None,
    kind: Literal["log", "view"],
) -> Sheet:
    """A sheet of logged frames or of views of all that was driven. Raises as RolloutPictures."""
    pictures = RolloutPictures(rollout, segments_root, camera)
    length = len(pictures.trace)
    rate_hz = pictures.trace.rate_hz
    stride = max(round(rate_hz / SHEET_HZ), -(-length // SHEET_TILES))
    steps = range(0, length, stride)
    frames = pictures.logged(steps) if kind == "log" else pictures.views(steps)
    return _sheet([_tile(frame) for frame in frames], rate_hz / stride)


def _seen_trace(rollout: Rollout) -> Trace:
    trace = rollout.trace
    if trace is not None and "x_m" in trace.columns:
        return trace
    blind = f"{rollout.key.simulator.name} has no camera"
    problem = "it ended before its first step" if trace is None else blind
    raise SubmitterError(f"there is nothing to see of this rollout: {problem}")


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
        lens = ("width", "height", "fx", "fy", "cx", "cy")
        return VirtualCamera(**{name: getattr(stored, name) for name in lens})
    finer = reduction(Lens.of(stored), Lens.of(camera))
    return VirtualCamera(
        width=camera.width * finer,
        height=camera.height * finer,
        fx=camera.fx * finer,
        fy=camera.fy * finer,
        cx=(camera.cx + 0.5) * finer - 0.5,
        cy=(camera.cy + 0.5) * finer - 0.5,
    )


def _poses(trace: Trace, segment: DrivenSegment, start_s: float) -> tuple[Poses, Ints]:
    """(poses at every step [T] as DrivingSimulator.observe has them, logged frames [T])."""
    logs = join([(segment.meta.segment_id, segment.columns)])
    slot = np.zeros(len(trace), np.int64)
    time_s = start_s + trace["t_s"]
    index = trace["log_index"]
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
