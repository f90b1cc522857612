"""The planned batch: rows by what is free, never none, never more than asked."""

from dataclasses import replace
from pathlib import Path

import pytest
from numba import cuda

from suites.errors import MachineError
from suites.manifest import History, VirtualCamera
from workers.simulation.memory import free_bytes, group_headroom, row_bytes, rows_that_fit
from workers.simulation.tests.models import manifest
from workers.simulation.views.chunks import CHUNK

VIEW = VirtualCamera(width=256, height=128, fx=200.0, fy=200.0, cx=127.5, cy=59.5)


@pytest.mark.parametrize("free, rows", [(0, 1), (999, 1), (2500, 2), (6400, 6), (10**12, 64)])
def test_rows_follow_from_what_is_free(free: int, rows: int) -> None:
    assert rows_that_fit(free, 1000, 64) == rows


def test_a_row_is_mostly_its_decoded_frames_and_grows_with_view_and_history() -> None:
    plain = manifest(VIEW)
    frames = 3 * CHUNK * 1.6 * 256 * 128 * 8
    assert frames < row_bytes(plain) < 1.1 * frames
    assert (
        row_bytes(replace(plain, history=History(frames=10, stride=4)))
        > row_bytes(plain) + 256 * 128 * 36 * 3
    )
    assert row_bytes(replace(plain, camera=None)) < 10_000


def test_a_control_group_bounds_the_plan(tmp_path: Path) -> None:
    assert group_headroom(tmp_path) == 1 << 63
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    for limit, left in (("max\n", 1 << 63), ("1000\n", 450), ("100\n", 0)):
        (tmp_path / "memory.max").write_text(limit)
        assert group_headroom(tmp_path) == left


def test_this_machine_has_memory_and_a_missing_device_is_its_fault() -> None:
    assert free_bytes("cpu") > 0
    if not cuda.is_available():
        with pytest.raises(MachineError, match="no CUDA device here"):
            free_bytes("cuda")
