"""Depth and silhouettes are those of the world's own geometry, from any pose."""

from dataclasses import replace

import numpy as np
import pytest

from suites.segment import Camera
from workers.simulation.world.drive import (
    STORED_CAMERA,
    VEHICLE,
    Drive,
    drive_spec,
    make_drive,
    render_view,
)
from workers.simulation.world.ground import at_ground, ground_at
from workers.simulation.world.lanes import stance
from workers.simulation.world.objects import BOX, CYLINDER, HALF_LENGTH
from workers.simulation.world.pinhole import Pinhole, camera_pose, rotation_of
from workers.simulation.world.profile import Floats
from workers.simulation.world.reduce import halved
from workers.simulation.world.render import FAR_M, VIEW_M, render
from workers.simulation.world.route import route_spec

LENS = np.array([STORED_CAMERA.fx, STORED_CAMERA.fy, STORED_CAMERA.cx, STORED_CAMERA.cy])


def a_drive(route: int, number: int) -> Drive:
    spec = route_spec(0, route)
    return make_drive(spec, drive_spec(spec, 0, number))


def from_pose(drive: Drive, things: Floats, eye: Floats, rotation: Floats) -> tuple[Floats, Floats]:
    rgb, depth = np.empty((160, 320, 3), dtype=np.uint8), np.empty((160, 320), dtype=np.float32)
    view = Pinhole(eye, rotation, LENS)
    render(drive.route.ground, drive.light, things, np.zeros((0, 16)), view, rgb, depth)
    return rgb.astype(float), depth.astype(float)


def logged_eye(drive: Drive, i: int, turn: float = 0.0) -> tuple[Floats, Floats]:
    c, (x0, y0, _, yaw0) = drive.columns, drive.frame
    x = x0 + np.cos(yaw0) * c.x_m[i] - np.sin(yaw0) * c.y_m[i]
    y = y0 + np.sin(yaw0) * c.x_m[i] + np.cos(yaw0) * c.y_m[i]
    yaw = yaw0 + c.yaw_rad[i] + turn
    tilt = stance(
        drive.route.ground, np.array([x]), np.array([y]), np.array([yaw]), VEHICLE.wheelbase_m, 1.6
    )[0]
    return camera_pose(np.array([x, y, *tilt, yaw]), STORED_CAMERA)


def marched(drive: Drive, eye: Floats, ray: Floats) -> float:
    """The first crossing of a ray with the ground, found by walking along it in small steps."""
    t = np.concatenate([np.arange(0.5, 60, 0.05), np.arange(60, VIEW_M, 0.2)])
    at = eye + t[:, None] * ray
    gap = at[:, 2] - ground_at(drive.route.ground, at[:, 0].copy(), at[:, 1].copy())[:, 0]
    under = np.flatnonzero(gap <= 0)
    if len(under) == 0:
        return FAR_M
    k = under[0]
    return float(t[k - 1] + (t[k] - t[k - 1]) * gap[k - 1] / (gap[k - 1] - gap[k]))


@pytest.mark.parametrize("route, number", [(1, 1), (5, 0), (4, 1), (11, 2)])
def test_ground_depth_is_where_the_ray_first_meets_the_ground(route: int, number: int) -> None:
    drive, rng = a_drive(route, number), np.random.default_rng(route)
    for i, turn in ((0, 0.0), (120, 0.35), (200, -0.3)):
        eye, rotation = logged_eye(drive, i, turn)
        _, depth = from_pose(drive, np.zeros((0, 16)), eye, rotation)
        for u, v in zip(rng.integers(320, size=60), rng.integers(40, 160, size=60), strict=True):
            ray = (
                rotation[:, 2]
                + (u - LENS[2]) / LENS[0] * rotation[:, 0]
                + (v - LENS[3]) / LENS[1] * rotation[:, 1]
            )
            assert depth[v, u] == pytest.approx(marched(drive, eye, ray), rel=2e-4)


def test_depth_of_a_level_road_is_the_planes() -> None:
    """h f / (v - cy), but for the little that the demo's flattest road rises."""
    drive = a_drive(0, 0)
    eye, rotation = logged_eye(drive, 0)
    _, depth = from_pose(drive, np.zeros((0, 16)), eye, rotation)
    v = np.arange(110, 160)
    assert np.allclose(depth[110:, 160], STORED_CAMERA.up_m * LENS[1] / (v - LENS[3]), rtol=0.03)


