"""Depth at half the resolution, without mixing what is near with what is behind it."""

import numpy as np
from numpy.typing import NDArray

from workers.simulation.world.compiled import kernel

SLACK_1PM = 0.006
"""Inverse depths of one block that differ by less are on one surface.

Half as much again as the road's own slope from row to row, 1 / (fy * camera height).
"""


@kernel
def halved(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """[H, W] metres to [H/2, W/2]: each sample is at the centre of its 2x2 block.

    Inverse depth is linear over a plane, so its mean over the pixels on the block's nearest surface
    is that surface's. A pixel beside an edge shows some of both surfaces and is taken to be on the
    nearer one: re-projected, it then moves with what it outlines, and leaves no ghost on what is
    behind. So the nearest surface is looked for one pixel farther to both sides.
    """
    rows, columns = depth.shape[0] // 2, depth.shape[1] // 2
    out = np.empty((rows, columns), dtype=np.float32)
    for v in range(rows):
        for u in range(columns):
            total = 0.0
            count = 0
            nearest = 0.0
            for y in range(2 * v, 2 * v + 2):
                for x in range(max(2 * u - 1, 0), min(2 * u + 3, 2 * columns)):
                    nearest = max(nearest, 1.0 / depth[y, x])
            for y in range(2 * v, 2 * v + 2):
                for x in range(2 * u, 2 * u + 2):
                    q = 1.0 / depth[y, x]
                    if nearest - q < SLACK_1PM + 0.06 * nearest:
                        total += q
                        count += 1
            out[v, u] = count / total if count else 1.0 / nearest
    return out
