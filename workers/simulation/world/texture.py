"""Fine texture that does not shimmer: one tile of integer-hash noise with its mip levels."""

import math

import numpy as np
from numpy.typing import NDArray

from workers.simulation.world.compiled import device

TILE = 128
LEVELS = 8
"""128, 64 ... 1 texels wide."""

Pyramid = NDArray[np.float32]


def pyramid(seed: int = 7) -> Pyramid:
    """All levels of the tile in a row, values in [-1, 1]: white noise with some larger grain."""
    noise = np.random.default_rng(seed).uniform(-1, 1, (TILE, TILE))
    for _ in range(2):
        grain = (
            np.roll(noise, 1, 0) + np.roll(noise, 1, 1) + np.roll(noise, (1, 1), (0, 1)) + noise
        ) / 4
        noise = 0.6 * noise + 0.8 * grain
    noise /= np.abs(noise).max()
    levels = [noise]
    while levels[-1].shape[0] > 1:
        fine = levels[-1]
        # Averages of white noise fade by half a level; somewhat slower looks like asphalt.
        levels.append(
            (fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) / 4 * 1.25
        )
    return np.concatenate([level.ravel() for level in levels]).astype(np.float32)


@device
def sample(tile: Pyramid, u: float, v: float, footprint: float) -> float:
    """The tile at (u, v) texels of its finest level, bilinear, on the level of the footprint."""
    size = TILE
    start = 0
    level = 1.0
    while footprint > level and size > 1:
        start += size * size
        size >>= 1
        level *= 2.0
    u = u / level
    v = v / level
    fu, fv = math.floor(u), math.floor(v)
    i, j = int(fu), int(fv)
    u -= fu
    v -= fv
    mask = size - 1
    i0 = i & mask
    i1 = (i + 1) & mask
    j0 = start + (j & mask) * size
    j1 = start + ((j + 1) & mask) * size
    low = tile[j0 + i0] + u * (tile[j0 + i1] - tile[j0 + i0])
    high = tile[j1 + i0] + u * (tile[j1 + i1] - tile[j1 + i0])
    return float(low + v * (high - low))


@device
def covered(low: float, high: float, at: float, width: float) -> float:
    """Share of the box filter of that width around `at` that lies in [low, high]."""
    half = 0.5 * width
    return min(max((min(high, at + half) - max(low, at - half)) / width, 0.0), 1.0)


@device
def dashed(at: float, width: float, period: float, length: float) -> float:
    """Share of a box filter of that width around `at` that lies on dashes, one every `period`."""
    low = (at - 0.5 * width) / period
    high = (at + 0.5 * width) / period
    a, b = math.floor(low), math.floor(high)
    filled = (b - a) * length + min((high - b) * period, length) - min((low - a) * period, length)
    return min(max(filled / width, 0.0), 1.0)