def test_a_rolled_and_pitched_camera_sees_the_same_world() -> None:
    """Points that one view has at a pixel lie, with that depth, where another view's depth says."""
    drive = a_drive(1, 1)
    eye, rotation = logged_eye(drive, 50)
    _, depth = from_pose(drive, drive.things, eye, rotation)
    other = eye + np.array([0.2, -0.3, 0.25])
    tilted = rotation_of(0.06, 0.03, 0.0) @ rotation
    _, depth2 = from_pose(drive, drive.things, other, tilted)
    v, u = np.mgrid[85:160:5, 10:310:10]
    rays = np.stack([(u - LENS[2]) / LENS[0], (v - LENS[3]) / LENS[1], np.ones_like(u)], axis=-1)
    seen = ((rays * depth[v, u][..., None]) @ rotation.T + eye - other) @ tilted
    u2 = LENS[2] + LENS[0] * seen[..., 0] / seen[..., 2]
    v2 = LENS[3] + LENS[1] * seen[..., 1] / seen[..., 2]
    inside = (u2 > 1) & (u2 < 318) & (v2 > 1) & (v2 < 158) & (depth[v, u] < 60)
    error = np.abs(
        depth2[np.round(v2).astype(int) % 160, np.round(u2).astype(int) % 320] / seen[..., 2] - 1
    )[inside]
    assert inside.sum() > 300
    # Half a pixel of rounding is a few per cent on flat ground; the other view hides a little.
    assert np.median(error) < 0.01
    assert np.mean(error < 0.06) > 0.95


def thing(
    kind: int, at: Floats, rotation: Floats, half_length: float, half_width: float, height: float
) -> Floats:
    """One object, turned as the camera is."""
    row = np.zeros((1, 16))
    row[0, 0], row[0, 1:4], row[0, 4:6] = kind, at, rotation[:2, 2] / np.hypot(*rotation[:2, 2])
    row[0, HALF_LENGTH : HALF_LENGTH + 3] = half_length, half_width, height
    row[0, 9:12], row[0, 15] = 200.0, 300.0
    return row


@pytest.mark.parametrize("ahead, left", [(9.0, 2.0), (25.0, -4.0)])
def test_a_pole_stands_where_it_projects_to_with_its_depth(ahead: float, left: float) -> None:
    drive = a_drive(0, 0)
    eye, rotation = logged_eye(drive, 0)
    forward, right = rotation[:, 2], rotation[:, 0]
    foot = eye + ahead * forward - left * right
    foot[2] = ground_at(drive.route.ground, foot[:1].copy(), foot[1:2].copy())[0, 0]
    bare, _ = from_pose(drive, np.zeros((0, 16)), eye, rotation)
    rgb, depth = from_pose(drive, thing(CYLINDER, foot, rotation, 0.15, 0.15, 3.0), eye, rotation)
    middle = (foot + np.array([0.0, 0.0, 1.5]) - eye) @ rotation
    u, v = LENS[2] + LENS[0] * middle[0] / middle[2], LENS[3] + LENS[1] * middle[1] / middle[2]
    row = round(v)
    changed = np.flatnonzero(np.abs(rgb[row] - bare[row]).sum(axis=1) > 40)
    assert changed.mean() == pytest.approx(u, abs=0.6)
    assert depth[row, round(u)] == pytest.approx(middle[2] - 0.15, abs=0.05)
    touched = np.flatnonzero(np.abs(rgb - bare).sum(axis=(1, 2)) > 60)
    low, high = (
        LENS[3] + LENS[1] * ((foot + np.array([0, 0, z]) - eye) @ rotation)[1] / middle[2]
        for z in (0.0, 3.0)
    )
    assert touched.max() == pytest.approx(low, abs=1.5)
    assert touched.min() == pytest.approx(max(high, 0.0), abs=1.5)


def test_a_box_hides_what_is_behind_it_and_is_hidden_by_a_hill() -> None:
    drive = a_drive(0, 0)
    eye, rotation = logged_eye(drive, 0)
    near, far = eye + 12.0 * rotation[:, 2] - [0, 0, 1.0], eye + 20.0 * rotation[:, 2] - [0, 0, 1.0]
    both = np.concatenate(
        [thing(BOX, near, rotation, 0.5, 0.5, 2.0), thing(BOX, far, rotation, 0.5, 0.5, 2.0)]
    )
    for order in (both, both[::-1].copy()):
        _, depth = from_pose(drive, order, eye, rotation)
        assert depth[75, 159] < 12.1
    buried = thing(BOX, near - np.array([0.0, 0.0, 5.0]), rotation, 0.5, 0.5, 2.0)
    bare, _ = from_pose(drive, np.zeros((0, 16)), eye, rotation)
    assert np.array_equal(from_pose(drive, buried, eye, rotation)[0], bare)


