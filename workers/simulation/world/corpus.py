"""Stored segments of the procedural world: the same bytes from the same seed."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suites.errors import DataError, Finding, SubmitterError
from suites.segment import Facts, SegmentMeta, TimeOfDay
from workers.segments.facts import motion_facts
from workers.segments.store import read_segment, write_segment
from workers.simulation.world import drive as world_drive
from workers.simulation.world.drive import STORED_CAMERA, Drive, drive_spec, make_drive
from workers.simulation.world.reduce import halved
from workers.simulation.world.route import route_spec

Frame = NDArray[np.uint8]
Depth = NDArray[np.float32]
SOURCE = "world/6"
"""To be raised with every change of what is stored: segments of another version are made again."""
CURVED_1PM, STRAIGHT_1PM = 0.002, 0.0006
STEEP_RAD = 0.025
NEAR_BEHIND_M, NEAR_AHEAD_M, NEAR_ASIDE_M = 4.0, 15.0, 6.0
TRAFFIC_STEP_S = 0.1


def route_name(seed: int, number: int) -> str:
    """`world-<seed>-<route>`: the route part of its segments' ids."""
    return f"world-{seed}-{number:03d}"


def tags_of(drive: Drive) -> tuple[str, ...]:
    """What happens in a drive, for suites to select by."""
    c = drive.columns
    spec = drive.route.spec
    bend = np.abs(c.curvature)
    curved = float(np.mean(bend > CURVED_1PM)) * drive.spec.duration_s > 2.0
    found = {
        "night": spec.night,
        "highway": spec.kind == "highway",
        "exit": drive.spec.manoeuvre == "exit",
        "lane_change": drive.spec.manoeuvre != "keep",
        "curve": curved,
        "straight": not curved and float(np.mean(bend < STRAIGHT_1PM)) > 0.6,
        "hill": float(np.abs(c.pitch_rad).max()) > STEEP_RAD,
        "near_vehicle": _near_vehicle(drive),
    }
    return tuple(sorted(tag for tag, holds in found.items() if holds))


def facts_of(drive: Drive) -> Facts:
    """Everything is known here: dry roads, no intersection, one car, light by day or night."""
    found = motion_facts(drive.columns.speed_mps, drive.columns.curvature)
    light: TimeOfDay = "night" if drive.route.spec.night else "day"
    return replace(found, time_of_day=light, weather="dry", intersection=False, platform="demo")


def _near_vehicle(drive: Drive) -> bool:
    """A moving vehicle's middle came within some metres ahead or aside, in the ego's direction."""
    states = drive.traffic.states
    log = drive.columns
    rows = np.arange(0, len(log), round(drive.spec.rate_hz * TRAFFIC_STEP_S) or 1)
    ticks = (log.t_s[rows] / TRAFFIC_STEP_S).round().astype(int)
    places = states[:, np.minimum(ticks, states.shape[1] - 1)]
    # from the world to the segment's frame, then to the ego's
    c, s = np.cos(drive.frame[3]), np.sin(drive.frame[3])
    dx, dy = places[..., 0] - drive.frame[0], places[..., 1] - drive.frame[1]
    x = c * dx + s * dy - log.x_m[rows]
    y = c * dy - s * dx - log.y_m[rows]
    c, s = np.cos(log.yaw_rad[rows]), np.sin(log.yaw_rad[rows])
    ahead = x * c + y * s
    aside = np.abs(y * c - x * s)
    near = (ahead > -NEAR_BEHIND_M) & (ahead < NEAR_AHEAD_M) & (aside < NEAR_ASIDE_M)
    return bool(near.any())


def meta_of(drive: Drive, seed: int, route: int, number: int) -> SegmentMeta:
    """The meta of a drive before it is stored (files and depth codec are the store's)."""
    return SegmentMeta(
        segment_id=f"{route_name(seed, route)}/{number}",
        route=route_name(seed, route),
        source=SOURCE,
        kind="camera",
        frame_count=len(drive.columns),
        rate_hz=drive.spec.rate_hz,
        duration_s=len(drive.columns) / drive.spec.rate_hz,
        camera=STORED_CAMERA,
        vehicle=world_drive.VEHICLE,
        depth_source="exact",
        tags=tags_of(drive),
        facts=facts_of(drive),
        notes=("procedural: world, log and traffic follow from origin",),
        origin=drive.origin,
    )


