"""How many rows go in lock-step here: what a row keeps in memory against what is free."""

import os
from pathlib import Path

import psutil

from suites.manifest import Manifest
from workers.simulation.views.chunks import CHUNK

CHUNKS = 3
"""Of decoded frames a row, at most: two at a border, and one that is being decoded."""
MARGIN = 1.6
"""Stored pixels for each pixel of the view: a quarter more in each direction."""
PIXEL_BYTES = 4 + 1 + 3
"""Of a stored frame: packed colour, float32 depth at half the size, and the decoder's own."""
DEVICE_SHARE = 0.4
"""Of a GPU's free memory; the rest is the model's, whose use is not known beforehand."""


def row_bytes(manifest: Manifest) -> int:
    """What a row with frames of its own keeps: chunks, its view, history, the graph's feed.

    The graph's own intermediate tensors are not in it.
    """
    if manifest.camera is None:
        return 4096
    pixels = manifest.camera.width * manifest.camera.height
    history = manifest.history
    kept = (history.frames - 1) * history.stride + 1
    return int(
        pixels * (CHUNKS * CHUNK * MARGIN * PIXEL_BYTES + 3 * (2 + kept) + 3 * 4 * history.frames)
    )


def rows_that_fit(free_bytes: int, each_bytes: int, most: int) -> int:
    """At least one row, at most `most`."""
    return max(1, min(most, free_bytes // each_bytes))


def free_bytes(device: str) -> int:
    """What one process may plan with on `device`. Raises MachineError where there is none.

    On the CPU one process for each core shares what is free, or what a control group leaves.
    """
    if device == "cuda":
        from numba import cuda

        from workers.simulation.views.reprojection_cuda import require_device

        require_device()
        return int(DEVICE_SHARE * cuda.current_context().get_memory_info().free)
    free = min(psutil.virtual_memory().available, group_headroom(Path("/sys/fs/cgroup")))
    return int(free / (os.cpu_count() or 1))


def group_headroom(root: Path) -> int:
    """What the control group at `root` has left; without a limit, 2^63.

    Version 2, memory.max in cgroup-v2.rst. File cache that can be dropped counts as left.
    """
    try:
        limit = (root / "memory.max").read_text().strip()
        used = int((root / "memory.current").read_text())
        stat = dict(line.split() for line in (root / "memory.stat").read_text().splitlines())
    except OSError:
        return 1 << 63
    return (
        1 << 63 if limit == "max" else max(0, int(limit) - used + int(stat.get("inactive_file", 0)))
    )
