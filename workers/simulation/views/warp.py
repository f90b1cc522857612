"""One logged picture and its depth, seen from a camera that stands elsewhere.

`forward`: every depth sample is splatted into the new view with a z-buffer (the nearest surface
wins, so a near vehicle lands where it belongs). What no sample reaches takes the depth of the
farther side. Then each new pixel looks its colour up in the picture, after one fixed-point step
that puts it exactly on the chosen surface. Pixels whose place in the picture is hidden behind
something nearer are in-painted from the farther side.

There to compare with: `backward` (the depth under the pixel where it was, one fixed-point
iteration, no occlusion), and it with the ground's depth (ground and infinity only).

Depth is kept as inverse depth q (1/m, 0 is infinity): it is linear over a plane, so bilinear
interpolation is exact there. With a ray r = ((u - cx)/fx, (v - cy)/fy, 1), a motion [R | t] sends
the scaled point r to R r + t q.
"""

import numpy as np
from numpy.typing import NDArray

from workers.simulation.views import warp_kernels as kernels
from workers.simulation.views.geometry import Lens, inverse
from workers.simulation.views.warp_kernels import NEAREST_M, Optics

Picture = NDArray[np.uint32]
"""[H, W] packed 0x00BBGGRR."""
Inverse = NDArray[np.float32]
"""[h, w] inverse depth 1/m; sample (i, j) is at the centre of its block of the frame's pixels."""
Motion = NDArray[np.float64]
"""[3, 4] source camera to target camera."""

NO_SURFACE = np.float32(10.0)
"""A slack beyond any inverse depth: nothing is told from what is behind it."""


def packed(frames: NDArray[np.uint8], factor: int) -> Picture:
    """RGB [n, H, W, 3] as packed [n, H/factor, W/factor]: means of factor x factor pixels."""
    n, height, width, _ = frames.shape
    out = np.empty((n, height // factor, width // factor), np.uint32)
    kernels.pack(frames, factor, out)
    return out


def inverse_depth(depth: NDArray[np.float32]) -> Inverse:
    """Metres [..., h, w] to inverse depth; infinity is 0.

    NaN, zero and negative are unknown: they take the farther of their known neighbours in the row,
    or infinity.
    """
    out = np.empty(depth.shape, np.float32)
    kernels.invert(depth.reshape(-1, depth.shape[-1]), out.reshape(-1, depth.shape[-1]))
    return out


def plane_inverse_depth(
    lens: Lens, down: NDArray[np.float64], up_m: float, height: int, width: int
) -> Inverse:
    """[h, w] of the ground plane below a camera `up_m` above it, infinity above the horizon.

    down [3]: the direction to the ground in the camera's frame (0, 1, 0 for a levelled one).
    """
    u = (np.arange(width) + 0.5) * (lens.width / width) - 0.5
    v = (np.arange(height) + 0.5) * (lens.height / height) - 0.5
    across = down[0] * (u[None, :] - lens.cx) / lens.fx
    sinks = across + down[1] * (v[:, None] - lens.cy) / lens.fy + down[2]
    return np.asarray(np.clip(sinks / up_m, 0.0, 1.0 / NEAREST_M), np.float32)


class Warp:
    """Views through `target` of pictures through `source` with depth [h, w]; of one thread."""

    def __init__(
        self, source: Lens, target: Lens, depth_shape: tuple[int, int], slack: float
    ) -> None:
        """slack: 1/m between neighbouring depth samples of one surface (the ground's own slope)."""
        self.source, self.target = source, target
        grid = np.array([source.width / depth_shape[1], source.height / depth_shape[0]], np.float32)
        step = max(grid[0] * target.fx / source.fx, grid[1] * target.fy / source.fy)
        lenses = np.array([source.numbers(), target.numbers()], np.float32)
        fine = max(1, int(np.ceil(step - 0.1)))
        self.optics = Optics(lenses, grid, np.float32(slack), fine)
        self._depth = np.empty((target.height, target.width), np.float32)

    def forward(
        self, picture: Picture, near: Inverse, motion: Motion, out: NDArray[np.uint8]
    ) -> None:
        """Into out, RGB [H, W, 3]."""
        kernels.forward(picture, near, motion, self.optics, self._depth, out)

    def backward(
        self, picture: Picture, near: Inverse, motion: Motion, out: NDArray[np.uint8]
    ) -> None:
        """As `forward`, with no z-buffer: each pixel starts from the depth where it was."""
        optics = self.optics._replace(slack=NO_SURFACE)
        kernels.same_place(near, optics, self._depth)
        back = inverse(motion).astype(np.float32)
        kernels.look_up(picture, near, self._depth, back, optics, 1, out)
