"""What driving asks of a segment, and of whoever makes the views of its ego."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from suites.manifest import VirtualCamera
from suites.parameters import Parameters
from suites.segment import SegmentColumns, SegmentMeta
from workers.simulation.road.logged_path import Floats, Ints


class DrivenSegment(Protocol):
    """What workers.segments.store.read_segment returns."""

    @property
    def meta(self) -> SegmentMeta: ...
    @property
    def digest(self) -> str: ...
    @property
    def columns(self) -> SegmentColumns: ...
    def frames(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]: ...
    def depth(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Poses:
    """Where B cameras' vehicles are, each [B]: rear axle in the segment's local frame (z up)."""

    slot: Ints
    frame: Ints
    """The nearest logged one."""
    time_s: Floats
    """From the segment's start."""
    x_m: Floats
    y_m: Floats
    z_m: Floats
    roll_rad: Floats
    pitch_rad: Floats
    yaw_rad: Floats

    def six(self) -> Floats:
        """[B, 6] position and roll, pitch, yaw, as views.geometry takes them."""
        place = (self.x_m, self.y_m, self.z_m)
        return np.stack([*place, self.roll_rad, self.pitch_rad, self.yaw_rad], axis=1)


def views_buffer(rows: int, camera: VirtualCamera) -> NDArray[np.uint8]:
    """Room for views [rows, H, W, 3] whose memory lies in planes, as models want them."""
    return np.empty((rows, 3, camera.height, camera.width), np.uint8).transpose(0, 2, 3, 1)


class Views(Protocol):
    """The cameras of one batch."""

    def frames(self, poses: Poses) -> NDArray[np.uint8]:
        """RGB [B, H, W, 3] in the model's camera; the buffer is reused. Raises DataError."""

    def release(self, slots: Ints) -> None:
        """Only these segments are driven from now on."""


class MakeViews(Protocol):
    """What makes a simulator of the driving core."""

    def __call__(
        self,
        segments: Sequence[DrivenSegment],
        camera: VirtualCamera,
        parameters: Parameters,
        device: str = "cpu",
    ) -> Views: ...
