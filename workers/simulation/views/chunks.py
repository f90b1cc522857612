"""Decoded frames: a chunk at a time, shared by all that look at it."""

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

CHUNK = 20
"""Frames that are decoded at once: two groups of pictures of the store."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Chunk:
    """Frames that were decoded at once; arrays of the device where views are made on one."""

    pictures: NDArray[np.uint32]
    """[n, H, W] packed (warp.Picture)."""
    near: NDArray[np.float32]
    """[n, h, w] inverse depth; [1, h, w] of the ground where that is all there is."""


Stage = Callable[[NDArray[np.uint32], NDArray[np.float32]], Chunk]
"""Where decoded frames are put."""

SharedChunks = WeakValueDictionary[tuple[str, int, int, Stage], Chunk]
"""Chunks that some batch of a simulator holds now: whoever looks there next shares them.

By segment digest, reduction, number and place. It holds nothing itself, so memory is bounded by
what is looked at: at most two chunks a row (three on a device, where the next is staged ahead).
"""
