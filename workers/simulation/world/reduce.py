"""Depth at half the resolution, without mixing what is near with what is behind it."""

import numpy as np
from numpy.typing import NDArray

from workers.simulation.world.compiled import kernel

SAME_SURFACE = 0.9
"""Inverse depths within this share of a block's nearest one are on its surface."""


@kernel
def halved(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """[H, W] metres to [H/2, W/2]: each sample is at the centre of its 2x2 block. Inverse depth is linear over a plane, so
    its mean over the pixels on the block's nearest surface is that surface's; a surface that has one pixel of a
    block gives way to what is behind it."""
    rows, columns = depth.shape[0] // 2, depth.shape[1] // 2
    out = np.empty((rows, columns), dtype=np.float32)
    for v in range(rows):
        for u in range(columns):
            nearest = min(
                min(depth[2 * v, 2 * u], depth[2 * v, 2 * u + 1]), min(depth[2 * v + 1, 2 * u], depth[2 * v + 1, 2 * u + 1])
            )
            near, near_count, rest = 0.0, 0, 0.0
            for k in range(4):
                z = depth[2 * v + (k >> 1), 2 * u + (k & 1)]
                if nearest >= SAME_SURFACE * z:
                    near += 1.0 / z
                    near_count += 1
                else:
                    rest += 1.0 / z
            out[v, u] = near_count / near if near_count > 1 else 3.0 / rest
    return out
