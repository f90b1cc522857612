"""The ways to make a view that are compared: a warp with a source of depth."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from suites.manifest import VirtualCamera
from suites.segment import DepthSource
from workers.simulation.fidelity.shots import (
    LEVELLED_MOUNT,
    LOGGED_MOUNT,
    Displacement,
    Frame,
    Shot,
)
from workers.simulation.views.geometry import Lens, between, reduction
from workers.simulation.views.warp import Inverse, Warp, inverse_depth, packed, plane_inverse_depth
from workers.simulation.world.drive import STORED_CAMERA

LENS = Lens.of(STORED_CAMERA)
ROWS, COLUMNS = LENS.height // 2, LENS.width // 2
SLACK = 1.5 * 2.0 / (LENS.fy * STORED_CAMERA.up_m)
"""As reprojection has it."""
ROUGH_SHARE, ROUGH_BLUR = 0.10, 1.5


@dataclass(frozen=True, slots=True)
class ViewSource:
    name: str
    what: str
    how: str
    """Method of Warp."""
    depth: Callable[[Shot], Inverse]
    stored: bool = False
    """The picture is taken after the video codec."""

    def view(self, shot: Shot, by: Displacement, camera: VirtualCamera) -> Frame:
        """RGB [H, W, 3] as re-projection would show it."""
        reduced = reduction(LENS, Lens.of(camera))
        warp = Warp(LENS.reduced(reduced), Lens.of(camera), (ROWS, COLUMNS), SLACK)
        out = np.empty((camera.height, camera.width, 3), np.uint8)
        picture = packed((shot.stored_picture if self.stored else shot.picture)[None], reduced)[0]
        motion = between(shot.pose, LOGGED_MOUNT, shot.displaced(by), LEVELLED_MOUNT)
        getattr(warp, self.how)(picture, self.depth(shot), motion, out)
        return out


def ground(shot: Shot) -> Inverse:
    return plane_inverse_depth(LENS, np.array([0.0, 1.0, 0.0]), STORED_CAMERA.up_m, ROWS, COLUMNS)


def rough(shot: Shot) -> Inverse:
    """What a monocular depth network is like: right within ROUGH_SHARE, with blurred edges.

    The share is one standard deviation of an error that is smooth over an eighth of the picture;
    edges are blurred by ROUGH_BLUR samples. A shot's errors are drawn from its place in the log.
    """
    rng = np.random.default_rng([shot.drive.spec.seed, shot.row])
    coarse = rng.normal(0.0, ROUGH_SHARE, (8, 16))
    wrong: NDArray[np.float64] = zoom(coarse, (ROWS / 8, COLUMNS / 16), order=1)
    blurred = gaussian_filter(np.log(np.maximum(inverse_depth(shot.depth), 1e-4)), ROUGH_BLUR)
    return np.asarray(np.exp(blurred + wrong), np.float32)


def exact(shot: Shot) -> Inverse:
    return inverse_depth(shot.depth)


def stored(shot: Shot) -> Inverse:
    return inverse_depth(shot.stored_depth)


def logged(sensor: DepthSource) -> Callable[[Shot], Inverse]:
    return lambda shot: inverse_depth(shot.sensed[sensor])


SOURCES = (
    ViewSource("exact", "exact depth, no codec, forward warp", "forward", exact),
    ViewSource("stored", "exact depth and frames as the store keeps them", "forward", stored, True),
    ViewSource("lidar", "depth from 64 lidar beams, filled", "forward", logged("lidar")),
    ViewSource("stereo", "depth from a right camera, filled", "forward", logged("stereo")),
    ViewSource("rough", "depth as rough as a network's (10 %, blurred edges)", "forward", rough),
    ViewSource("plane", "the ground plane for depth, forward warp", "forward", ground),
    ViewSource("backward", "exact depth, plain backward warp", "backward", exact),
    ViewSource("plane backward", "the ground plane, plain backward warp", "backward", ground),
)
