"""`redrive segments` from import to verify."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cli.commands.segments import app
from suites.errors import DataError, SubmitterError
from suites.segment import Camera
from workers.segments.depth.plane import ground_depth
from workers.segments.openpilot.tests.openpilot_route import DONGLE, make_route

ID = f"{DONGLE}_2023-07-27--13-01-19/3"
CSV = "t,vEgo,aEgo,roll,targetLateralAcceleration,steerCommand\n" + "".join(
    f"{i / 10},30,0,0,0.1,0.2\n" for i in range(20)
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one openpilot segment and one of the controls dataset."""
    root = tmp_path_factory.mktemp("segments")
    folder = make_route(30).write(root / "in" / f"{DONGLE}|2023-07-27--13-01-19--3")
    (root / "00007.csv").write_text(CSV)
    said = run("import", "openpilot", str(folder.parent), "--width", "64", "--data", str(root))
    assert f"1 of 1: {ID}, 30 frames" in said.stderr
    assert run("import", "controls-csv", str(root / "00007.csv"), "--data", str(root)).stdout == ""
    return root


def run(*words: str):  # type: ignore[no-untyped-def]
    result = CliRunner().invoke(app, list(words))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_list_shows_and_filters(data: Path) -> None:
    table = run("list", "--data", str(data)).stdout
    assert ID in table
    assert "controls/00007" in table
    documents = json.loads(run("list", "--data", str(data), "--json").stdout)
    assert [document["segment_id"] for document in documents] == [ID, "controls/00007"]
    assert len(documents[0]["digest"]) == 64
    assert (
        json.loads(run("list", "--data", str(data), "--json", "--route", "controls/00007").stdout)
        == documents[1:]
    )
    assert json.loads(run("list", "--data", str(data), "--json", "--tag", "night").stdout) == []


def test_what_no_log_tells_is_stated_and_the_rest_is_unknown(data: Path, tmp_path: Path) -> None:
    assert "weather    unknown" in run("show", ID, "--data", str(data)).stdout
    words = (
        "--weather",
        "rain",
        "--intersection",
        "--platform",
        "KIA",
        "--tag",
        "roundabout",
        "--data",
        str(tmp_path),
    )
    run("import", "controls-csv", str(data / "00007.csv"), *words)
    shown = run("show", "controls/00007", "--data", str(tmp_path)).stdout
    for line in (
        "weather    rain",
        "crossing   drives through an intersection",
        "platform   KIA",
        "tags       roundabout",
    ):
        assert line in shown
    assert "KIA" in run("list", "--data", str(tmp_path)).stdout
    with pytest.raises(SubmitterError, match="one word"):
        run(
            "import",
            "controls-csv",
            str(data / "00007.csv"),
            "--tag",
            "Round About",
            "--data",
            str(tmp_path),
        )


def test_an_empty_list_says_how_to_fill_it(tmp_path: Path) -> None:
    assert "redrive segments import" in run("list", "--data", str(tmp_path)).stderr


def test_show_finds_a_pasted_name_and_says_what_is_missing(data: Path) -> None:
    pasted = f"https://connect.comma.ai/{DONGLE}/2023-07-27--13-01-19/180/240"
    sheet = data / "sheet.png"
    said = run("show", pasted, "--data", str(data), "--sheet", str(sheet))
    assert f"segment    {ID}" in said.stdout
    assert "missing    z, pitch" in said.stdout
    assert "Intrinsics by device: tici" in said.stdout
    with Image.open(sheet) as picture:
        assert picture.size[0] > 1000
    assert json.loads(run("show", ID, "--data", str(data), "--json").stdout)["frame_count"] == 30
    with pytest.raises(DataError) as caught:
        run("show", f"{DONGLE}|2023-07-27--13-01-18--3", "--data", str(data))
    assert ID in caught.value.findings[0].problem


def test_a_damaged_segment_is_left_out_and_the_others_imported(tmp_path: Path) -> None:
    make_route(10).write(tmp_path / "in" / "a--1")
    bad = make_route(10).write(tmp_path / "in" / "a--2")
    (bad / "qcamera.ts").write_bytes(b"")
    make_route(10).write(tmp_path / "in" / "a--3")
    with pytest.raises(DataError, match="1 of 3 segments") as caught:
        run("import", "openpilot", str(tmp_path / "in"), "--width", "64", "--data", str(tmp_path))
    assert "a--2/qcamera.ts" in caught.value.findings[0].where
    stored = json.loads(run("list", "--data", str(tmp_path), "--json").stdout)
    assert [document["segment_id"] for document in stored] == [
        f"{DONGLE}_a--1/7",
        f"{DONGLE}_a--3/7",
    ]


def test_verify_names_the_damaged_file(data: Path, tmp_path: Path) -> None:
    assert f"{ID} is whole" in run("verify", "--data", str(data)).stderr
    (tmp_path / "00007.csv").write_text(CSV)
    run("import", "controls-csv", str(tmp_path / "00007.csv"), "--data", str(tmp_path))
    (tmp_path / "segments" / "controls" / "00007" / "table.npz").write_bytes(b"x")
    with pytest.raises(DataError, match="1 stored segments are damaged") as caught:
        run("verify", "--data", str(tmp_path))
    assert caught.value.findings[0].where.endswith("table.npz")


def test_depth_of_the_log_makes_a_segment_of_another_digest(tmp_path: Path) -> None:
    folder = make_route(30).write(tmp_path / "in" / f"{DONGLE}|2023-07-27--13-01-19--3")
    run("import", "openpilot", str(folder), "--width", "64", "--data", str(tmp_path))
    before = json.loads(run("show", ID, "--data", str(tmp_path), "--json").stdout)
    camera, ground = (
        before["camera"],
        ground_depth(Camera(**before["camera"]), 64, before["camera"]["height"]),
    )
    (tmp_path / "maps").mkdir()
    for k in range(30):
        Image.fromarray((np.where(ground < 80, ground, 0) * 256).astype(np.uint16)).save(
            tmp_path / "maps" / f"{k:03d}.png"
        )
    said = run("depth", ID, "--lidar", str(tmp_path / "maps"), "--data", str(tmp_path))
    after = json.loads(run("show", ID, "--data", str(tmp_path), "--json").stdout)
    assert (before["depth_source"], after["depth_source"]) == ("plane", "lidar")
    assert after["digest"] != before["digest"]
    assert after["digest"] in said.stderr
    assert f"lidar, 32x{camera['height'] // 2}" in run("show", ID, "--data", str(tmp_path)).stdout
    for wrong in (
        (),
        ("--stereo", str(tmp_path)),
        ("--lidar", str(tmp_path), "--stereo", str(tmp_path), "--baseline-m", "1"),
    ):
        with pytest.raises(SubmitterError, match="one source of depth"):
            run("depth", ID, *wrong, "--data", str(tmp_path))
