"""A drive: a stretch of a route with its human driver, its traffic and its log.

    drive = make_drive(route_spec(seed=0, number=3), drive_spec(route_spec(0, 3), seed=0, number=1))
    frame, depth = render_view(drive, t_s=2.0, x=40.0, y=0.5, yaw=0.02, camera=STORED_CAMERA)
    edges, lane = edges_at(drive, x, y, yaw)        # of any ego poses [n], in the segment's frame
    drive.columns                                    # the log of the human

The frame is that of suites/segment.py: origin and heading of the first logged pose, z up. The ego
is the middle of the rear axle.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from suites.segment import DRIVER_CODES, Camera, SegmentColumns, Vehicle
from workers.simulation.world.driver import Move, Path, drive_path
from workers.simulation.world.exact import arctan, cos_sin
from workers.simulation.world.lanes import lane_edges, stance
from workers.simulation.world.pinhole import Pinhole, camera_pose
from workers.simulation.world.profile import Alignment, Floats
from workers.simulation.world.render import render
from workers.simulation.world.route import LEAD_M, TAPER_M, Route, RouteSpec, build_route
from workers.simulation.world.scenery import light_of, things_of
from workers.simulation.world.shading import Light
from workers.simulation.world.traffic import TICK_S, Traffic, cars_at, lead_gap, make_traffic

View = tuple[NDArray[np.uint8], NDArray[np.float32]]
"""RGB [H, W, 3] and depth [H, W] m."""
FORMAT = "redrive.world/2"
"""Raised with every change of a drive or a view: segments of another version cannot be rebuilt."""
TRACK_M = 1.6
VEHICLE = Vehicle()
STORED_CAMERA = Camera(
    width=320,
    height=160,
    fx=200.0,
    fy=200.0,
    cx=159.5,
    cy=75.5,
    forward_m=1.4,
    left_m=0.0,
    up_m=1.3,
)
Manoeuvre = Literal["keep", "left", "right", "exit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveSpec:
    """All that a drive follows from, given its route."""

    seed: int
    start_m: float
    """Along the main road; for an exit along the ramp's reference line."""
    lane: int
    """At the start, counted from the left."""
    manoeuvre: Manoeuvre
    near_vehicle: bool
    duration_s: float
    rate_hz: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A drive with everything that is needed to render it from any ego pose."""

    route: Route
    spec: DriveSpec
    light: Light
    things: Floats
    traffic: Traffic
    frame: tuple[float, float, float, float]
    """The segment frame's x, y, z, yaw in the route's world frame."""
    columns: SegmentColumns

    @property
    def origin(self) -> dict[str, Any]:
        return origin_of(self.route.spec, self.spec)


def origin_of(route: RouteSpec, drive: DriveSpec) -> dict[str, Any]:
    """What `drive_from_origin` rebuilds a drive from, as JSON."""
    return {"world": FORMAT, "route": asdict(route), "drive": asdict(drive)}


def drive_spec(route: RouteSpec, seed: int, number: int) -> DriveSpec:
    """Stretch `number` of a route: exits and lane changes alternate, the rest is drawn."""
    rng = np.random.default_rng([seed, route.seed, number, 5])
    highway = route.kind == "highway"
    duration = round(float(rng.uniform(12.0, 15.0)), 1)
    manoeuvre: Manoeuvre = "keep"
    lane = int(rng.integers(route.lanes)) if highway else 1
    start = 180.0 + 640.0 * (number % 3) + float(rng.uniform(0.0, 60.0))
    if highway and number % 3 == 1:
        if route.exit_m is not None:
            manoeuvre = "exit"
            lane = route.lanes - 1
            start = LEAD_M - float(rng.uniform(0.0, 40.0))
        else:
            manoeuvre = "left" if lane > 0 else "right"
    elif highway and number % 3 == 2 and rng.random() < 0.6:
        manoeuvre = "right" if lane < route.lanes - 1 else "left"
    return DriveSpec(
        seed=int(rng.integers(2**31)),
        start_m=round(start, 1),
        lane=lane,
        manoeuvre=manoeuvre,
        duration_s=duration,
        near_vehicle=bool(rng.random() < 0.5) if number % 3 else True,
    )


def drive_from_origin(origin: Mapping[str, Any]) -> Drive:
    """The drive of a stored segment, from its `meta.origin`. Raises ValueError: other FORMAT."""
    if origin.get("world") != FORMAT:
        raise ValueError(
            f"this is not a segment of {FORMAT}: origin.world is {origin.get('world')!r}"
        )
    return make_drive(RouteSpec(**origin["route"]), DriveSpec(**origin["drive"]))


@lru_cache(maxsize=4)
def _world(spec: RouteSpec) -> tuple[Route, Light, Floats]:
    route = build_route(spec)
    return route, light_of(route), things_of(route)


@lru_cache(maxsize=8)
def make_drive(route_spec: RouteSpec, spec: DriveSpec) -> Drive:
    """Build the world if need be (0.2 s), let the human drive, and fill every column of the log."""
    route, light, things = _world(route_spec)
    rng = np.random.default_rng([spec.seed, 6])
    road, d, moves = _plan(route, spec, rng)
    waves = rng.uniform(6.0, 22.0, 3) * route_spec.cruise_mps
    wander = np.stack(
        [rng.uniform(0.02, 0.07, 3), 2 * np.pi / waves, rng.uniform(0, 2 * np.pi, 3)], axis=1
    )
    cruise = route_spec.cruise_mps * rng.uniform(0.93, 1.05)
    stop = min(spec.start_m + cruise * 1.04 * (spec.duration_s + 0.5), road.length_m)
    breath = (0.025, rng.uniform(0, 2 * np.pi))
    path = drive_path(road, spec.start_m, stop, d, moves, wander, cruise, breath)
    ticks = np.arange(int(spec.duration_s / TICK_S) + 3, dtype=np.float64) * TICK_S
    poses = (path.at(name, ticks) for name in ("x_m", "y_m", "yaw_rad"))
    edges, lanes = lane_edges(route.ground, *poses)
    used = {int(lane) for lane in lanes}
    traffic = make_traffic(route, rng, edges[:, 4], used, spec.lane, spec.near_vehicle)
    frame, columns = _log(route, spec, path, moves, traffic)
    return Drive(
        route=route,
        spec=spec,
        light=light,
        things=things,
        traffic=traffic,
        frame=frame,
        columns=columns,
    )


def logged_pose(drive: Drive, row: int) -> Floats:
    """[6] x, y, z, roll, pitch, yaw of a row of the log, in the segment's frame."""
    c = drive.columns
    pose = (c.x_m, c.y_m, c.z_m, c.roll_rad, c.pitch_rad, c.yaw_rad)
    return np.array([column[row] for column in pose])


