"""Import of an openpilot segment: what is stored, and what is said of damaged input."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suites.errors import DataError
from suites.segment import DRIVER_CODES, Facts
from workers.segments.facts import Stated
from workers.segments.openpilot.importer import NEEDED, import_openpilot, segment_folders
from workers.segments.openpilot.tests import openpilot_route as made
from workers.segments.openpilot.tests.openpilot_route import Route, make_route
from workers.segments.sheet import path_pixels
from workers.segments.store import list_segments, read_segment

SHARED = Path(__file__).parents[5] / "shared" / "data" / "comma_demo_route"
real = pytest.mark.skipif(
    not SHARED.is_dir(), reason="comma's demo route is not beside the repository"
)
ROUTE = "a2a0ccea32023010|2023-07-27--13-01-19"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_route().write(
        tmp_path_factory.mktemp("plain") / f"{made.DONGLE}|2023-07-27--13-01-19--3"
    )


@pytest.fixture(scope="module")
def comma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("comma")
    import_openpilot(SHARED, root, ROUTE)
    return root


def refused(folder: Path, root: Path) -> tuple[str, str]:
    """The finding of the import's error, with nothing left behind."""
    with pytest.raises(DataError) as caught:
        import_openpilot(folder, root)
    assert list_segments(root) == []
    assert not list(root.glob("*"))
    return caught.value.findings[0].where, caught.value.findings[0].problem


def test_a_segment_is_stored_with_its_camera_vehicle_and_origin(
    plain: Path, tmp_path: Path
) -> None:
    meta = import_openpilot(plain, tmp_path, width=64)
    assert meta.segment_id == f"{made.DONGLE}_2023-07-27--13-01-19/3"
    assert (meta.frame_count, meta.rate_hz, meta.depth_source) == (60, 20.0, "plane")
    camera = meta.camera
    assert camera is not None
    assert (camera.width, camera.height) == (64, 40)
    assert camera.fx == pytest.approx(2648 * 64 / 1928)
    assert camera.fy == pytest.approx(2648 * 40 / 1208)
    assert (camera.pitch_rad, camera.yaw_rad, camera.up_m) == pytest.approx(
        (made.PITCH_RAD, made.YAW_RAD, 1.3), abs=1e-4
    )
    assert meta.vehicle.steer_ratio == pytest.approx(made.STEER_RATIO)
    assert meta.vehicle.angle_offset_rad == pytest.approx(np.radians(made.OFFSET_DEG))
    assert meta.vehicle.slip_factor < 0
    assert set(meta.origin["files"]) == {"qlog.bz2", "qcamera.ts"}
    segment = read_segment(tmp_path, meta.segment_id)
    assert segment.frames().shape == (60, 40, 64, 3)
    expected = np.array(made.pictures(60), np.float64).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(segment.frames().mean(axis=(1, 2, 3)), expected, atol=6)


def test_the_names_of_folder_log_and_option_make_the_id(plain: Path, tmp_path: Path) -> None:
    nested = tmp_path / "in" / made.DONGLE / "2023-07-27--13-01-19" / "4"
    shutil.copytree(plain, nested)
    assert (
        import_openpilot(nested, tmp_path / "a", width=64).segment_id
        == f"{made.DONGLE}_2023-07-27--13-01-19/4"
    )
    unnamed = tmp_path / "in" / "some drive"
    shutil.copytree(plain, unnamed)
    assert (
        import_openpilot(unnamed, tmp_path / "b", width=64).segment_id
        == f"{made.DONGLE}_some_drive/7"
    )
    assert (
        import_openpilot(unnamed, tmp_path / "c", ROUTE, 64).segment_id
        == "a2a0ccea32023010_2023-07-27--13-01-19/7"
    )
    assert segment_folders(tmp_path / "in") == [unnamed]
    with pytest.raises(DataError, match="no openpilot segment"):
        segment_folders(tmp_path)


