"""The controls dataset's CSV: exact values, and errors that name row and column."""

from pathlib import Path

import numpy as np
import pytest

from suites.errors import DataError
from suites.identity import file_digest
from suites.segment import Facts
from workers.segments.controls_csv import HEADER, import_controls_csv
from workers.segments.facts import Stated
from workers.segments.store import list_segments, read_segment

SHARED = Path(__file__).parents[4] / "shared" / "data" / "tinyphysics" / "00000.csv"


def lines(rows: int = 12) -> list[list[str]]:
    body = [
        [f"{i / 10:.1f}", "30.1", "-0.02", "0.01", "0.3", f"0.{i}7" if i < 6 else ""]
        for i in range(rows)
    ]
    return [list(HEADER), *body]


def written(path: Path, rows: list[list[str]]) -> Path:
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    return path


def test_values_are_exactly_those_of_the_text(tmp_path: Path) -> None:
    rows = lines()
    rows[3][1] = "0.30000000000000004"
    path = written(tmp_path / "00017.csv", rows)
    (meta,) = import_controls_csv([path], tmp_path / "root")
    assert (meta.segment_id, meta.kind, meta.rate_hz, meta.frame_count) == (
        "controls/00017",
        "controls",
        10.0,
        12,
    )
    assert meta.origin == {"files": {"00017.csv": file_digest(path)}}
    segment = read_segment(tmp_path / "root", "controls/00017")
    assert list(segment.table) == sorted(HEADER)
    assert segment.table["vEgo"][2] == 0.1 + 0.2
    np.testing.assert_array_equal(
        np.isnan(segment.table["steerCommand"]), [i >= 6 for i in range(12)]
    )
    np.testing.assert_array_equal(segment.columns.speed_mps, segment.table["vEgo"])
    assert np.isnan(segment.columns.curvature).all()


def test_facts_are_those_of_the_wanted_drive_and_the_car_is_stated(tmp_path: Path) -> None:
    path = written(tmp_path / "00017.csv", lines())
    found = import_controls_csv([path], tmp_path / "root")[0].facts
    assert found.mean_speed_mps == pytest.approx(30.1)
    assert found.max_curvature == pytest.approx(0.3 / 30.1**2)
    assert (found.time_of_day, found.weather, found.platform) == (None, None, None)
    stated = Stated(facts=Facts(platform="KIA"))
    assert import_controls_csv([path], tmp_path / "root", stated)[0].facts.platform == "KIA"


def change(row: int, column: int, text: str) -> list[list[str]]:
    rows = lines()
    rows[row + 1][column] = text
    return rows


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (change(4, 1, "fast"), "row 4, column vEgo: a number expected, found 'fast'"),
        (change(4, 1, ""), "row 4, column vEgo: a number expected, found ''"),
        (change(4, 3, "nan"), "row 4, column roll: a finite number expected"),
        (change(4, 2, "inf"), "row 4, column aEgo: a finite number expected"),
        (change(4, 5, ""), "row 4, column steerCommand"),
        (change(4, 0, "0.2"), "row 4, column t: a step of 0.1 s expected, found -0.1 s"),
        ([row[:-1] for row in lines()], "steerCommand not found"),
        ([*lines()[:5], ["1.0"]], "row 4: 6 values expected, found 1"),
        (lines()[:2], "at least 2 expected, found 1"),
        ([], "header: columns"),
    ],
)
def test_a_wrong_file_is_refused_and_nothing_of_the_others_stored(
    rows: list[list[str]], says: str, tmp_path: Path
) -> None:
    good, bad = written(tmp_path / "a.csv", lines()), written(tmp_path / "b.csv", rows)
    with pytest.raises(DataError) as caught:
        import_controls_csv([good, bad], tmp_path / "root")
    assert says in str(caught.value)
    assert str(bad) in caught.value.findings[0].where
    assert list_segments(tmp_path / "root") == []


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    paths = [written(tmp_path / "a.csv", lines()), written(tmp_path / "other" / "a.csv", lines())]
    with pytest.raises(DataError, match="two files of one name"):
        import_controls_csv(paths, tmp_path / "root")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00\x01")
    for path in (tmp_path / "x.csv", tmp_path / "absent.csv"):
        with pytest.raises(DataError, match="cannot be read"):
            import_controls_csv([path], tmp_path / "root")


@pytest.mark.skipif(not SHARED.is_file(), reason="the dataset's file is not beside the repository")
def test_the_datasets_own_file(tmp_path: Path) -> None:
    import_controls_csv([SHARED], tmp_path)
    segment = read_segment(tmp_path, "controls/00000")
    expected = np.genfromtxt(SHARED, delimiter=",", names=True)
    for name in HEADER:
        np.testing.assert_array_equal(segment.table[name], expected[name])
    assert np.isnan(segment.table["steerCommand"][100:]).all()
    assert np.isfinite(segment.table["steerCommand"][:100]).all()
