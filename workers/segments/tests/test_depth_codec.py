"""The depth codec: a relative error of one step, holes and sky kept apart."""

from pathlib import Path

import numpy as np
import pytest
import zstandard

from suites.errors import DataError
from workers.segments.depth_codec import CHUNK_FRAMES, DepthCodec, read_depth, write_depth

CODEC = DepthCodec(width=8, height=4)


def test_depth_comes_back_within_half_a_step() -> None:
    metres = np.geomspace(CODEC.near_m, CODEC.far_m, 500, dtype=np.float32)
    step = (CODEC.far_m / CODEC.near_m) ** (1 / 254)
    ratio = CODEC.decode(CODEC.encode(metres)) / metres
    assert np.abs(np.log(ratio)).max() <= np.log(step) / 2 + 1e-6
    assert step == pytest.approx(1.022, abs=5e-4)


def test_what_is_not_a_depth_is_unknown_and_the_sky_is_far() -> None:
    codes = CODEC.encode(np.array([np.nan, 0.0, -3.0, -np.inf, np.inf, 1e9, 1e-3], np.float32))
    assert codes.tolist() == [0, 0, 0, 0, 1, 1, 255]
    decoded = CODEC.decode(codes)
    assert np.isnan(decoded[:4]).all()
    assert decoded[4:].tolist() == [CODEC.far_m, CODEC.far_m, CODEC.near_m]


def test_any_zstd_tool_unpacks_the_file(tmp_path: Path) -> None:
    frames = [np.full((4, 8), 1.0 + i, np.float32) for i in range(2 * CHUNK_FRAMES + 3)]
    count, meta = write_depth(tmp_path / "depth.zst", frames, 1.0, 250.0)
    assert (count, meta) == (23, {"width": 8, "height": 4, "near_m": 1.0, "far_m": 250.0})
    with (tmp_path / "depth.zst").open("rb") as file:
        raw = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    assert raw == b"".join(CODEC.encode(frame).tobytes() for frame in frames)


@pytest.mark.parametrize("cut", [0, 5, 9, -1, -30])
def test_a_cut_file_is_an_error_that_names_it(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "depth.zst"
    frames = [np.random.default_rng(i).uniform(1, 90, (4, 8)).astype(np.float32) for i in range(12)]
    write_depth(path, frames, 1.0, 250.0)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"depth\.zst") as caught:
        read_depth(path, CODEC, 0, 12)
    assert caught.value.findings[0].where == str(path)


def test_a_still_picture_costs_next_to_nothing(tmp_path: Path) -> None:
    frame = np.tile(np.geomspace(2, 200, 160, dtype=np.float32), (100, 1))
    write_depth(tmp_path / "depth.zst", (frame for _ in range(200)), 1.0, 250.0)
    assert (tmp_path / "depth.zst").stat().st_size < 200 * 100
