"""The stored video: close to its source, decoded exactly alike from any frame."""

from pathlib import Path

import numpy as np
import pytest

from suites.errors import DataError
from workers.segments.tests.segment_parts import HEIGHT, WIDTH, moving_frames
from workers.segments.video import KEYFRAME_EVERY, read_video, write_video


def test_the_codec_costs_little(tmp_path: Path) -> None:
    """PSNR over RGB against the frames that went in.

    On comma's demo route (320x200) it is 41.6 dB. One grey level of that is a constant: the fast
    conversion to RGB rounds down.
    """
    frames = np.array(moving_frames(40)).repeat(4, axis=1).repeat(4, axis=2)
    path = tmp_path / "frames.mp4"
    assert write_video(path, frames, 20.0) == (40, 4 * WIDTH, 4 * HEIGHT)
    error = frames.astype(np.float64) - read_video(path, 0, 40, 4 * WIDTH, 4 * HEIGHT)
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 38
    assert 0 <= error.mean() < 1.5


def test_colours_keep_their_places(tmp_path: Path) -> None:
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[:, : WIDTH // 2], frame[:, WIDTH // 2 :] = (200, 40, 40), (40, 60, 200)
    write_video(tmp_path / "v.mp4", [frame], 20.0)
    seen = read_video(tmp_path / "v.mp4", 0, 1, WIDTH, HEIGHT)[0]
    np.testing.assert_allclose(seen[5, 5], (200, 40, 40), atol=5)
    np.testing.assert_allclose(seen[5, -5], (40, 60, 200), atol=5)


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / name, np.array(moving_frames(5)).repeat(8, axis=1), 20.0)
    data = (tmp_path / "a").read_bytes()
    assert data == (tmp_path / "b").read_bytes()
    for setting in (b" threads=1 ", b" mbtree=0 "):
        # x264 writes its settings into the stream
        assert setting in data, "with others the bytes are not always the same"


def test_a_damaged_or_other_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "frames.mp4"
    write_video(path, moving_frames(30), 20.0)
    with pytest.raises(DataError, match=r"frames \[0, 31\)") as caught:
        read_video(path, 0, 31, WIDTH, HEIGHT)
    assert caught.value.findings[0].where == f"{path}: frame 30"
    with pytest.raises(DataError, match="at 32x32 expected"):
        read_video(path, 0, 30, 32, 32)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be decoded"):
        read_video(path, 0, 1, WIDTH, HEIGHT)


def test_odd_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="even H, even W"):
        write_video(tmp_path / "v.mp4", [np.zeros((31, 64, 3), np.uint8)], 20.0)


@pytest.mark.parametrize("rate", [10.0, 20.0, 29.97])
def test_every_frame_is_found_at_any_rate(rate: float, tmp_path: Path) -> None:
    frames = [np.full((HEIGHT, WIDTH, 3), 8 * i, np.uint8) for i in range(2 * KEYFRAME_EVERY + 5)]
    write_video(tmp_path / "v.mp4", frames, rate)
    for i in range(len(frames)):
        assert (
            abs(float(read_video(tmp_path / "v.mp4", i, i + 1, WIDTH, HEIGHT).mean()) - 8 * i) < 3
        ), i
