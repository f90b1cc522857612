"""The log of a procedural drive agrees with itself, with the road and with the pictures."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from suites.identity import canonical_json, digest
from suites.segment import Camera
from workers.simulation.world.drive import (
    FORMAT,
    STORED_CAMERA,
    TRACK_M,
    VEHICLE,
    Drive,
    drive_from_origin,
    drive_spec,
    edges_at,
    make_drive,
    render_view,
    to_world,
)
from workers.simulation.world.ground import AWAY, ground_at
from workers.simulation.world.lanes import stance
from workers.simulation.world.profile import Floats
from workers.simulation.world.route import build_route, route_spec
from workers.simulation.world.traffic import FRONT_M, Traffic

SITUATIONS = {
    "straight": (0, 0),
    "exit": (0, 1),
    "hill": (1, 1),
    "curve": (2, 0),
    "night": (3, 1),
    "country": (5, 1),
}


def a_drive(name: str) -> Drive:
    route, number = SITUATIONS[name]
    spec = route_spec(0, route)
    return make_drive(spec, drive_spec(spec, 0, number))


def emptied(drive: Drive) -> Drive:
    """The same ground with nothing on it."""
    none = Traffic(
        drive.traffic.states[:0],
        drive.traffic.looks[:0],
        drive.traffic.stations[:0],
        drive.traffic.offsets[:0],
    )
    return replace(drive, things=drive.things[:0], traffic=none)


@pytest.mark.parametrize("name", SITUATIONS)
def test_position_follows_from_heading_speed_and_curvature(name: str) -> None:
    c = a_drive(name).columns
    dt = np.diff(c.t_s)
    middle = (c.yaw_rad[1:] + c.yaw_rad[:-1]) / 2
    speed = (c.speed_mps[1:] + c.speed_mps[:-1]) / 2
    assert np.abs(np.diff(c.x_m) - speed * np.cos(middle) * dt).max() < 1e-3
    assert np.abs(np.diff(c.y_m) - speed * np.sin(middle) * dt).max() < 1e-3
    turned = (c.curvature * c.speed_mps)[1:] / 2 + (c.curvature * c.speed_mps)[:-1] / 2
    assert np.abs(np.diff(c.yaw_rad) - turned * dt).max() < 1e-4
    assert (
        np.abs(
            np.diff(c.speed_mps) - (c.acceleration_mps2[1:] + c.acceleration_mps2[:-1]) / 2 * dt
        ).max()
        < 5e-3
    )
    wheel = (
        np.tan((c.steering_angle_rad - VEHICLE.angle_offset_rad) / VEHICLE.steer_ratio)
        / VEHICLE.wheelbase_m
    )
    assert np.allclose(wheel, c.curvature, atol=1e-12)


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_human_drives_smoothly_and_within_the_lane(name: str) -> None:
    drive = a_drive(name)
    c = drive.columns
    assert c.speed_mps.min() >= 12.0
    assert c.speed_mps.max() <= 32.0
    assert np.abs(c.acceleration_mps2).max() < 2.0
    assert np.abs(c.curvature * c.speed_mps**2).max() < 3.5
    assert np.all(c.lane_left_m >= -1e-6)
    assert np.all(c.lane_right_m <= 1e-6)
    assert np.all(c.road_left_m > c.lane_left_m - 1e-6)
    assert np.all(c.road_right_m < c.lane_right_m + 1e-6)
    assert np.allclose(c.lane_left_m - c.lane_right_m, drive.route.spec.lane_width_m, atol=0.05)
    assert c.x_m[0] == c.y_m[0] == c.z_m[0] == c.yaw_rad[0] == 0.0
    if drive.spec.manoeuvre == "keep":
        assert np.abs(c.lane_left_m + c.lane_right_m).max() / 2 < 0.25


def test_an_exit_crosses_one_line_with_the_blinker_on_and_leaves_the_road() -> None:
    drive = a_drive("exit")
    c = drive.columns
    (crossing,) = np.flatnonzero(np.abs(np.diff(c.lane_left_m)) > 1.0)
    assert c.lane_right_m[crossing] == pytest.approx(0.0, abs=0.2)
    assert c.right_blinker[crossing]
    assert not c.left_blinker.any()
    assert not c.right_blinker[0]
    assert np.flatnonzero(c.right_blinker)[0] * 0.05 < crossing * 0.05 - 1.0
    _, lanes = edges_at(drive, c.x_m, c.y_m, c.yaw_rad)
    assert lanes[0] == drive.route.spec.lanes - 1
    assert lanes[-1] == drive.route.spec.lanes


def test_a_lane_change_ends_in_the_next_lane() -> None:
    drive = a_drive("hill")
    assert drive.spec.manoeuvre == "right"
    c = drive.columns
    _, lanes = edges_at(drive, c.x_m, c.y_m, c.yaw_rad)
    assert lanes[-1] == lanes[0] + 1
    assert np.isin(lanes, (lanes[0], lanes[-1])).all()
    assert c.right_blinker.any()


def test_edges_of_a_displaced_ego_move_by_the_displacement() -> None:
    drive = a_drive("country")
    c = drive.columns
    at, _ = edges_at(
        drive, c.x_m - 0.7 * np.sin(c.yaw_rad), c.y_m + 0.7 * np.cos(c.yaw_rad), c.yaw_rad
    )
    logged = np.stack([c.lane_left_m, c.lane_right_m, c.road_left_m, c.road_right_m], axis=1)
    assert np.allclose(at, logged - 0.7, atol=1e-3)


def test_lane_edges_are_where_the_lines_are_painted() -> None:
    """Seen straight from above, the middle of each painted edge line is at the logged distance."""
    drive = emptied(a_drive("country"))
    c = drive.columns
    above = Camera(
        width=1200,
        height=9,
        fx=1000.0,
        fy=1000.0,
        cx=600.0,
        cy=4.0,
        forward_m=0.0,
        left_m=0.0,
        up_m=10.0,
        pitch_rad=np.pi / 2,
    )
    for i in range(0, len(c), 40):
        tilt = float(c.z_m[i]), 0.0, 0.0
        rgb, depth = render_view(drive, 0.0, c.x_m[i], c.y_m[i], c.yaw_rad[i], above, tilt=tilt)
        row, scale = rgb[4].astype(float).sum(axis=1), depth[4] / 1000.0
        aside = (600.0 - np.arange(1200)) * scale
        half = drive.route.spec.lane_width_m
        right_line = np.abs(aside - c.lane_right_m[i]) < 0.3
        left_line = np.abs(aside - (c.lane_left_m[i] + half)) < 0.3
        for line, where in ((right_line, c.lane_right_m[i]), (left_line, c.lane_left_m[i] + half)):
            bright = line & (row > 480)
            assert 0.08 < bright.sum() * scale.mean() < 0.25
            assert aside[bright].mean() == pytest.approx(where, abs=0.02)


def test_lead_distance_is_the_depth_of_the_car_ahead() -> None:
    """The gap is from the front bumper, the camera sits some metres behind it."""
    drive = a_drive("country")
    c = drive.columns
    i = 60
    _, depth = render_view(drive, float(c.t_s[i]), c.x_m[i], c.y_m[i], c.yaw_rad[i])
    lead = int(
        np.argmin(
            np.abs(
                drive.traffic.stations[:, 30]
                - drive.traffic.looks[:, 0]
                - c.lead_distance_m[i]
                - FRONT_M
                - ego_station(drive, i)
            )
        )
    )
    state = drive.traffic.states[lead, 30]
    x, y, yaw = to_world(drive, c.x_m[i : i + 1], c.y_m[i : i + 1], c.yaw_rad[i : i + 1])
    ahead = (state[0] - x[0]) * np.cos(yaw[0]) + (state[1] - y[0]) * np.sin(yaw[0])
    left = (state[1] - y[0]) * np.cos(yaw[0]) - (state[0] - x[0]) * np.sin(yaw[0])
    column = round(STORED_CAMERA.cx - STORED_CAMERA.fx * left / ahead)
    row = round(STORED_CAMERA.cy + STORED_CAMERA.fy * 0.7 / ahead)
    assert depth[row, column] + STORED_CAMERA.forward_m - FRONT_M == pytest.approx(
        c.lead_distance_m[i], abs=0.4
    )


def ego_station(drive: Drive, i: int) -> float:
    c = drive.columns
    x, y, _ = to_world(drive, c.x_m[i : i + 1], c.y_m[i : i + 1], c.yaw_rad[i : i + 1])
    return float(ground_at(drive.route.ground, x, y)[0, 3])


@pytest.mark.parametrize("name", ["hill", "exit"])
def test_the_vehicle_stands_on_the_ground(name: str) -> None:
    drive = a_drive(name)
    c = drive.columns
    tilt = stance(
        drive.route.ground, *to_world(drive, c.x_m, c.y_m, c.yaw_rad), VEHICLE.wheelbase_m, TRACK_M
    )
    tilt[:, 0] -= drive.frame[2]
    assert np.allclose(tilt, np.stack([c.z_m, c.roll_rad, c.pitch_rad], axis=1), atol=1e-9)
    rise = np.diff(c.z_m) / np.hypot(np.diff(c.x_m), np.diff(c.y_m))
    # Between frames a metre apart and axles 2.7 m apart the grade changes a little.
    assert np.abs(rise + np.tan((c.pitch_rad[1:] + c.pitch_rad[:-1]) / 2)).max() < 6e-3
    assert np.abs(c.pitch_rad).max() > 0.015


def test_a_drive_is_rebuilt_exactly_from_its_origin() -> None:
    first = a_drive("night")
    make_drive.cache_clear()
    build_route.cache_clear()
    again = drive_from_origin(json.loads(canonical_json(first.origin)))
    assert again is not first
    for f in fields(first.columns):
        assert getattr(first.columns, f.name).tobytes() == getattr(again.columns, f.name).tobytes()
    pictures = [render_view(d, 3.0, 50.0, 0.4, 0.01) for d in (first, again)]
    assert digest(pictures[0][0].tobytes()) == digest(pictures[1][0].tobytes())
    assert digest(pictures[0][1].tobytes()) == digest(pictures[1][1].tobytes())


def test_another_worlds_version_is_refused() -> None:
    with pytest.raises(ValueError, match="not a segment of redrive"):
        drive_from_origin({"world": "redrive.world/0"})


def test_no_ramp_comes_back_to_its_road() -> None:
    for number in (0, 4, 6, 10, 12, 16, 18):
        route = build_route(route_spec(0, number))
        assert route.ramp is not None
        apart = route.ramp.table[int(route.ground.gore) + 160 :]
        nearest = min(
            float(np.hypot(route.main.table[:, 0] - x, route.main.table[:, 1] - y).min())
            for x, y in apart[::10, :2]
        )
        assert nearest > 15.0


def test_the_exit_lane_begins_beside_the_road() -> None:
    """Up to the gore the ramp's left edge is the main road's right one."""
    route = build_route(route_spec(0, 0))
    assert route.ramp is not None
    s = np.arange(5, int(route.ground.gore) - 25, 10)
    x, y = route.ramp.table[s, 0].copy(), route.ramp.table[s, 1].copy()
    found: Floats = ground_at(route.ground, x, y)
    edge = -(route.spec.lanes + 1) / 2 * route.spec.lane_width_m
    assert np.all(found[:, 6] < AWAY)
    assert np.abs(found[:, 4] - edge).max() < 0.02
    assert np.abs(found[:, 5] - s).max() < 0.02


def test_the_world_is_the_one_of_its_version() -> None:
    """When this fails the world has changed: raise drive.FORMAT, for it rebuilds other segments."""
    spec = route_spec(0, 4)
    drive = make_drive(spec, drive_spec(spec, 0, 1))
    c = drive.columns
    rgb, depth = render_view(drive, 5.0, c.x_m[100], c.y_m[100] + 0.3, c.yaw_rad[100])
    log = (
        c.x_m[-1],
        c.y_m[-1],
        c.speed_mps.mean(),
        1e4 * np.abs(c.curvature).mean(),
        c.lane_left_m.mean(),
    )
    assert FORMAT == "redrive.world/2"
    assert np.allclose(log, (356.6523, -0.428, 26.3877, 12.1066, 1.7536), atol=1e-4)
    assert (rgb.mean(), rgb.std()) == pytest.approx((136.8977, 46.4839), abs=0.02)
    assert (1 / depth).mean() == pytest.approx(0.0872273, abs=1e-6)
