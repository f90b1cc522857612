"""From depth that is known here and there to depth everywhere, for lidar and stereo.

It works on inverse depth (1/m, 0 is infinity), which is linear over a plane. The fill is the
least-squares surface that keeps to what is known and is smooth where the picture is (Levin,
Lischinski and Weiss 2004, Colorization using optimization). Far from anything known it settles on
the ground plane, and on infinity above the horizon.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import spsolve

from suites.segment import Camera
from workers.segments.depth.plane import ground_depth
from workers.segments.depth_codec import Depth
from workers.segments.video import Frames

NEAREST_M = 0.5
SMOOTH = 0.05
"""Weight of smoothness between two samples of one colour, against 1 for what is known."""
EDGE = 12.0
"""Difference of colour (sum over RGB) across which smoothness fades to 1/e."""
LEAST = 1e-4
"""Share of smoothness that is left across any edge."""
GROUND = 1e-4
"""Weight of the ground plane, as a share of SMOOTH."""
SAME = 0.06
"""Share by which two inverse depths of one surface may differ."""
SLOPE = 1.5
"""... beside what the road itself differs from sample to sample, and half as much again."""

Inverse = NDArray[np.float64]
"""[H, W] inverse depth 1/m, NaN where unknown."""


def filled(near: Inverse, picture: Frames, camera: Camera, width: int, height: int) -> Depth:
    """float32 [height, width] m, infinite for the sky; `near` covers the view of `picture`."""
    slack = SLOPE * camera.height / height / (camera.fy * camera.up_m)
    sparse = _reduced(near, width, height, slack).ravel()
    ground = 1.0 / ground_depth(camera, width, height).ravel().astype(np.float64)
    known = np.isfinite(sparse)
    count = height * width
    # normal equations of: known + smooth between neighbours + a little ground
    a, b, weight = _neighbours(picture, width, height)
    held = np.bincount(a, weight, count) + np.bincount(b, weight, count)
    diagonal = held + known + SMOOTH * GROUND
    places = np.concatenate([a, b]), np.concatenate([b, a])
    sides = coo_array((np.tile(-weight, 2), places), shape=(count, count))
    system = (sides + diags_array(diagonal)).tocsc()
    above_ground = spsolve(system, np.where(known, sparse - ground, 0.0))
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.clip(ground + above_ground, 0.0, 1.0 / NEAREST_M)
        depth = np.float32(1.0) / inverse.astype(np.float32)
    return depth.reshape(height, width)


def _reduced(near: Inverse, width: int, height: int, slack: float) -> Inverse:
    """[height, width]: the mean over each cell's nearest surface, NaN where nothing is known."""
    v, u = np.nonzero(np.isfinite(near))
    value = near[v, u]
    row = (2 * v + 1) * height // (2 * near.shape[0])
    column = (2 * u + 1) * width // (2 * near.shape[1])
    cell = row * width + column
    nearest = np.full(height * width, -np.inf)
    np.maximum.at(nearest, cell, value)
    front = nearest[cell] - value <= slack + SAME * nearest[cell]
    count = np.bincount(cell[front], minlength=height * width)
    total = np.bincount(cell[front], value[front], minlength=height * width)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(height, width)


def _neighbours(
    picture: Frames, width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(one, other, weight): samples side by side or one above the other, and what holds them."""
    small = Image.fromarray(picture).resize((width, height), Image.Resampling.BOX)
    colour = np.asarray(small, np.float64)
    place = np.arange(height * width).reshape(height, width)
    pairs = [
        (place[:, :-1], place[:, 1:], np.diff(colour, axis=1)),
        (place[:-1], place[1:], np.diff(colour, axis=0)),
    ]
    a, b = (np.concatenate([pair[k].ravel() for pair in pairs]) for k in (0, 1))
    apart = np.concatenate([np.abs(change).sum(axis=-1).ravel() for _, _, change in pairs])
    return a, b, SMOOTH * (np.exp(-apart / EDGE) + LEAST)
