"""The store: whole or not at all, verified when read, one identity."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suites.errors import DataError
from suites.identity import file_digest
from suites.segment import Facts, SegmentColumns
from workers.segments.store import list_segments, read_segment, write_segment
from workers.segments.tests.segment_parts import COUNT, camera_meta, depths, moving_frames
from workers.segments.video import Frames
from workers.simulation.tests.columns import straight_columns

COLUMNS = straight_columns(COUNT, 20.0)


def store(root: Path, segment_id: str = "route/0", **changes: object) -> None:
    write_segment(root, camera_meta(segment_id, **changes), COLUMNS, moving_frames(), depths())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    table = {"vEgo": np.array([1.0, np.nan, 0.1 + 0.2])}
    meta = write_segment(tmp_path, camera_meta(), COLUMNS, moving_frames(), depths(), table)
    segment = read_segment(tmp_path, "route/0")
    assert segment.meta == meta
    assert segment.digest == meta.digest == file_digest(tmp_path / "route" / "0" / "meta.json")
    assert set(meta.files) == {"columns.npz", "depth.zst", "frames.mp4", "table.npz"}
    for name in SegmentColumns.__slots__:
        np.testing.assert_array_equal(getattr(segment.columns, name), getattr(COLUMNS, name))
    np.testing.assert_array_equal(segment.table["vEgo"], table["vEgo"])
    assert segment.frames().shape == (COUNT, 32, 64, 3)
    assert segment.depth().shape == (COUNT, 16, 32)
    assert {k: meta.depth[k] for k in ("width", "height")} == {"width": 32, "height": 16}


def test_a_field_that_came_later_leaves_what_was_stored_its_identity(tmp_path: Path) -> None:
    store(tmp_path)
    path = tmp_path / "route" / "0" / "meta.json"
    before = read_segment(tmp_path, "route/0")
    older = json.loads(path.read_bytes())
    assert "facts" not in older, "unknown facts are not written"
    assert "torque_lateral_acceleration_mps2" not in older["vehicle"]
    assert before.meta.facts == Facts()
    assert replace(before.meta, facts=Facts(weather="rain")).digest != before.digest


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    store(tmp_path / "a")
    store(tmp_path / "b")
    a, b = (read_segment(tmp_path / name, "route/0") for name in "ab")
    assert a.digest == b.digest


def test_any_stretch_reads_as_the_whole_does(tmp_path: Path) -> None:
    store(tmp_path)
    segment = read_segment(tmp_path, "route/0")
    frames, depth = segment.frames(), segment.depth()
    for start, stop in ((0, 1), (9, 11), (13, 20), (24, 25), (7, 7)):
        np.testing.assert_array_equal(segment.frames(start, stop), frames[start:stop])
        np.testing.assert_array_equal(segment.depth(start, stop), depth[start:stop])
    for read in (segment.frames, segment.depth):
        with pytest.raises(IndexError):
            read(0, COUNT + 1)


def test_a_later_segment_replaces_one_of_its_id(tmp_path: Path) -> None:
    store(tmp_path)
    store(tmp_path, tags=("night",))
    assert [meta.tags for meta in list_segments(tmp_path)] == [("night",)]
    assert read_segment(tmp_path, "route/0").meta.tags == ("night",)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["route"]


@pytest.mark.parametrize("name", ["frames.mp4", "depth.zst", "columns.npz"])
def test_a_changed_byte_is_found_and_the_file_named(name: str, tmp_path: Path) -> None:
    store(tmp_path)
    path = tmp_path / "route" / "0" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="sha256") as caught:
        read_segment(tmp_path, "route/0")
    assert caught.value.findings[0].where == str(path)


def test_files_are_read_through_once_a_process_and_when_asked(tmp_path: Path) -> None:
    store(tmp_path)
    read_segment(tmp_path, "route/0")
    (tmp_path / "route" / "0" / "depth.zst").write_bytes(b"other")
    read_segment(tmp_path, "route/0")
    with pytest.raises(DataError, match="sha256"):
        read_segment(tmp_path, "route/0", verify=True)
    with pytest.raises(DataError, match=r"depth\.zst"):
        read_segment(tmp_path, "route/0").depth()
    (tmp_path / "route" / "0" / "frames.mp4").unlink()
    with pytest.raises(DataError, match=r"frames\.mp4: listed in meta\.json but absent"):
        read_segment(tmp_path, "route/0", verify=False)


@pytest.mark.parametrize("text", [b"", b"{", b'{"segment_id": "route/0"}', b"[]"])
def test_a_damaged_meta_is_named_and_can_be_left_out_of_the_list(
    text: bytes, tmp_path: Path
) -> None:
    store(tmp_path)
    store(tmp_path, "route/1")
    (tmp_path / "route" / "1" / "meta.json").write_bytes(text)
    with pytest.raises(DataError, match=r"meta\.json"):
        read_segment(tmp_path, "route/1")
    with pytest.raises(DataError, match=r"meta\.json"):
        list_segments(tmp_path)
    told: list[DataError] = []
    assert [meta.segment_id for meta in list_segments(tmp_path, told.append)] == ["route/0"]
    assert len(told) == 1


def test_the_list_is_in_the_order_of_routes_and_numbers(tmp_path: Path) -> None:
    assert list_segments(tmp_path / "none") == []
    for segment_id in ("b/0", "a/10", "a/9", "single"):
        write_segment(
            tmp_path, camera_meta(segment_id, camera=None, kind="controls"), COLUMNS, None, None
        )
    assert [meta.segment_id for meta in list_segments(tmp_path)] == ["a/9", "a/10", "b/0", "single"]
    with pytest.raises(DataError, match="has no frames"):
        read_segment(tmp_path, "single").frames()


@pytest.mark.parametrize(
    "segment_id", ["../x", "a/b/c", "/etc", ".hidden", "a/../b", "", "a/.b", "a|b"]
)
def test_no_id_leaves_the_store(segment_id: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no segment id"):
        store(tmp_path / "root", segment_id)
    with pytest.raises(DataError, match="no segment id"):
        read_segment(tmp_path / "root", segment_id)


def test_contradictions_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[Frames]:
        yield from moving_frames(10)
        raise DataError("the source ends here")

    frames, depth = moving_frames(), depths()
    late = COLUMNS.t_s.copy()
    late[7] = late[6]
    lost = COLUMNS.x_m.copy()
    lost[3] = np.nan
    meta = camera_meta()
    cases: tuple[tuple[SegmentColumns, Iterable[Any], list[Any], str], ...] = (
        (COLUMNS, frames[:20], depth, "frames: frame 20: 25 frames expected"),
        (COLUMNS, frames, depth[:20], "depth: frame 20: 25 frames expected"),
        (COLUMNS, failing(), depth, "the source ends here"),
        (COLUMNS, [frame[:, :32] for frame in frames], depth, "frames are 32x32"),
        (COLUMNS, [*frames[:3], frames[3].astype(np.int16), *frames[4:]], depth, "uint8"),
        (COLUMNS, [*frames[:3], frames[3][:16], *frames[4:]], depth, r"found uint8 \[16, 64, 3\]"),
        (COLUMNS, frames, [*depth[:3], depth[3][:4], *depth[4:]], "shape"),
        (replace(COLUMNS, t_s=late), frames, depth, "t_s: row 7"),
        (replace(COLUMNS, x_m=lost), frames, depth, "x_m: row 3"),
        (replace(COLUMNS, y_m=COLUMNS.y_m[:5]), frames, depth, "y_m: shape"),
    )
    for columns, given, thick, says in cases:
        with pytest.raises(DataError, match=says):
            write_segment(tmp_path, meta, columns, given, thick)
        assert [path.name for path in tmp_path.rglob("*") if path.name != ".lock"] == []


def test_a_killed_writer_leaves_nothing_that_counts(tmp_path: Path) -> None:
    """It dies by SIGKILL between two frames; the next writer sweeps, but no living one's folder."""
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from workers.segments.store import write_segment\n"
        "from workers.segments.tests.segment_parts import *\n"
        "from workers.simulation.tests.columns import straight_columns\n"
        "def dying():\n"
        "    yield from moving_frames(10)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "columns = straight_columns(COUNT, 20.0)\n"
        "write_segment(Path(sys.argv[1]), camera_meta(), columns, dying(), depths())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=environment, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert list_segments(tmp_path) == []
    left = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(left) == 1

    def beside() -> Iterator[Frames]:
        for number, frame in enumerate(moving_frames()):
            if number == 5:
                store(tmp_path, "other/0")
            yield frame

    write_segment(tmp_path, camera_meta(), COLUMNS, beside(), depths())
    assert not left[0].exists()
    assert [meta.segment_id for meta in list_segments(tmp_path)] == ["other/0", "route/0"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["other", "route"]
