"""The columns that are read from a log, against a drive whose answers are known."""

from pathlib import Path

import numpy as np
import pytest

from suites.segment import DRIVER_CODES, SegmentColumns
from workers.segments.openpilot.camera import road_camera
from workers.segments.openpilot.event_log import Channel, read_log
from workers.segments.openpilot.log_columns import columns
from workers.segments.openpilot.logged_vehicle import vehicle
from workers.segments.openpilot.tests import openpilot_route as made
from workers.segments.openpilot.tests.openpilot_route import Route, make_route


def logged(route: Route, folder: Path) -> dict[str, Channel]:
    folder.mkdir(exist_ok=True)
    (folder / "qlog").write_bytes(b"".join(event.to_bytes() for event in route.events))
    return read_log(folder / "qlog")


def read(route: Route, folder: Path) -> tuple[SegmentColumns, tuple[str, ...], tuple[str, ...]]:
    log = logged(route, folder)
    car, _ = vehicle(log)
    return columns(log, log["qRoadEncodeIdx"]["eof"].astype(np.int64), car, made.CAMERA_AHEAD_M)


def test_pose_is_reckoned_from_speed_and_odometry(tmp_path: Path) -> None:
    found, missing, _ = read(make_route(100), tmp_path)
    x, y = made.circle(found.t_s)
    np.testing.assert_allclose(found.x_m, x, atol=0.01)
    np.testing.assert_allclose(found.y_m, y, atol=0.01)
    np.testing.assert_allclose(found.yaw_rad, made.YAW_RATE * found.t_s, atol=1e-6)
    np.testing.assert_allclose(found.curvature, made.YAW_RATE / made.SPEED_MPS, rtol=1e-6)
    assert missing == ("z", "pitch", "road_right")
    assert found.roll_rad == pytest.approx(np.full(100, 0.02))


def test_slow_driving_takes_the_curvature_from_the_wheel(tmp_path: Path) -> None:
    route = make_route(20)
    for event in route.of("carState"):
        event.carState.vEgo = 1.0
    slow, _, _ = read(route, tmp_path)
    assert slow.curvature == pytest.approx(np.full(20, made.wheel_curvature(1.0)), rel=1e-5)
    _, _, notes = read(make_route(20), tmp_path)
    apart = abs(made.wheel_curvature(made.SPEED_MPS) - made.YAW_RATE / made.SPEED_MPS)
    assert any(f"differ by {apart:.1e} 1/m" in note for note in notes)


def test_a_bump_in_the_odometry_does_not_turn_the_path(tmp_path: Path) -> None:
    route = make_route(60)
    route.of("cameraOdometry")[30].cameraOdometry.rot = [0.0, 0.0, 0.3]
    found, _, notes = read(route, tmp_path)
    np.testing.assert_allclose(found.yaw_rad, made.YAW_RATE * found.t_s, atol=1e-6)
    assert any(note.startswith("1 samples of cameraOdometry") for note in notes)


def test_lanes_are_read_at_the_rear_axle_between_samples(tmp_path: Path) -> None:
    found, _, _ = read(make_route(61), tmp_path)
    np.testing.assert_allclose(found.lane_left_m, made.LANE_LEFT_M, atol=0.06)
    np.testing.assert_allclose(found.lane_right_m, made.LANE_RIGHT_M, atol=0.06)
    np.testing.assert_allclose(found.road_left_m, 6.0, atol=0.06)
    assert np.isnan(found.road_right_m).all(), "an edge that the model is unsure of"


def test_lanes_are_unknown_where_samples_disagree_or_are_unsure(tmp_path: Path) -> None:
    route = make_route(61)
    samples = route.of("modelV2")
    for line in samples[2].modelV2.laneLines:
        line.y = [value + 2.0 for value in line.y]
    samples[0].modelV2.laneLineProbs = [0.9, 0.2, 0.9, 0.1]
    found, _, _ = read(route, tmp_path)
    assert np.isnan(found.lane_left_m[1:19]).all(), "unsure at its start"
    assert np.isfinite(found.lane_right_m[1:19]).all()
    assert np.isnan(found.lane_right_m[21:]).all(), "another line two metres aside"


