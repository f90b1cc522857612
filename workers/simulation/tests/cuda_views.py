"""Run by test_warp_cuda.py in a process of its own: numba's CUDA simulator must be chosen before numba is imported.

Prints one JSON line: for every view, whether the device's bytes are the CPU's, and how many colours the view has.
"""

import json
from typing import Any

import numpy as np
from numba import cuda

from workers.simulation.geometry import Lens, between, levelled, mount
from workers.simulation.tests.analytic import CAMERA
from workers.simulation.warp import Warp, inverse_depth, plane_inverse_depth
from workers.simulation.warp_cuda import CudaWarp

SOURCE = Lens(28, 14, 16.0, 16.0, 13.5, 5.5)
EGOS = {
    "still": (0, 0, 0, 0, 0, 0), "left": (0, 1, 0, 0, 0, 0), "right, turned": (0, -1, 0, 0, 0, 0.1),
    "a turn": (0, 0, 0, 0, 0, 0.2), "all axes": (1, 0.5, 0, 0.05, 0.02, -0.1), "to the sky": (-30, 3, 0, 0, -0.5, 0),
    "into the board": (4, 0, 0, 0, 0, 0),
}  # fmt: skip
"""Rear axle, m, and roll, pitch, yaw, rad, from where the log was."""


def scenes(height: int, width: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Depths [3, height, width]: a board before a wall; holes, zeros, infinities; the same with an empty row."""
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
    pictures = np.random.default_rng(1).integers(0, 1 << 24, (3, SOURCE.height, SOURCE.width)).astype(np.uint32)
    near = inverse_depth(scenes(height, width))
    if how == "plane":
        near[:] = plane_inverse_depth(SOURCE, np.array([0.0, 1.0, 0.0]), 1.3, height, width)
    frame = (np.arange(len(EGOS)) % 3).astype(np.int32)
    still = np.zeros(6)
    motion = np.stack([between(still, mount(CAMERA), np.array(e, np.float64), levelled(CAMERA)) for e in EGOS.values()])
    place = np.arange(len(EGOS), dtype=np.int32)[::-1].copy()
    out = cuda.device_array((len(EGOS), target.height, target.width, 3), np.uint8)
    on_device = CudaWarp(warp, len(EGOS) + 1)
    run = on_device.forward if how == "forward" else on_device.backward
    run(cuda.to_device(pictures), cuda.to_device(near), frame, motion, place, out)
    found, expected = out.copy_to_host(), np.empty((target.height, target.width, 3), np.uint8)
    equal = {}
    for row, name in enumerate(EGOS):
        (warp.forward if how == "forward" else warp.backward)(pictures[frame[row]], near[frame[row]], motion[row], expected)
        equal[f"{how} {target.width}x{target.height} {name}"] = (
            found[place[row]].tobytes() == expected.tobytes(), len(np.unique(expected))
        )  # fmt: skip
    return equal


def main() -> None:
    small, fine = Lens(16, 8, 16.0, 16.0, 7.5, 3.0), Lens(12, 8, 24.0, 24.0, 5.5, 3.0)
    views = compare(small, 7, 14, "forward") | compare(fine, 7, 14, "forward")
    print(json.dumps(views | compare(small, 7, 14, "backward") | compare(small, 14, 28, "plane")))


if __name__ == "__main__":
    main()
