"""Planes, packing, the wide view and the history, against per-pixel references."""

import numpy as np
import pytest

from suites.manifest import History
from workers.policy.adapters.frames import FrameHistory, rgb_planes, wide_view, yuv420_planes


def reference_yuv(frame: np.ndarray) -> np.ndarray:
    """BT.601 studio swing in floating point, pixel by pixel, into openpilot's six planes."""
    height, width, _ = frame.shape
    planes = np.zeros((6, height // 2, width // 2))
    for row in range(height):
        for column in range(width):
            red, green, blue = frame[row, column].astype(float)
            luma = 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255
            planes[(row % 2) + 2 * (column % 2), row // 2, column // 2] = luma
    for row in range(height // 2):
        for column in range(width // 2):
            red, green, blue = (
                frame[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(4, 3).mean(0)
            )
            planes[4, row, column] = 128 + (-37.797 * red - 74.203 * green + 112.0 * blue) / 255
            planes[5, row, column] = 128 + (112.0 * red - 93.786 * green - 18.214 * blue) / 255
    return planes


def test_yuv_packing_matches_the_standard_within_rounding() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (3, 6, 8, 3)).astype(np.uint8)
    packed = yuv420_planes(frames)
    assert packed.dtype == np.uint8
    assert packed.shape == (3, 6, 3, 4)
    for row in range(3):
        assert np.abs(packed[row] - reference_yuv(frames[row])).max() <= 1.5


@pytest.mark.parametrize(
    "colour, yuv",
    [
        ((0, 0, 0), (16, 128, 128)),
        ((255, 255, 255), (235, 128, 128)),
        ((255, 0, 0), (82, 90, 240)),
        ((0, 0, 255), (41, 240, 110)),
    ],
)
def test_yuv_of_known_colours(colour: tuple[int, int, int], yuv: tuple[int, int, int]) -> None:
    packed = yuv420_planes(np.full((1, 2, 2, 3), colour, np.uint8))
    assert packed[0, :, 0, 0].tolist() == [yuv[0]] * 4 + [yuv[1], yuv[2]]


def test_the_wide_view_shows_the_narrow_one_at_half_size() -> None:
    frames = np.random.default_rng(2).integers(0, 256, (2, 8, 16, 3)).astype(np.uint8)
    wide = wide_view(frames)
    for v in range(8):
        for u in range(16):
            top, left = 2 * v - 8, 2 * u - 8
            if 0 <= top < 8 and 0 <= left < 16:
                mean = frames[:, top : top + 2, left : left + 2].reshape(2, 4, 3).mean(1)
                assert np.abs(wide[:, v, u] - mean).max() <= 0.5
            else:
                assert not wide[:, v, u].any()


def test_history_is_oldest_first_and_begins_full() -> None:
    history = FrameHistory(History(frames=3, stride=2), rgb_planes)
    frames = [np.full((2, 2, 4, 3), [step, 10 + step, 20 + step], np.uint8) for step in range(8)]
    history.start()
    seen = []
    for frame in frames:
        history.push(frame)
        frame[...] = 255  # a simulator may reuse its buffer
        stacked = history.stacked()
        assert stacked.shape == (2, 9, 2, 4)
        seen.append(stacked[0, :, 0, 0].tolist())
    assert seen[0] == [0, 10, 20] * 3
    assert seen[3] == [0, 10, 20, 1, 11, 21, 3, 13, 23]
    assert seen[7] == [3, 13, 23, 5, 15, 25, 7, 17, 27]


def test_history_keeps_the_rows_it_is_told() -> None:
    history = FrameHistory(History(frames=2), rgb_planes)
    for step in range(2):
        history.push(
            np.arange(3, dtype=np.uint8)[:, None, None, None]
            + np.full((3, 2, 2, 3), 10 * step, np.uint8)
        )
    history.keep(np.array([2, 0]))
    assert history.stacked()[:, [0, 3], 0, 0].tolist() == [[2, 12], [0, 10]]