def test_who_drove(tmp_path: Path) -> None:
    route = make_route(120, pressed=[5, 35, 36, 52], engaged=range(30, 70), blinker=range(50, 55))
    found, _, _ = read(route, tmp_path)
    names = {code: name for name, code in DRIVER_CODES.items()}
    drove = [names[int(code)] for code in found.driver]
    assert drove[10] == drove[6] == "human"
    assert drove[33] == drove[45] == "model"
    assert drove[36] == drove[37] == "takeover", "a hand on the wheel against the model"
    assert drove[53] == "model", "the nudge that starts a lane change"
    assert drove[72] == drove[109] == "takeover"
    assert drove[115] == "human"
    assert found.left_blinker[51:55].all()
    assert not found.left_blinker[:50].any()


def test_before_the_car_is_heard_values_are_held_and_nobody_is_named(tmp_path: Path) -> None:
    route = make_route(60)
    for event in route.of("carState")[:30]:
        event.carState.canValid, event.carState.vEgo = False, 3.0
    found, _, notes = read(route, tmp_path)
    assert (found.speed_mps == made.SPEED_MPS).all()
    assert (found.driver[:30] == DRIVER_CODES["unknown"]).all()
    assert (found.driver[32:] == DRIVER_CODES["human"]).all()
    assert any("carState is valid from 1.50 s" in note for note in notes)


def test_the_lead_is_known_while_there_is_one(tmp_path: Path) -> None:
    found, _, _ = read(make_route(60), tmp_path)
    assert found.lead_distance_m[2:29] == pytest.approx(np.full(27, 30.0))
    assert np.isnan(found.lead_distance_m[31:]).all()


def test_the_mount_is_the_inverse_of_the_logged_attitude(tmp_path: Path) -> None:
    """An arrow straight ahead of the vehicle comes out where openpilot's own rotation puts it.

    rpyCalib is the vehicle in the device's forward-right-down frame.
    """
    route = make_route(2)
    roll, pitch, yaw = 0.03, 0.05, -0.08
    for event in route.of("liveCalibration"):
        event.liveCalibration.rpyCalib = [roll, pitch, yaw]
    camera, _ = road_camera(logged(route, tmp_path), 2.7, 320, 200)
    ahead_in_device = np.array(
        [np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)]
    )  # first column of Rz Ry Rx, forward-right-down
    cr, sr, cp, sp, cy, sy = (
        f(angle)
        for angle in (camera.roll_rad, camera.pitch_rad, camera.yaw_rad)
        for f in (np.cos, np.sin)
    )
    mounting = np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
    seen = mounting.T @ [1.0, 0.0, 0.0]
    np.testing.assert_allclose(seen * [1, -1, -1], ahead_in_device, atol=1e-6)


@pytest.mark.parametrize(
    "tuned, learned, holds",
    [(False, False, None), (True, False, (2.0, 0.25)), (True, True, (1.6, 0.125))],
)
def test_what_the_steering_torque_holds_is_learned_or_of_the_car_or_unknown(
    tmp_path: Path, tuned: bool, learned: bool, holds: tuple[float, float] | None
) -> None:
    route = make_route(4)
    if tuned:
        tuning = route.of("carParams")[0].carParams.lateralTuning.init("torque")
        tuning.latAccelFactor, tuning.friction = 2.0, 0.25
    if learned:
        route.events += [
            made.torque(i, factor, ok)
            for i, (factor, ok) in enumerate(((9.0, False), (1.5, True), (1.7, True)))
        ]
    found, notes = vehicle(logged(route, tmp_path))
    assert found.max_torque_rate is None, "no log tells it"
    if holds is None:
        assert (found.torque_lateral_acceleration_mps2, found.torque_friction) == (None, 0.0)
    else:
        assert found.torque_lateral_acceleration_mps2 == pytest.approx(holds[0])
        assert found.torque_friction == holds[1]
        torque = f"{holds[0] * (1 - holds[1]):.2f} m/s²"
        assert f"The steering torque holds {torque} on a level road, friction taken off." in notes