def _plan(
    route: Route, spec: DriveSpec, rng: np.random.Generator
) -> tuple[Alignment, float, tuple[Move, ...]]:
    """The reference line, the lane centre at the start and the lateral moves."""
    width = route.spec.lane_width_m
    cruise = route.spec.cruise_mps
    if spec.manoeuvre == "exit":
        if route.ramp is None:
            raise ValueError("this route has no exit")
        begin = LEAD_M + TAPER_M * rng.uniform(0.6, 1.1)
        length = cruise * rng.uniform(3.6, 4.4)
        move = Move(start_m=begin, length_m=length, from_d=width, to_d=0.0)
        return route.ramp, width, (move,)
    here = route.lane_centre(spec.lane)
    if spec.manoeuvre == "keep":
        return route.main, here, ()
    to = here + (width if spec.manoeuvre == "left" else -width)
    begin = spec.start_m + cruise * spec.duration_s * rng.uniform(0.25, 0.4)
    length = cruise * rng.uniform(4.0, 5.5)
    return route.main, here, (Move(start_m=begin, length_m=length, from_d=here, to_d=to),)


def _log(
    route: Route, spec: DriveSpec, path: Path, moves: tuple[Move, ...], traffic: Traffic
) -> tuple[tuple[float, float, float, float], SegmentColumns]:
    t = np.arange(round(spec.duration_s * spec.rate_hz)) / spec.rate_hz
    x, y, yaw, s = (path.at(name, t) for name in ("x_m", "y_m", "yaw_rad", "s_m"))
    speed, curvature = path.at("speed_mps", t), path.at("curvature", t)
    tilt = stance(route.ground, x, y, yaw, VEHICLE.wheelbase_m, TRACK_M)
    edges, lane = lane_edges(route.ground, x, y, yaw)
    frame = (float(x[0]), float(y[0]), float(tilt[0, 0]), float(yaw[0]))
    c, sine = cos_sin(np.array(frame[3]))
    dx, dy = x - frame[0], y - frame[1]
    left, right = np.zeros(len(t), dtype=bool), np.zeros(len(t), dtype=bool)
    for move in moves:
        on = (s > move.start_m - 1.5 * speed) & (s < move.start_m + 0.95 * move.length_m)
        left |= on & (move.to_d > move.from_d)
        right |= on & (move.to_d < move.from_d)
    return frame, SegmentColumns(
        t_s=t,
        x_m=c * dx + sine * dy,
        y_m=c * dy - sine * dx,
        z_m=tilt[:, 0] - frame[2],
        roll_rad=tilt[:, 1],
        pitch_rad=tilt[:, 2],
        yaw_rad=yaw - frame[3],
        speed_mps=speed,
        acceleration_mps2=path.at("acceleration_mps2", t),
        curvature=curvature,
        steering_angle_rad=VEHICLE.steer_ratio
        * arctan(curvature * VEHICLE.wheelbase_m * (1 - VEHICLE.slip_factor * speed**2))
        + VEHICLE.angle_offset_rad,
        driver=np.full(len(t), DRIVER_CODES["human"], dtype=np.int64),
        left_blinker=left,
        right_blinker=right,
        lane_left_m=edges[:, 0],
        lane_right_m=edges[:, 1],
        road_left_m=edges[:, 2],
        road_right_m=edges[:, 3],
        lead_distance_m=lead_gap(route, traffic, t, edges[:, 4], lane.astype(np.float64)),
    )