@pytest.mark.parametrize("channel", NEEDED)
def test_a_missing_channel_is_named(channel: str, tmp_path: Path) -> None:
    folder = make_route(10).without(channel).write(tmp_path / "in")
    where, problem = refused(folder, tmp_path / "root")
    assert where.endswith(f"qlog.bz2: {channel}")
    assert problem == f"the log has no {channel}"


@pytest.mark.parametrize(
    "channel",
    ["carParams", "liveParameters", "modelV2", "radarState", "carControl", "roadCameraState"],
)
def test_a_channel_that_is_not_needed_is_listed_or_noted(channel: str, tmp_path: Path) -> None:
    meta = import_openpilot(
        make_route().without(channel).write(tmp_path / "in"), tmp_path / "root", width=64
    )
    expected = {
        "liveParameters": "roll",
        "modelV2": "lane_left",
        "radarState": "lead",
        "carControl": "driver",
    }
    if channel in expected:
        assert expected[channel] in meta.missing
    else:
        assert any(
            {"carParams": "no carParams", "roadCameraState": "unknown"}[channel] in note
            for note in meta.notes
        )


NIGHT_MS = 1_690_444_800_000
"""08:00 UTC: one at night in San Diego."""


@pytest.mark.parametrize(
    ("positions", "light"),
    [
        ([], None),
        ([made.position(20, flags=0)], None),
        ([made.position(20)], "day"),
        ([made.position(20, flags=0, fix=True)], "day"),
        ([made.position(20, flags=0), made.position(40, unix_ms=NIGHT_MS)], "night"),
    ],
)
def test_the_time_of_day_needs_a_fixed_place(
    positions: list[Any], light: str | None, tmp_path: Path
) -> None:
    route = make_route()
    meta = import_openpilot(
        Route([*route.events, *positions], route.frames).write(tmp_path / "in"),
        tmp_path / "root",
        width=64,
    )
    assert meta.facts.time_of_day == light
    assert any("Time of day" in note for note in meta.notes)


def test_facts_come_from_the_log_and_what_no_log_tells_from_who_imports(
    plain: Path, tmp_path: Path
) -> None:
    facts = import_openpilot(plain, tmp_path, width=64).facts
    assert facts.mean_speed_mps == pytest.approx(made.SPEED_MPS)
    assert facts.max_curvature == pytest.approx(made.YAW_RATE / made.SPEED_MPS, rel=1e-3)
    assert (facts.platform, facts.weather, facts.intersection) == ("TEST", None, None)
    stated = Stated(facts=Facts(weather="rain", platform="OTHER"), tags=("exit",))
    meta = import_openpilot(plain, tmp_path, width=64, stated=stated)
    assert meta.facts == replace(facts, weather="rain", platform="OTHER")
    assert "exit" in meta.tags
    assert meta.origin["stated"] == {"weather": "rain", "platform": "OTHER", "tags": ["exit"]}
    assert read_segment(tmp_path, meta.segment_id).meta == meta


def edit(channel: str, row: int, change: Callable[[Any], None]) -> Callable[[Route], None]:
    return lambda route: change(route.of(channel)[row])


def speed_nan(event: Any) -> None:
    event.carState.vEgo = float("nan")


def speed_absurd(event: Any) -> None:
    event.carState.vEgo = 1e30


def rotation_infinite(event: Any) -> None:
    event.cameraOdometry.rot = [0.0, 0.0, float("inf")]


def list_short(event: Any) -> None:
    event.cameraOdometry.rot = [0.0]


def logged_earlier(event: Any) -> None:
    event.logMonoTime -= 200_000_000


def exposed_earlier(event: Any) -> None:
    event.qRoadEncodeIdx.timestampEof -= 200_000_000


def camera_on_another_car(event: Any) -> None:
    event.initData.deviceType = "chffrIos"


def bus_lost(route: Route) -> None:
    for event in route.of("carState")[10:41]:
        event.carState.canValid = False


def never_valid(route: Route) -> None:
    for event in route.of("carState"):
        event.valid = False


def never_calibrated(route: Route) -> None:
    for event in route.of("liveCalibration"):
        event.liveCalibration.rpyCalib = [0.0, 0.0, 0.0]


