"""Depth that the log has: lidar maps and right pictures, filled, stored, refused where wrong."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from suites.errors import DataError
from suites.identity import file_digest
from workers.segments.depth.disparity import disparity
from workers.segments.depth.fill import filled
from workers.segments.depth.from_log import lidar_depth, stereo_depth
from workers.segments.depth.plane import ground_depth
from workers.segments.store import (
    StoredSegment,
    list_segments,
    read_segment,
    replace_depth,
    write_segment,
)
from workers.segments.tests.segment_parts import CAMERA, camera_meta
from workers.segments.tests.test_store import COLUMNS
from workers.segments.video import write_video

BASELINE_M, COUNT = 0.5, 25
WALL_M, SIGN_M = 15.0, 5.0
V, U = np.mgrid[: CAMERA.height, : CAMERA.width]
SIGN = (U >= 20) & (U < 40) & (V >= 4) & (V < 20)
TEXTURE = np.random.default_rng(1).integers(0, 120, (CAMERA.height, 2 * CAMERA.width, 3), np.uint8)


def view(shift: Callable[[float], float]) -> NDArray[np.uint8]:
    """A dark wall, a bright sign before it: each moved left by `shift` of its distance, pixels."""
    far, near = int(shift(WALL_M)), int(shift(SIGN_M))
    out = TEXTURE[:, far : far + CAMERA.width].copy()
    sign = np.roll(SIGN, -near, axis=1)
    out[sign] = np.roll(TEXTURE[:, : CAMERA.width] + np.uint8(120), -near, axis=1)[sign]
    return out


LEFT = view(lambda z: 0)
RIGHT = view(lambda z: CAMERA.fx * BASELINE_M / z)  # 6 pixels for the sign, 2 for the wall
METRES = np.where(SIGN, SIGN_M, WALL_M)


@pytest.fixture
def segment(tmp_path: Path) -> StoredSegment:
    write_segment(
        tmp_path / "segments",
        camera_meta(depth_source="plane"),
        COLUMNS,
        [LEFT] * COUNT,
        [METRES[::2, ::2]] * COUNT,
    )
    return read_segment(tmp_path / "segments", "route/0")


def maps(folder: Path, values: NDArray[np.float64] = METRES, count: int = COUNT) -> Path:
    """Every third row and one pixel in two is known."""
    folder.mkdir()
    known = np.where((V % 3 == 1) & (U % 2 == 0), values, 0.0)
    for k in range(count):
        Image.fromarray(np.rint(known * 256).astype(np.uint16)).save(folder / f"{k:06d}.png")
    return folder


def rights(folder: Path, picture: NDArray[np.uint8] = RIGHT) -> Path:
    folder.mkdir()
    for k in range(COUNT):
        Image.fromarray(picture).save(folder / f"{k:06d}.png")
    return folder


def test_lidar_becomes_the_segments_depth_and_every_other_file_stays(
    segment: StoredSegment, tmp_path: Path
) -> None:
    root = tmp_path / "segments"
    meta = replace_depth(
        root, segment, lidar_depth(maps(tmp_path / "lidar"), segment), "lidar", {"folder": "lidar"}
    )
    found = read_segment(root, "route/0", verify=True)
    assert (found.meta, meta.depth_source, meta.origin["depth"]) == (
        meta,
        "lidar",
        {"folder": "lidar"},
    )
    assert found.digest != segment.digest
    assert {k: v for k, v in meta.files.items() if k != "depth.zst"} == {
        k: v for k, v in segment.meta.files.items() if k != "depth.zst"
    }
    off = np.abs(found.depth(0, 1)[0] / METRES[1::2, 1::2] - 1.0)
    assert np.median(off) < 0.02
    assert np.mean(off > 0.1) < 0.15  # only along the sign's outline


@pytest.mark.parametrize("video", [False, True])
def test_the_right_camera_tells_depth(video: bool, segment: StoredSegment, tmp_path: Path) -> None:
    if video:
        write_video(tmp_path / "right.mp4", [RIGHT] * COUNT, 20.0)
    right = tmp_path / "right.mp4" if video else rights(tmp_path / "right")
    depth = next(stereo_depth(right, BASELINE_M, segment))
    assert depth.shape == (16, 32)
    assert np.median(depth[4:8, 12:18]) == pytest.approx(SIGN_M, rel=0.03)
    assert np.median(depth[4:8, 24:30]) == pytest.approx(WALL_M, rel=0.03)


def test_matching_must_agree_both_ways() -> None:
    found = disparity(LEFT, RIGHT, 16)
    assert np.nanmedian(found[6:18, 24:38]) == 6.0
    assert np.isfinite(disparity(LEFT, RIGHT, 16)).mean() > 0.6
    noise = np.random.default_rng(2).integers(0, 255, LEFT.shape, np.uint8)
    assert np.isfinite(disparity(LEFT, noise, 16)).mean() < 0.15


def test_a_fill_is_exact_on_a_plane_stops_at_the_pictures_edges_and_ends_on_the_ground() -> None:
    camera = replace(CAMERA, cy=8.0)
    ground = 1.0 / ground_depth(camera, CAMERA.width, CAMERA.height).astype(np.float64)
    grey = np.full((32, 64, 3), 100, np.uint8)
    nothing = np.full((32, 64), np.nan)
    assert 1.0 / filled(nothing, grey, camera, 64, 32) == pytest.approx(np.minimum(ground, 2.0))
    steeper = 1.5 * ground
    rows = np.where((V % 4 == 0) & (V > 8), steeper, np.nan)
    found = 1.0 / filled(rows, grey, camera, 64, 32)
    assert found[13:28] == pytest.approx(steeper[13:28], rel=0.02)
    one = nothing.copy()
    one[4, 4] = 0.2  # something near in the sky, half of which is bright
    halves = np.where(U[..., None] < 30, grey, np.uint8(250))
    near = 1.0 / filled(one, halves, camera, 64, 32)[:8]
    assert near[4, 10] > 0.1 > 10 * near[4, 40]


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        read()
    return f"{caught.value.findings[0].where}: {caught.value.findings[0].problem}"


def test_maps_that_are_none_are_named(segment: StoredSegment, tmp_path: Path) -> None:
    def read() -> object:
        return list(lidar_depth(folder, segment))

    folder = maps(tmp_path / "a", count=COUNT - 1)
    assert f"{folder}: 25 files (*.png) expected, one a stored frame, found 24" in refusal(read)
    Image.fromarray(LEFT[..., 0]).save(folder / "000024.png")
    assert "000024.png: a 16-bit grey PNG of metres times 256 expected, found PNG L" in refusal(
        read
    )
    Image.fromarray(np.zeros((32, 64), np.uint16)).save(folder / "000024.png")
    assert "000024.png: no beam came back" in refusal(read)
    Image.fromarray(np.full((32, 80), 256, np.uint16)).save(folder / "000024.png")
    assert "000024.png: the view of 64x32 frames at some scale expected, found 80x32" in refusal(
        read
    )
    assert "times as far" in refusal(
        lambda: list(lidar_depth(maps(tmp_path / "mm", METRES * 1000 / 256), segment))
    )
    (folder / "000024.png").write_bytes((folder / "000000.png").read_bytes()[:60])
    assert "000024.png: cannot be read" in refusal(read)
    assert file_digest(segment.folder / "depth.zst") == segment.meta.files["depth.zst"]


def test_right_pictures_that_are_none_are_named(segment: StoredSegment, tmp_path: Path) -> None:
    folder = rights(
        tmp_path / "right", np.random.default_rng(3).integers(0, 255, LEFT.shape, np.uint8)
    )
    assert "of the pixels match the stored frames" in refusal(
        lambda: list(stereo_depth(folder, BASELINE_M, segment))
    )
    right = rights(tmp_path / "centimetres")
    assert "times as far as the camera's height tells" in refusal(
        lambda: list(stereo_depth(right, 100 * BASELINE_M, segment))
    )
    left = rights(tmp_path / "left", LEFT)
    assert "times as far as the camera's height tells" in refusal(
        lambda: list(stereo_depth(left, BASELINE_M, segment))
    )
    for name, count, found in (("few", COUNT - 1, "found 24"), ("many", COUNT + 1, "found more")):
        path = tmp_path / f"{name}.mp4"
        write_video(path, [RIGHT] * count, 20.0)
        assert found in refusal(lambda path=path: list(stereo_depth(path, BASELINE_M, segment)))  # type: ignore[misc]
    (tmp_path / "cut.mp4").write_bytes(b"no video")
    assert "cut.mp4: frame 0: cannot be decoded" in refusal(
        lambda: list(stereo_depth(tmp_path / "cut.mp4", 0.5, segment))
    )


def test_a_refusal_leaves_the_segment_as_it_was(segment: StoredSegment, tmp_path: Path) -> None:
    root, folder = tmp_path / "segments", maps(tmp_path / "lidar")
    Image.fromarray(np.zeros((32, 64), np.uint16)).save(folder / "000020.png")
    with pytest.raises(DataError, match=r"000020\.png"):
        replace_depth(root, segment, lidar_depth(folder, segment), "lidar", {})
    assert read_segment(root, "route/0", verify=True).digest == segment.digest
    assert len(list_segments(root)) == 1
    assert [path.name for path in root.iterdir() if path.is_dir()] == ["route"]