def test_a_vehicle_beside_the_camera_is_cut_at_the_picture_not_lost() -> None:
    drive = a_drive(0, 0)
    eye, rotation = logged_eye(drive, 0)
    beside = eye - 2.5 * rotation[:, 0] - np.array([0.0, 0.0, 1.3])
    _, depth = from_pose(drive, thing(BOX, beside, rotation, 6.0, 0.9, 3.0), eye, rotation)
    assert depth[75, 0] == pytest.approx(1.6 / (LENS[2] / LENS[0]), rel=0.2)


def test_day_is_bright_and_night_is_dark_with_headlights_on_the_road() -> None:
    day, night = (
        render_view(drive, 2.0, 30.0, 0.0, 0.0)[0].astype(float)
        for drive in (a_drive(0, 0), a_drive(8, 0))
    )
    assert day[:40].mean() > 120
    assert night[:40].mean() < 25
    assert night[130:, 100:220].mean() > 40
    assert night[130:, 100:220].mean() > 2 * night[80:86, 100:220].mean()


def test_moving_one_step_changes_the_picture_little() -> None:
    """Texture is filtered by distance: between two frames the far road does not flicker."""
    drive = a_drive(0, 0)
    still = drive.traffic._replace(states=drive.traffic.states[:0], looks=drive.traffic.looks[:0])
    bare = replace(drive, things=drive.things[:0], traffic=still)
    frames = [render_view(bare, 2.0, x, 0.0, 0.0)[0].astype(float) for x in (30.0, 30.2)]
    assert np.abs(frames[1] - frames[0])[78:90].mean() < 1.2


def test_the_slope_of_the_ground_is_its_derivative() -> None:
    drive, rng, h = a_drive(1, 1), np.random.default_rng(0), 1e-4
    nodes = drive.route.main.table[rng.integers(200, 2300, 400)]
    d = rng.uniform(-60, 60, 400)
    x, y = nodes[:, 0] - d * nodes[:, 3], nodes[:, 1] + d * nodes[:, 2]
    here, east, north = (
        ground_at(drive.route.ground, x + a, y + b) for a, b in ((0, 0), (h, 0), (0, h))
    )
    error = np.hypot(
        (east[:, 0] - here[:, 0]) / h - here[:, 1], (north[:, 0] - here[:, 0]) / h - here[:, 2]
    )
    assert np.percentile(error, 95) < 2e-3
    assert at_ground.__doc__


def test_half_the_depth_keeps_planes_exact_and_edges_sharp() -> None:
    v, u = np.mgrid[0:40, 0:60]
    q = 0.01 + 0.0038 * v + 0.0002 * u
    half = halved((1 / q).astype(np.float32))
    centre = 0.01 + 0.0038 * (2 * v[:20, :30] + 0.5) + 0.0002 * (2 * u[:20, :30] + 0.5)
    assert np.allclose(half, 1 / centre, rtol=1e-5)
    step = np.where(u < 31, np.float32(5.0), np.float32(50.0)).astype(np.float32)
    assert set(np.unique(halved(step))) == {np.float32(5.0), np.float32(50.0)}
    assert (halved(step)[:, 15:17] == [5.0, 50.0]).all()
    on_the_border = np.where(u < 32, np.float32(5.0), np.float32(50.0)).astype(np.float32)
    assert (
        halved(on_the_border)[:, 15:18] == [5.0, 5.0, 50.0]
    ).all()  # one pixel beside the edge goes with the nearer side


def test_a_small_view_is_the_big_one_reduced() -> None:
    drive = a_drive(2, 0)
    c = drive.columns
    small = Camera(
        width=160,
        height=80,
        fx=100.0,
        fy=100.0,
        cx=79.5,
        cy=37.5,
        forward_m=1.4,
        left_m=0.0,
        up_m=1.3,
    )
    big = render_view(drive, 3.0, c.x_m[60], c.y_m[60], c.yaw_rad[60])[0].astype(float)
    view = render_view(drive, 3.0, c.x_m[60], c.y_m[60], c.yaw_rad[60], small)[0].astype(float)
    blocks = big.reshape(80, 2, 160, 2, 3).mean(axis=(1, 3))
    assert np.abs(view - blocks).mean() < 6.0