def frames_lost(route: Route) -> None:
    for event in route.of("qRoadEncodeIdx")[30:]:
        event.qRoadEncodeIdx.timestampEof += 2_000_000_000


@pytest.mark.parametrize(
    ("damage", "channel", "place", "says"),
    [
        (
            edit("carState", 20, speed_nan),
            "carState",
            "2.001 s",
            "speed: a finite number expected, found nan",
        ),
        (edit("carState", 20, speed_absurd), "carState", "2.001 s", "speed: at most 100 expected"),
        (
            edit("cameraOdometry", 9, rotation_infinite),
            "cameraOdometry",
            "1.451 s",
            "rot: a finite number expected",
        ),
        (
            edit("cameraOdometry", 9, list_short),
            "cameraOdometry",
            "1.451 s",
            "rot: shape (3,) expected, found (1,)",
        ),
        (edit("carState", 30, logged_earlier), "carState", "2.301 s", "time goes back by 0.150 s"),
        (
            edit("qRoadEncodeIdx", 30, exposed_earlier),
            "qRoadEncodeIdx",
            "2.501 s",
            "time of frame 30 goes back by 0.150 s",
        ),
        (
            edit("initData", 0, camera_on_another_car),
            "initData",
            "1.001 s",
            "no intrinsics are known for device 'chffrIos'",
        ),
        (bus_lost, "carState", "1.451 s", "silent or invalid for 1.6 s after this"),
        (frames_lost, "qRoadEncodeIdx", "2.501 s", "without a frame before frame 30"),
        (never_valid, "carState", "", "none of its 60 events is marked valid"),
        (
            never_calibrated,
            "liveCalibration",
            "",
            "no event has an estimate of the camera's angles",
        ),
    ],
)
def test_a_wrong_value_is_named_with_channel_byte_and_time(
    damage: Callable[[Route], None], channel: str, place: str, says: str, tmp_path: Path
) -> None:
    route = make_route()
    damage(route)
    where, problem = refused(route.write(tmp_path / "in"), tmp_path / "root")
    assert f"qlog.bz2: {channel}" in where
    assert place in where
    assert ("at byte " in where) == bool(place)
    assert says in problem