def make_segment(root: Path, seed: int, route: int, number: int) -> SegmentMeta:
    """Drive, render and store one segment; one that is there whole, of the same origin, is kept."""
    if (stored := stored_segment(root, seed, route, number)) is not None:
        return stored
    spec = route_spec(seed, route)
    drive = make_drive(spec, drive_spec(spec, seed, number))
    return store_drive(root, meta_of(drive, seed, route, number), drive)


def stored_segment(root: Path, seed: int, route: int, number: int) -> SegmentMeta | None:
    """The segment if it is there, undamaged, and of the origin that it would be made from now."""
    spec = route_spec(seed, route)
    try:
        meta = read_segment(root, f"{route_name(seed, route)}/{number}", verify=True).meta
    except DataError:
        return None
    origin = world_drive.origin_of(spec, drive_spec(spec, seed, number))
    return meta if (meta.origin, meta.source) == (origin, SOURCE) else None


def store_drive(root: Path, meta: SegmentMeta, drive: Drive) -> SegmentMeta:
    """Render every logged view and write the segment."""
    depths: list[Depth] = []

    def frames() -> Iterator[Frame]:
        for picture, depth in _pictures(drive):
            depths.append(depth)
            yield picture

    return write_segment(root, meta, drive.columns, frames(), depths)


def _pictures(drive: Drive) -> Iterator[tuple[Frame, Depth]]:
    """Each logged view with its depth at half the resolution, from the log's own poses."""
    rgb = np.empty((STORED_CAMERA.height, STORED_CAMERA.width, 3), dtype=np.uint8)
    depth = np.empty(rgb.shape[:2], dtype=np.float32)
    for row, time_s in enumerate(drive.columns.t_s.tolist()):
        pose = world_drive.logged_pose(drive, row)
        world_drive.render_pose(drive, time_s, pose, into=(rgb, depth))
        yield rgb, halved(depth)


def make_route(root: Path, seed: int, route: int, numbers: range) -> list[SegmentMeta]:
    """Segments of one route, by one process: they share its world."""
    return [make_segment(root, seed, route, number) for number in numbers]


def make_corpus(
    root: Path,
    routes: int = 20,
    segments_per_route: int = 3,
    seed: int = 0,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> list[SegmentMeta]:
    """Make what is missing of the corpus with that seed; `progress` gets (segments done, all).

    A call that was killed is completed by the next. Returns the corpus in order of route and
    number. Raises SubmitterError for numbers below 1.
    """
    _check_counts(routes=routes, segments_per_route=segments_per_route, processes=processes)
    numbers = range(segments_per_route)
    done: dict[int, list[SegmentMeta]] = {}
    for route in range(routes):
        found = (stored_segment(root, seed, route, number) for number in numbers)
        there = [meta for meta in found if meta is not None]
        if len(there) == segments_per_route:
            done[route] = there
    missing = [route for route in range(routes) if route not in done]
    for route, metas in _made(root, seed, missing, numbers, processes):
        done[route] = metas
        if progress is not None:
            progress(len(done) * segments_per_route, routes * segments_per_route)
    return [meta for route in range(routes) for meta in done[route]]


def _check_counts(**counts: int) -> None:
    wrong = {name: count for name, count in counts.items() if count < 1}
    if wrong:
        found = (Finding(n, f"at least 1 expected, found {count}") for n, count in wrong.items())
        raise SubmitterError("a corpus needs at least one of each", tuple(found))


def _made(
    root: Path, seed: int, routes: list[int], numbers: range, processes: int
) -> Iterator[tuple[int, list[SegmentMeta]]]:
    """Routes with their segments, as they get done."""
    if not routes:
        return
    spawn = multiprocessing.get_context("spawn")  # not forked: the caller may have threads
    with ProcessPoolExecutor(processes, spawn, initializer=_end_with_parent) as pool:
        jobs = {pool.submit(make_route, root, seed, route, numbers): route for route in routes}
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """Ctrl-C ends this process without a word, and so does the end of its parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
