"""The warps of warp.py on a CUDA device, for many views at once: the same functions of one pixel.

A thread has one depth sample or one pixel. Where the CPU walks along a row or a column, because a
pixel depends on the one before it, a thread walks along one row or column of one view: a batch has
thousands of them.

On a device the compiler may fuse a multiplication and an addition. So views differ from the CPU's
in last bits, and by more in the few pixels where a depth lies on the edge of a tolerance: results
name the device in their execution class. Under numba's CUDA simulator (NUMBA_ENABLE_CUDASIM=1) the
views are the CPU's to the bit.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from workers.simulation.views import warp_kernels as pixel
from workers.simulation.views.geometry import inverse
from workers.simulation.views.warp import NO_SURFACE, Warp
from workers.simulation.views.warp_kernels import EMPTY, ONE, ZERO

THREADS = 64
"""Of a block."""


def _device(function: Any) -> Any:
    """A function that warp_kernels.py compiled for the CPU, compiled for the device."""
    return cuda.jit(device=True)(function.py_func)


_between_samples = _device(pixel.between_samples)
_blended = _device(pixel.blended)
_cell = _device(pixel.cell)
_closed = _device(pixel.closed)
_fill = _device(pixel.fill)
_in_paint = _device(pixel.in_paint)
_pixel_rays = _device(pixel.pixel_rays)
_project = _device(pixel.project)
_rays = _device(pixel.rays)
_row_to_copy = _device(pixel.row_to_copy)
_same_sample = _device(pixel.same_sample)
_sample_place = _device(pixel.sample_place)
_sample_ray = _device(pixel.sample_ray)
_sample_rays = _device(pixel.sample_rays)
_sample_rows = _device(pixel.sample_rows)
_share = _device(pixel.share)
_surface = _device(pixel.surface)
_tap = _device(pixel.tap)
_unpacked = _device(pixel.unpacked)


class Scratch:
    """Room on the device for at most `rows` views of [height, width]; one for all made in turn."""

    def __init__(self, rows: int, height: int, width: int) -> None:
        shape = (rows, height, width)
        self.depth = cuda.device_array(shape, np.float32)
        self.colour = cuda.device_array(shape, np.uint32)
        self.hidden = cuda.device_array(shape, np.bool_)


class Batch(NamedTuple):
    """B views to make of frames that are on the device."""

    pictures: Any
    """[n, H, W] on the device, as `near`."""
    near: Any
    """[n, h, w], or [1, h, w]: one for all."""
    frame: NDArray[np.int32]
    """[B] of which frame each view is."""
    motion: NDArray[np.float64]
    """[B, 3, 4] as `Warp.forward` takes it."""
    place: NDArray[np.int32]
    """[B] where in the output each view is written."""


class CudaWarp:
    """As `warp`, for many views at once. out: [R, height, width, 3] on the device."""

    def __init__(self, warp: Warp, scratch: Scratch) -> None:
        self._optics = warp.optics
        self._scratch = scratch
        self._source, self._target = (tuple(lens) for lens in warp.optics.lenses)

    def forward(self, batch: Batch, out: Any) -> None:
        """`Warp.forward` of every view."""
        frame = cuda.to_device(batch.frame)
        near = batch.near
        optics = self._optics
        there = cuda.to_device(batch.motion.astype(np.float32))
        depth = self._scratch.depth[: len(batch.frame)]
        _, rows, columns = depth.shape
        _, height, width = near.shape
        fine, slack = optics.fine, optics.slack
        samples = ((height - 1) * fine + 1) * ((width - 1) * fine + 1)
        lenses = (self._source, self._target)
        grid = optics.grid
        _clear[_grid(rows * columns, frame)](depth)
        _splat[_grid(samples, frame)](
            near, frame, there, *lenses, grid[0], grid[1], slack, fine, depth
        )
        _fill_rows[_grid(rows, frame)](depth, slack)
        _copy_rows[_grid(columns, frame)](depth)
        _close_across[_grid(rows, frame)](depth, slack)
        _close_down[_grid(columns, frame)](depth, slack)
        turned = np.abs(batch.motion[:, :, 3]).max(axis=1) < 1e-6  # a rotation needs no depth
        self._look_up(batch, frame, np.where(turned, 0, 1), slack, out)

    def backward(self, batch: Batch, out: Any) -> None:
        """`Warp.backward` of every view."""
        frame = cuda.to_device(batch.frame)
        grid = self._optics.grid
        depth = self._scratch.depth[: len(batch.frame)]
        pixels = depth.shape[1] * depth.shape[2]
        _same_place[_grid(pixels, frame)](
            batch.near, frame, self._source, self._target, grid[0], grid[1], depth
        )
        self._look_up(batch, frame, np.ones(len(frame)), NO_SURFACE, out)

    def _look_up(
        self, batch: Batch, frame: Any, steps: NDArray[Any], slack: np.float32, out: Any
    ) -> None:
        count = len(batch.frame)
        grid = self._optics.grid
        room = self._scratch
        depth, colour, hidden = (a[:count] for a in (room.depth, room.colour, room.hidden))
        back = cuda.to_device(np.stack([inverse(m) for m in batch.motion]).astype(np.float32))
        pixels = depth.shape[1] * depth.shape[2]
        _colours[_grid(pixels, frame)](
            batch.pictures,
            batch.near,
            frame,
            depth,
            back,
            self._source,
            self._target,
            ONE / grid[0],
            ONE / grid[1],
            slack,
            cuda.to_device(steps.astype(np.int32)),
            colour,
            hidden,
        )
        _paint_rows[_grid(depth.shape[1], frame)](colour, depth, hidden)
        _unpack[_grid(pixels, frame)](colour, cuda.to_device(batch.place), out)


def _grid(count: int, views: NDArray[Any]) -> tuple[tuple[int, int], int]:
    """Blocks and threads of a kernel with `count` threads for each view."""
    return (-(-count // THREADS), len(views)), THREADS


@cuda.jit
def _clear(depth):  # type: ignore[no-untyped-def]
    pixel, b = cuda.grid(2)
    if pixel < depth.shape[1] * depth.shape[2]:
        depth[b, pixel // depth.shape[2], pixel % depth.shape[2]] = EMPTY


@cuda.jit
def _splat(  # type: ignore[no-untyped-def]  # noqa: PLR0913  (a kernel's arrays)
    near, frame, motion, source, target, grid_u, grid_v, slack, fine, depth
):
    """The z-buffer keeps the largest inverse depth in whatever order: always the same bits."""
    number, b = cuda.grid(2)
    height, width = near.shape[1], near.shape[2]
    count = (width - 1) * fine + 1
    if number >= count * ((height - 1) * fine + 1):
        return
    samples = near[frame[b] % len(near)]
    i = number % count
    j, below, part = _sample_rows(number // count, fine, height)
    left = i // fine
    along = np.float32(i % fine) * (ONE / np.float32(fine))
    right = min(left + 1, width - 1)
    a = _between_samples(samples[j, left], samples[below, left], part, slack)
    c = _between_samples(samples[j, right], samples[below, right], part, slack)
    scale, shift = _sample_rays(fine, grid_u, source[0], source[2])
    line = _rays(motion[b], _sample_ray(j, part, grid_v, source[1], source[3]))
    u, v, q, _ = _project(
        line, target, np.float32(i) * scale + shift, _between_samples(a, c, along, slack)
    )
    columns = depth.shape[2]
    spot = _cell(u, v, np.float32(columns), np.float32(depth.shape[1]))
    if spot >= 0:
        cuda.atomic.max(depth, (b, spot // columns, spot % columns), q)


@cuda.jit
def _fill_rows(depth, slack):  # type: ignore[no-untyped-def]
    v, b = cuda.grid(2)
    if v < depth.shape[1]:
        _fill(depth[b, v], slack)


@cuda.jit
def _copy_rows(depth):  # type: ignore[no-untyped-def]
    """A row is empty in all of its columns or in none, so each column sees for itself."""
    u, b = cuda.grid(2)
    if u < depth.shape[2]:
        for v in range(depth.shape[1]):
            if depth[b, v, u] == EMPTY:
                depth[b, v, u] = depth[b, _row_to_copy(depth[b], v, u), u]


@cuda.jit
def _close_across(depth, slack):  # type: ignore[no-untyped-def]
    v, b = cuda.grid(2)
    if v < depth.shape[1]:
        for u in range(1, depth.shape[2] - 1):
            depth[b, v, u] = _closed(depth[b, v, u - 1], depth[b, v, u], depth[b, v, u + 1], slack)


@cuda.jit
def _close_down(depth, slack):  # type: ignore[no-untyped-def]
    u, b = cuda.grid(2)
    if u < depth.shape[2]:
        for v in range(1, depth.shape[1] - 1):
            depth[b, v, u] = _closed(depth[b, v - 1, u], depth[b, v, u], depth[b, v + 1, u], slack)


@cuda.jit
def _same_place(near, frame, source, target, grid_u, grid_v, depth):  # type: ignore[no-untyped-def]
    pixel, b = cuda.grid(2)
    if pixel < depth.shape[1] * depth.shape[2]:
        v = pixel // depth.shape[2]
        u = pixel % depth.shape[2]
        i = _same_sample(u, target[0], target[2], source[0], source[2], grid_u, near.shape[2])
        j = _same_sample(v, target[1], target[3], source[1], source[3], grid_v, near.shape[1])
        depth[b, v, u] = near[frame[b] % len(near), j, i]


@cuda.jit
def _colours(  # type: ignore[no-untyped-def]  # noqa: PLR0913  (a kernel's arrays)
    pictures, near, frame, depth, motion, source, target, to_i, to_j, slack, steps, colour, hidden
):
    """steps [B]: how often the depth is corrected; 0 where it is taken as infinite."""
    pixel, b = cuda.grid(2)
    if pixel >= depth.shape[1] * depth.shape[2]:
        return
    v = pixel // depth.shape[2]
    u = pixel % depth.shape[2]
    samples = near[frame[b] % len(near)]
    picture = pictures[frame[b]]
    scale, shift = _pixel_rays(target[0], target[2])
    x = np.float32(u) * scale + shift
    bundle = _rays(motion[b], (np.float32(v) - target[3]) / target[1])
    q = depth[b, v, u] if steps[b] > 0 else ZERO
    hidden[b, v, u] = False
    from_u, from_v, from_q, z = _project(bundle, source, x, q)
    for _ in range(steps[b]):
        i, a = _tap(_sample_place(from_u, to_i), np.float32(samples.shape[1] - 1))
        j, c = _tap(_sample_place(from_v, to_j), np.float32(samples.shape[0] - 1))
        found, tolerance = _surface(
            samples[j, i], samples[j, i + 1], samples[j + 1, i], samples[j + 1, i + 1], a, c, slack
        )
        hidden[b, v, u] = found - from_q > tolerance
        if abs(found - from_q) <= tolerance:
            q = found * z
        from_u, from_v, from_q, z = _project(bundle, source, x, q)
    depth[b, v, u] = q
    i, a = _tap(from_u, np.float32(picture.shape[1] - 1))
    j, c = _tap(from_v, np.float32(picture.shape[0] - 1))
    colour[b, v, u] = _blended(
        picture[j, i],
        picture[j, i + 1],
        picture[j + 1, i],
        picture[j + 1, i + 1],
        _share(a),
        _share(c),
    )


@cuda.jit
def _paint_rows(colour, depth, hidden):  # type: ignore[no-untyped-def]
    v, b = cuda.grid(2)
    if v < depth.shape[1]:
        _in_paint(colour[b, v], depth[b, v], hidden[b, v])


@cuda.jit
def _unpack(colour, place, out):  # type: ignore[no-untyped-def]
    pixel, b = cuda.grid(2)
    if pixel < colour.shape[1] * colour.shape[2]:
        v = pixel // colour.shape[2]
        u = pixel % colour.shape[2]
        red, green, blue = _unpacked(colour[b, v, u])
        out[place[b], v, u, 0], out[place[b], v, u, 1], out[place[b], v, u, 2] = red, green, blue