def test_a_log_cut_inside_an_event_names_the_byte(plain: Path, tmp_path: Path) -> None:
    folder = make_route().write(tmp_path / "in", "qlog")
    data = (folder / "qlog").read_bytes()
    (folder / "qlog").write_bytes(data[: len(data) // 2 + 4])
    where, problem = refused(folder, tmp_path / "root")
    offset = int(where.rsplit("byte ", 1)[1])
    assert len(data) // 2 - 2000 < offset <= len(data) // 2 + 4
    assert "ends inside an event" in problem


def test_a_cut_or_damaged_archive_names_the_byte(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(plain, folder)
    data = (folder / "qlog.bz2").read_bytes()
    (folder / "qlog.bz2").write_bytes(data[: len(data) // 2])
    assert refused(folder, tmp_path / "root") == (
        f"{folder / 'qlog.bz2'}: byte {len(data) // 2}",
        "the bzip2 stream is cut off here",
    )
    (folder / "qlog.bz2").write_bytes(data[:500] + bytes(50) + data[550:])
    assert "cannot be unpacked" in refused(folder, tmp_path / "root")[1]
    (folder / "qlog.bz2").unlink()
    assert "none of rlog.zst" in refused(folder, tmp_path / "root")[1]


def test_no_byte_of_a_log_can_do_worse_than_an_error(tmp_path: Path) -> None:
    folder = make_route(12).write(tmp_path / "in", "qlog")
    data = (folder / "qlog").read_bytes()
    generator = np.random.default_rng(3)
    outcomes = set()
    for _ in range(100):
        damaged = bytearray(data)
        for place in generator.integers(0, len(data), 4):
            damaged[place] = generator.integers(0, 256)
        (folder / "qlog").write_bytes(damaged)
        try:
            import_openpilot(folder, tmp_path / "root", width=64)
            outcomes.add("stored")
        except DataError as error:
            outcomes.add(error.findings[0].where.split(":")[0])
    assert outcomes <= {"stored", str(folder / "qlog"), str(folder / "qcamera.ts")}
    assert len(outcomes) > 1


def test_a_cut_video_names_the_first_frame_that_is_missing(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(plain, folder)
    data = (folder / "qcamera.ts").read_bytes()
    (folder / "qcamera.ts").write_bytes(data[: len(data) * 6 // 10])
    where, problem = refused(folder, tmp_path / "root")
    frame = int(where.split("frame ")[1].split(",")[0])
    assert 25 < frame < 45
    assert "qcamera.ts" in where
    assert (
        "60 frames expected" in problem
        or "cut or damaged" in problem
        or "cannot be decoded" in problem
    )
    (folder / "qcamera.ts").write_bytes(b"")
    assert "qcamera.ts" in refused(folder, tmp_path / "root")[0]


def test_a_hole_in_the_video_names_frame_and_byte(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(plain, folder)
    data = bytearray((folder / "qcamera.ts").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    (folder / "qcamera.ts").write_bytes(data)
    where, _ = refused(folder, tmp_path / "root")
    assert "qcamera.ts: frame " in where


@real
def test_commas_demo_route_is_imported_whole(comma: Path) -> None:
    segment = read_segment(comma, "a2a0ccea32023010_2023-07-27--13-01-19/0")
    meta, columns = segment.meta, segment.columns
    assert (meta.frame_count, meta.tags) == (1200, ("highway", "lane_change"))
    assert meta.missing == ("z", "pitch", "road_left")
    assert 21 < columns.speed_mps.min() < columns.speed_mps.max() < 29.5
    assert meta.vehicle.steer_ratio == pytest.approx(14.147, abs=2e-3)
    assert meta.camera is not None
    assert meta.camera.up_m == pytest.approx(1.153, abs=2e-3)
    first = columns.t_s[columns.driver == DRIVER_CODES["model"]][0]
    assert 28 < first < 29
    assert columns.t_s[columns.left_blinker][0] == pytest.approx(35.2, abs=0.3)
    # GPS bearings, once there is a fix: 322.65 degrees at 42 s, 323.29 at 59.1 s (clockwise).
    turned = np.interp(59.1, columns.t_s, columns.yaw_rad) - np.interp(
        42.0, columns.t_s, columns.yaw_rad
    )
    assert turned == pytest.approx(-np.radians(0.64), abs=0.02)
    width = columns.lane_left_m - columns.lane_right_m
    assert np.nanmedian(width) == pytest.approx(3.35, abs=0.2)


@real
def test_the_driven_path_of_the_demo_route_lies_between_the_lane_lines_in_the_picture(
    comma: Path,
) -> None:
    """Calibration, intrinsics and poses together: the lane line on the right is beside the path."""
    segment = read_segment(comma, "a2a0ccea32023010_2023-07-27--13-01-19/0")
    camera = segment.meta.camera
    assert camera is not None
    row = 654
    picture = segment.frames(row, row + 1)[0].mean(axis=2)
    lane = float(segment.columns.lane_right_m[640])
    for u, v in path_pixels(segment.columns, row, camera, lane):
        if 130 < v < 185:
            near = picture[int(v), int(u) - 12 : int(u) + 13]
            assert near.max() > picture[int(v), int(u) - 40 : int(u) - 14].max() + 15, (u, v)


@real
def test_damage_to_the_demo_route_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copyfile(
        SHARED / "qlog.bz2", folder / "qlog.bz2"
    )  # without its mode: what is shared may be read only
    video = (SHARED / "qcamera.ts").read_bytes()
    (folder / "qcamera.ts").write_bytes(video[: len(video) // 3])
    where, _ = refused(folder, tmp_path / "root")
    assert 300 < int(where.split("frame ")[1].split(",")[0]) < 500
    log = (SHARED / "qlog.bz2").read_bytes()
    (folder / "qlog.bz2").write_bytes(log[: len(log) // 3])
    assert refused(folder, tmp_path / "root")[0].endswith(f"byte {len(log) // 3}")
