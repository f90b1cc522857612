"""Frames as graphs want them: planes, openpilot's packed YUV, the wide view, past frames."""

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from suites.manifest import History

Frames = NDArray[np.uint8]
Ints = NDArray[np.integer]


def rgb_planes(frames: Frames) -> Frames:
    """[B, H, W, 3] to [B, 3, H, W]: the same memory where it lies in planes already."""
    return np.ascontiguousarray(frames.transpose(0, 3, 1, 2))


def yuv420_planes(frames: Frames) -> Frames:
    """[B, H, W, 3] RGB, H and W even, to openpilot's six planes [B, 6, H/2, W/2].

    Luma at (even row, even column), (odd, even), (even, odd), (odd, odd), then U and V: the order
    of openpilot's selfdrive/modeld (loadyuv; frames_to_tensor). Colour: ITU-R BT.601 studio swing
    in 8-bit integers (Y 16-235, U and V 16-240 about 128), chroma from the rounded block means.
    """
    wide = frames.transpose(0, 3, 1, 2).astype(np.uint16)  # every sum below fits 16 bits
    red, green, blue = wide[:, 0], wide[:, 1], wide[:, 2]
    luma = ((66 * red + 129 * green + 25 * blue + 128) >> 8) + 16
    mean = _block_means(wide.transpose(1, 0, 2, 3))
    r, g, b = mean.astype(np.int16)
    u = ((112 * b - 38 * r - 74 * g + 128) >> 8) + 128
    v = ((112 * r - 94 * g - 18 * b + 128) >> 8) + 128
    out = np.empty((len(frames), 6, *u.shape[1:]), np.uint8)
    for plane, values in enumerate((*_block_corners(luma), u, v)):
        out[:, plane] = values
    return out


def wide_view(frames: Frames) -> Frames:
    """The same camera at half the focal length: [B, H, W, 3], the frame at half size in black.

    openpilot's big model frame has half the focal length of its medium one and its horizon at
    cy_big = (H + cy_medium) / 2 (common/transformations/model.py): the pixel (u, v) of the wide
    view shows (2u - W/2, 2v - H) of the narrow one.
    """
    height, width = frames.shape[1:3]
    out = np.zeros_like(frames, order="C")
    half = _block_means(frames.astype(np.uint16).transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    out[:, height // 2 :, width // 4 : width // 4 + width // 2] = half
    return out


def _block_corners(values: Ints) -> list[Ints]:
    """The four corners [..., H/2, W/2] of each 2x2 block, column by column."""
    return [values[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]


def _block_means(values: Ints) -> Ints:
    """The rounded mean of each 2x2 block of [..., H, W]; sums must fit the type."""
    one, two, three, four = _block_corners(values)
    return (one + two + three + four + 2) >> 2


class FrameHistory:
    """The newest frames of B rows. The first frame after `start` fills the whole history."""

    def __init__(self, history: History, planes: Callable[[Frames], Frames]) -> None:
        self._picks = [-1 - back * history.stride for back in reversed(range(history.frames))]
        self._kept: deque[Frames] = deque(maxlen=(history.frames - 1) * history.stride + 1)
        self._planes = planes

    def start(self) -> None:
        self._kept.clear()

    def push(self, frames: Frames) -> None:
        """frames: [B, H, W, 3] RGB of this step; copied where they are needed at a later one."""
        planes = self._planes(frames)
        if self._kept.maxlen != 1 and np.may_share_memory(planes, frames):
            planes = planes.copy()
        while len(self._kept) < (self._kept.maxlen or 0) - 1:
            self._kept.append(planes)
        self._kept.append(planes)

    def stacked(self) -> Frames:
        """[B, planes * frames, h, w], oldest frame first."""
        picked = [self._kept[pick] for pick in self._picks]
        return picked[0] if len(picked) == 1 else np.concatenate(picked, axis=1)

    def keep(self, rows: NDArray[np.int64]) -> None:
        self._kept = deque((planes[rows] for planes in self._kept), maxlen=self._kept.maxlen)
