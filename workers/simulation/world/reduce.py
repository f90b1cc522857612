"""Depth at half the resolution, without mixing what is near with what is behind it."""

import numpy as np
from numpy.typing import NDArray

from workers.simulation.world.compiled import kernel

SLACK_1PM = 0.006
"""Inverse depths of one block that differ by less are on one surface: half as much again as the road's own slope from row
to row, 1 / (fy * camera height)."""


@kernel
def halved(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """[H, W] metres to [H/2, W/2]: each sample is at the centre of its 2x2 block. Inverse depth is linear over a plane, so
    its mean over the pixels on the block's nearest surface is that surface's; a surface that has one pixel of a
    block gives way to what is behind it."""
    rows, columns = depth.shape[0] // 2, depth.shape[1] // 2
    out = np.empty((rows, columns), dtype=np.float32)
    for v in range(rows):
        for u in range(columns):
            nearest = 0.0
            for k in range(4):
                nearest = max(nearest, 1.0 / depth[2 * v + (k >> 1), 2 * u + (k & 1)])
            near, count, rest = 0.0, 0, 0.0
            for k in range(4):
                q = 1.0 / depth[2 * v + (k >> 1), 2 * u + (k & 1)]
                if nearest - q < SLACK_1PM:
                    near += q
                    count += 1
                else:
                    rest += q
            out[v, u] = count / near if count > 1 else 3.0 / rest
    return out