def to_world(drive: Drive, x: Floats, y: Floats, yaw: Floats) -> tuple[Floats, Floats, Floats]:
    """Poses [n] of the segment's frame in the route's world frame."""
    c, s = cos_sin(np.array(drive.frame[3]))
    return drive.frame[0] + c * x - s * y, drive.frame[1] + s * x + c * y, yaw + drive.frame[3]


def edges_at(drive: Drive, x: Floats, y: Floats, yaw: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Edges and lane of ego poses [n] in the segment's frame.

    Edges are [n, 4] lane_left_m, lane_right_m, road_left_m, road_right_m as in SegmentColumns; the
    lane [n] is counted from the left.
    """
    edges, lane = lane_edges(drive.route.ground, *to_world(drive, x, y, yaw))
    return edges[:, :4], lane


def render_view(
    drive: Drive,
    t_s: float,
    x: float,
    y: float,
    yaw: float,
    camera: Camera = STORED_CAMERA,
    *,
    tilt: tuple[float, float, float] | None = None,
    into: View | None = None,
) -> View:
    """What a camera on the ego sees at a time: RGB [H, W, 3] and depth [H, W] along the axis, m.

    The sky is 1000 m away. The ego's pose is in the segment's frame; z, roll and pitch follow the
    ground unless `tilt` gives them. `into` is overwritten, where it is given.
    """
    rows, columns = camera.height, camera.width
    rgb, depth = into or (
        np.empty((rows, columns, 3), dtype=np.uint8),
        np.empty((rows, columns), dtype=np.float32),
    )
    wx, wy, wyaw = to_world(drive, np.array([x]), np.array([y]), np.array([yaw]))
    if tilt is None:
        z, roll, pitch = stance(drive.route.ground, wx, wy, wyaw, VEHICLE.wheelbase_m, TRACK_M)[0]
    else:
        z, roll, pitch = tilt[0] + drive.frame[2], tilt[1], tilt[2]
    eye, rotation = camera_pose(np.array([wx[0], wy[0], z, roll, pitch, wyaw[0]]), camera)
    view = Pinhole(eye, rotation, np.array([camera.fx, camera.fy, camera.cx, camera.cy]))
    cars = cars_at(drive.traffic, t_s)
    render(drive.route.ground, drive.light, drive.things, cars, view, rgb, depth)
    return rgb, depth


def render_pose(
    drive: Drive, t_s: float, pose: Floats, camera: Camera = STORED_CAMERA, into: View | None = None
) -> View:
    """`render_view` from a whole pose [6] of the segment's frame, as `logged_pose` gives it."""
    x, y, z, roll, pitch, yaw = (float(v) for v in pose)
    return render_view(drive, t_s, x, y, yaw, camera, tilt=(z, roll, pitch), into=into)
