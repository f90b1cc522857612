"""Run by test_warp_cuda.py alone: numba's CUDA simulator must be chosen before numba is imported.

Prints one JSON line: for every view, whether the device's bytes are the CPU's, and how many colours
it has.
"""

import json
from dataclasses import replace
from typing import Any

import numpy as np
from numba import cuda

from suites.manifest import VirtualCamera
from suites.parameters import parse
from workers.simulation.road.view_protocol import Poses
from workers.simulation.tests.analytic import CAMERA, segment
from workers.simulation.views.chunks import SharedChunks
from workers.simulation.views.geometry import Lens, between, levelled, mount
from workers.simulation.views.reprojection import make_views
from workers.simulation.views.warp import Warp, inverse_depth, plane_inverse_depth
from workers.simulation.views.warp_cuda import Batch, CudaWarp, Scratch

SOURCE = Lens(28, 14, 16.0, 16.0, 13.5, 5.5)
EGOS = {
    "still": (0, 0, 0, 0, 0, 0),
    "right, turned": (0, -1, 0, 0, 0, 0.1),
    "a turn": (0, 0, 0, 0, 0, 0.2),
    "all axes": (1, 0.5, 0, 0.05, 0.02, -0.1),
    "to the sky": (-30, 3, 0, 0, -0.5, 0),
}
"""Rear axle, m, and roll, pitch, yaw, rad, from where the log was."""


def scenes(height: int, width: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Depths [3, height, width]: a board and a wall; holes, infinities; an empty row too."""
    rng = np.random.default_rng(0)
    board = np.full((height, width), 20.0, np.float32)
    board[2:5, 4:9] = 2.0
    holes = rng.uniform(3, 8, (height, width)).astype(np.float32)
    holes[rng.random(holes.shape) < 0.3] = np.nan
    holes[1], holes[2, ::2], holes[3] = 0.0, -1.0, np.inf
    torn = np.where(rng.random(holes.shape) < 0.5, holes, np.float32(40.0)).astype(np.float32)
    return np.stack([board, holes, torn])


def compare(target: Lens, height: int, width: int, how: str) -> dict[str, tuple[bool, int]]:
    warp = Warp(SOURCE, target, (height, width), 0.05)
    pictures = (
        np.random.default_rng(1)
        .integers(0, 1 << 24, (3, SOURCE.height, SOURCE.width))
        .astype(np.uint32)
    )
    near = inverse_depth(scenes(height, width))
    if how == "plane":
        near[:] = plane_inverse_depth(SOURCE, np.array([0.0, 1.0, 0.0]), 1.3, height, width)
    frame = (np.arange(len(EGOS)) % 3).astype(np.int32)
    still = np.zeros(6)
    motion = np.stack(
        [
            between(still, mount(CAMERA), np.array(e, np.float64), levelled(CAMERA))
            for e in EGOS.values()
        ]
    )
    place = np.arange(len(EGOS), dtype=np.int32)[::-1].copy()
    out = cuda.device_array((len(EGOS), target.height, target.width, 3), np.uint8)
    on_device = CudaWarp(warp, Scratch(len(EGOS) + 1, target.height, target.width))
    run = on_device.forward if how == "forward" else on_device.backward
    run(Batch(cuda.to_device(pictures), cuda.to_device(near), frame, motion, place), out)
    found, expected = out.copy_to_host(), np.empty((target.height, target.width, 3), np.uint8)
    equal = {}
    for row, name in enumerate(EGOS):
        (warp.forward if how == "forward" else warp.backward)(
            pictures[frame[row]], near[frame[row]], motion[row], expected
        )
        equal[f"{how} {target.width}x{target.height} {name}"] = (
            found[place[row]].tobytes() == expected.tobytes(),
            len(np.unique(expected)),
        )
    return equal


def compare_batches() -> dict[str, tuple[bool, int]]:
    """`Views` over two segments, across the border of a chunk; rows end on the way."""
    pictures = np.random.default_rng(2).integers(
        0, 256, (60, SOURCE.height, SOURCE.width, 3), np.uint8
    )
    depths = np.random.default_rng(3).uniform(2, 20, (60, 7, 14)).astype(np.float32)
    camera = replace(
        CAMERA, width=SOURCE.width, height=SOURCE.height, fx=16.0, fy=16.0, cx=13.5, cy=5.5
    )
    segments = [
        segment(
            name, 3.0, camera=camera, pictures=lambda i: pictures[i], depths=lambda i: depths[i]
        )
        for name in ("a", "b")
    ]
    segments[1] = replace(segments[1], meta=replace(segments[1].meta, depth_source="plane"))
    seen = VirtualCamera(width=16, height=8, fx=16.0, fy=16.0, cx=7.5, cy=3.0)
    shared, equal = SharedChunks(), {}
    on_cpu, on_device = (
        make_views(shared, segments, seen, parse({}), device) for device in ("cpu", "cuda")
    )
    for step, slots in ((18, [0, 0, 1]), (20, [0, 0, 1]), (41, [1, 0])):
        slot = np.array(slots)
        log, still = segments[0].columns, np.zeros(len(slots))
        frame = np.full(len(slots), step) - 3 * slot
        left = 0.5 * np.arange(len(slots))
        poses = Poses(
            slot=slot,
            frame=frame,
            time_s=frame / 20.0,
            x_m=log.x_m[frame] + 0.2,
            y_m=log.y_m[frame] + left,
            z_m=still,
            roll_rad=still,
            pitch_rad=still,
            yaw_rad=log.yaw_rad[frame],
        )
        expected, found = on_cpu.frames(poses), on_device.frames(poses)
        equal[f"batch at {step}"] = (
            found.tobytes() == expected.tobytes(),
            len(np.unique(expected)),
        )
    return equal


def main() -> None:
    small, fine = Lens(16, 8, 16.0, 16.0, 7.5, 3.0), Lens(12, 8, 24.0, 24.0, 5.5, 3.0)
    views = compare(small, 7, 14, "forward") | compare(fine, 7, 14, "forward")
    views |= compare_batches()
    print(json.dumps(views | compare(small, 14, 28, "backward") | compare(small, 7, 14, "plane")))


if __name__ == "__main__":
    main()
