"""One logged picture and its depth, seen from a camera that stands elsewhere.

`forward`: every depth sample is splatted into the new view with a z-buffer (the nearest surface wins, so a near vehicle
lands where it belongs); what no sample reaches takes the depth of the farther side; then each new pixel looks its colour
up in the picture, after one fixed-point step that puts it exactly on the chosen surface. Pixels whose place in the
picture is hidden behind something nearer are in-painted from the farther side. `backward` (the depth under the pixel
where it was, one fixed-point iteration, no occlusion) and `plane` (ground and infinity only) are there to compare with.

Depth is kept as inverse depth q (1/m, 0 is infinity): it is linear over a plane, so bilinear interpolation is exact
there. With a ray r = ((u - cx)/fx, (v - cy)/fy, 1), a motion [R | t] sends the scaled point r to R r + t q.

Loops run over row buffers, coordinates, gather and blend apart, so that the compiler vectorises them; float32, no
fastmath: equal inputs give equal bytes.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workers.simulation.geometry import Lens, inverse

Picture = NDArray[np.uint32]
"""[H, W] packed 0x00BBGGRR."""
Inverse = NDArray[np.float32]
"""[h, w] inverse depth 1/m; sample (i, j) is at the centre of its block of the stored frame's pixels."""

EMPTY = np.float32(-1.0)
NEAREST_M = 0.5
FRINGE = 3
"""Pixels behind an edge that may show some of what stands before it."""
SAME = np.float32(0.06)
"""Two inverse depths that differ by this share, or by SLACK, lie on one surface."""


def packed(frames: NDArray[np.uint8], factor: int) -> Picture:
    """RGB [n, H, W, 3] as packed [n, H/factor, W/factor], each pixel the mean of factor x factor."""
    n, height, width, _ = frames.shape
    out = np.empty((n, height // factor, width // factor), np.uint32)
    _pack(frames, factor, out)
    return out


def inverse_depth(depth: NDArray[np.float32]) -> Inverse:
    """Metres [..., h, w] to inverse depth: infinity is 0; NaN, zero and negative are unknown and take the farther of
    their known neighbours in the row, or infinity."""
    out = np.empty(depth.shape, np.float32)
    _invert(depth.reshape(-1, depth.shape[-1]), out.reshape(-1, depth.shape[-1]))
    return out


def plane_inverse_depth(lens: Lens, down: NDArray[np.float64], up_m: float, height: int, width: int) -> Inverse:
    """[h, w] of the ground plane below a camera `up_m` above it, infinity above the horizon. down [3]: the direction to
    the ground in the camera's frame (0, 1, 0 for a levelled one)."""
    u = (np.arange(width) + 0.5) * (lens.width / width) - 0.5
    v = (np.arange(height) + 0.5) * (lens.height / height) - 0.5
    sinks = down[0] * (u[None, :] - lens.cx) / lens.fx + down[1] * (v[:, None] - lens.cy) / lens.fy + down[2]
    return np.asarray(np.clip(sinks / up_m, 0.0, 1.0 / NEAREST_M), np.float32)


class Warp:
    """Views through `target` of pictures taken through `source` with depth [h, w]; holds the scratch of one thread."""

    def __init__(self, source: Lens, target: Lens, depth_shape: tuple[int, int], slack: float) -> None:
        """slack: 1/m between neighbouring depth samples of one surface (the ground's own slope)."""
        self.source, self.target, self.slack = source, target, np.float32(slack)
        self._lenses = np.array([source.numbers(), target.numbers()], np.float32)
        self._grid = np.array([source.width / depth_shape[1], source.height / depth_shape[0]], np.float32)
        step = max(self._grid[0] * target.fx / source.fx, self._grid[1] * target.fy / source.fy)
        self._fine = max(1, int(np.ceil(step - 0.1)))
        self._depth = np.empty((target.height, target.width), np.float32)
        self._row = np.empty((6, max(target.width, depth_shape[1] * self._fine + 1)), np.float32)

    def forward(self, picture: Picture, near: Inverse, motion: NDArray[np.float64], out: NDArray[np.uint8]) -> None:
        """motion [3, 4]: source camera to target camera; out RGB [H, W, 3]."""
        there, back = motion.astype(np.float32), inverse(motion).astype(np.float32)
        if np.abs(motion[:, 3]).max() < 1e-6:  # a rotation needs no depth
            self._depth[:] = 0.0
            _look_up(picture, near, self._depth, back, self._lenses, self._grid, self.slack, 0, False, self._row, out)
            return
        _splat(near, there, self._lenses, self._grid, self.slack, self._fine, self._row, self._depth)
        _mend(self._depth, self.slack)
        _look_up(picture, near, self._depth, back, self._lenses, self._grid, self.slack, 1, True, self._row, out)

    def backward(self, picture: Picture, near: Inverse, motion: NDArray[np.float64], out: NDArray[np.uint8]) -> None:
        """As `forward`, with no z-buffer: each pixel starts from the depth where it was."""
        back = inverse(motion).astype(np.float32)
        _same_place(near, self._lenses, self._grid, self._depth)
        _look_up(picture, near, self._depth, back, self._lenses, self._grid, np.float32(10.0), 1, False, self._row, out)

    def plane(self, picture: Picture, ground: Inverse, motion: NDArray[np.float64], out: NDArray[np.uint8]) -> None:
        """As `backward` with the ground's depth [h, w] instead of the scene's."""
        self.backward(picture, ground, motion, out)


@njit(cache=True, nogil=True)
def _pack(frames, factor, out):  # type: ignore[no-untyped-def]
    """Bytes are summed along a row of output first, whatever they are of, and only then taken apart."""
    count, height, width = out.shape
    area, half = np.uint32(factor * factor), np.uint32(factor * factor // 2)
    lines = frames.reshape(count, frames.shape[1], -1)
    total = np.empty(frames.shape[2] * 3, np.uint32)
    one, two = np.uint32(8), np.uint32(16)
    for n in range(count):
        for v in range(height):
            for k in range(len(total)):
                total[k] = lines[n, v * factor, k]
            for y in range(v * factor + 1, (v + 1) * factor):
                for k in range(len(total)):
                    total[k] += lines[n, y, k]
            if factor == 1:  # the common factors without a division
                for u in range(width):
                    out[n, v, u] = total[3 * u] | total[3 * u + 1] << one | total[3 * u + 2] << two
                continue
            for u in range(width):
                first = 3 * factor * u
                red, green, blue = half, half, half
                for k in range(first, first + 3 * factor, 3):
                    red, green, blue = red + total[k], green + total[k + 1], blue + total[k + 2]
                if factor == 2:
                    red, green, blue = red >> np.uint32(2), green >> np.uint32(2), blue >> np.uint32(2)
                else:
                    red, green, blue = red // area, green // area, blue // area
                out[n, v, u] = red | green << one | blue << two


@njit(cache=True, nogil=True)
def _invert(depth, out):  # type: ignore[no-untyped-def]
    one, least = np.float32(1.0), np.float32(NEAREST_M)
    for j in range(depth.shape[0]):
        for i in range(depth.shape[1]):
            d = depth[j, i]
            out[j, i] = one / max(d, least) if d > 0 else EMPTY
        _fill(out[j], EMPTY, EMPTY)
        if out[j, 0] == EMPTY:
            out[j] = np.float32(0.0)


@njit(cache=True, nogil=True)
def _fill(row, slack, same):  # type: ignore[no-untyped-def]
    """Runs of EMPTY in a row take the farther of their two sides; between two of one surface (slack >= 0) they are
    interpolated. A row without any value stays as it is."""
    width = len(row)
    u = 0
    while u < width:
        if row[u] != EMPTY:
            u += 1
            continue
        start = u
        while u < width and row[u] == EMPTY:
            u += 1
        if start == 0 and u == width:
            return
        left = row[start - 1] if start > 0 else row[u]
        right = row[u] if u < width else left
        far = min(left, right)
        if slack >= 0 and abs(left - right) <= slack + same * max(left, right):
            share = (right - left) / np.float32(u - start + 1)
            for k in range(start, u):
                row[k] = left + share * np.float32(k - start + 1)
        else:
            row[start:u] = far


@njit(cache=True, nogil=True)
def _splat(near, motion, lenses, grid, slack, fine, row, depth):  # type: ignore[no-untyped-def]
    height, width = near.shape
    rows, columns = depth.shape
    fx, fy, cx, cy = lenses[0, 0], lenses[0, 1], lenses[0, 2], lenses[0, 3]
    to_fx, to_fy, to_cx, to_cy = lenses[1, 0], lenses[1, 1], lenses[1, 2], lenses[1, 3]
    half, one, least = np.float32(0.5), np.float32(1.0), np.float32(0.05)
    step = one / np.float32(fine)
    tall, fast, to_q = row[0], row[1], row[2]
    spot, flat = np.empty(row.shape[1], np.int32), depth.reshape(-1)
    far_u, far_v, columns = np.float32(columns), np.float32(rows), np.int32(columns)
    count = (width - 1) * fine + 1
    depth[:] = EMPTY
    for line in range((height - 1) * fine + 1):
        j, part = line // fine, np.float32(line % fine) * step
        upper, lower = near[j], near[min(j + 1, height - 1)]
        for i in range(width):
            a, b = upper[i], lower[i]
            smooth = abs(a - b) <= slack + SAME * max(a, b)
            tall[i] = a + part * (b - a) if smooth else (a if part < half else b)
        if fine == 1:
            fast = tall
        else:
            for i in range(width - 1):
                a, b = tall[i], tall[i + 1]
                smooth = abs(a - b) <= slack + SAME * max(a, b)
                for k in range(fine):
                    along = np.float32(k) * step
                    fast[i * fine + k] = a + along * (b - a) if smooth else (a if along < half else b)
            fast[count - 1] = tall[width - 1]
        y = ((np.float32(j) + part + half) * grid[1] - half - cy) / fy
        x0, y0, z0 = motion[0, 1] * y + motion[0, 2], motion[1, 1] * y + motion[1, 2], motion[2, 1] * y + motion[2, 2]
        scale, shift = grid[0] * step / fx, (half * grid[0] - half - cx) / fx
        for i in range(count):
            x, q = np.float32(i) * scale + shift, fast[i]
            z = max(motion[2, 0] * x + z0 + motion[2, 3] * q, least)
            over = one / z
            across = to_fx * (motion[0, 0] * x + x0 + motion[0, 3] * q) * over + to_cx + half
            down = to_fy * (motion[1, 0] * x + y0 + motion[1, 3] * q) * over + to_cy + half
            inside = across >= 0 and down >= 0 and across < far_u and down < far_v
            spot[i] = np.int32(down) * columns + np.int32(across) if inside else np.int32(-1)
            to_q[i] = q * over
        for i in range(count):
            if spot[i] >= 0 and flat[spot[i]] < to_q[i]:
                flat[spot[i]] = to_q[i]


@njit(cache=True, nogil=True)
def _mend(depth, slack):  # type: ignore[no-untyped-def]
    """Holes take the farther side; the background that shows through a crack of a stretched surface is closed."""
    rows, columns = depth.shape
    for v in range(rows):
        _fill(depth[v], slack, SAME)
    for v in range(rows):  # a row that no sample reached takes the nearest one that has samples
        if depth[v, 0] == EMPTY:
            for away in range(1, rows):
                if v - away >= 0 and depth[v - away, 0] != EMPTY:
                    depth[v] = depth[v - away]
                    break
                if v + away < rows and depth[v + away, 0] != EMPTY:
                    depth[v] = depth[v + away]
                    break
    for v in range(rows):
        for u in range(1, columns - 1):
            a, q, b = depth[v, u - 1], depth[v, u], depth[v, u + 1]
            least = min(a, b)
            if q + slack + SAME * least < least and abs(a - b) <= slack + SAME * max(a, b):
                depth[v, u] = (a + b) * np.float32(0.5)
    for v in range(1, rows - 1):
        for u in range(columns):
            a, q, b = depth[v - 1, u], depth[v, u], depth[v + 1, u]
            least = min(a, b)
            if q + slack + SAME * least < least and abs(a - b) <= slack + SAME * max(a, b):
                depth[v, u] = (a + b) * np.float32(0.5)


@njit(cache=True, nogil=True)
def _same_place(near, lenses, grid, depth):  # type: ignore[no-untyped-def]
    """The source's inverse depth in the target's directions, both cameras taken to look the same way."""
    half = np.float32(0.5)
    columns = np.empty(depth.shape[1], np.int32)
    for u in range(depth.shape[1]):
        x = (np.float32(u) - lenses[1, 2]) / lenses[1, 0] * lenses[0, 0] + lenses[0, 2]
        columns[u] = min(max(int((x + half) / grid[0]), 0), near.shape[1] - 1)
    for v in range(depth.shape[0]):
        y = (np.float32(v) - lenses[1, 3]) / lenses[1, 1] * lenses[0, 1] + lenses[0, 3]
        line = near[min(max(int((y + half) / grid[1]), 0), near.shape[0] - 1)]
        for u in range(depth.shape[1]):
            depth[v, u] = line[columns[u]]


@njit(cache=True, nogil=True)
def _look_up(picture, near, depth, motion, lenses, grid, slack, steps, hide, row, out):  # type: ignore[no-untyped-def]
    """Colours of the target's pixels, whose inverse depth is `depth`; motion: target camera to source camera."""
    height, width = picture.shape
    rows, columns = depth.shape
    fx, fy, cx, cy = lenses[0, 0], lenses[0, 1], lenses[0, 2], lenses[0, 3]
    half, one, least, whole = np.float32(0.5), np.float32(1.0), np.float32(0.05), np.float32(256.0)
    far_u, far_v = np.float32(width - 1), np.float32(height - 1)
    last_i, last_j = np.float32(near.shape[1] - 1), np.float32(near.shape[0] - 1)
    wide, most_i, most_j = np.int32(near.shape[1]), np.float32(near.shape[1] - 2), np.float32(near.shape[0] - 2)
    to_i, to_j = one / grid[0], one / grid[1]
    corner, flat_near = np.empty((4, columns), np.float32), near.reshape(-1)
    from_u, from_v, from_q, scaled = row[0], row[1], row[2], row[3]
    at, blend = np.empty(columns, np.int32), np.empty((2, columns), np.uint32)
    tap, hidden, fringe = np.empty((4, columns), np.uint32), np.zeros(columns, np.bool_), np.zeros(columns, np.bool_)
    low, high = np.uint32(0x00FF00FF), np.uint32(0x0000FF00)
    low_round, high_round = np.uint32(0x00800080), np.uint32(0x00008000)
    flat = picture.reshape(-1)
    for v in range(rows):
        line = depth[v]
        y = (np.float32(v) - lenses[1, 3]) / lenses[1, 1]
        x0, y0, z0 = motion[0, 1] * y + motion[0, 2], motion[1, 1] * y + motion[1, 2], motion[2, 1] * y + motion[2, 2]
        scale, shift = one / lenses[1, 0], -lenses[1, 2] / lenses[1, 0]
        for turn in range(steps + 1):
            for u in range(columns):
                x, q = np.float32(u) * scale + shift, line[u]
                z = max(motion[2, 0] * x + z0 + motion[2, 3] * q, least)
                over = one / z
                from_u[u] = fx * (motion[0, 0] * x + x0 + motion[0, 3] * q) * over + cx
                from_v[u] = fy * (motion[1, 0] * x + y0 + motion[1, 3] * q) * over + cy
                from_q[u], scaled[u] = q * over, z
            if turn == steps:
                break
            for u in range(columns):
                a = min(max((from_u[u] + half) * to_i - half, np.float32(0.0)), last_i)
                b = min(max((from_v[u] + half) * to_j - half, np.float32(0.0)), last_j)
                i, j = np.int32(min(a, most_i)), np.int32(min(b, most_j))
                at[u], from_u[u], from_v[u] = j * wide + i, a - np.float32(i), b - np.float32(j)
            for u in range(columns):
                k = at[u]
                corner[0, u], corner[1, u] = flat_near[k], flat_near[k + 1]
                corner[2, u], corner[3, u] = flat_near[k + wide], flat_near[k + wide + 1]
            for u in range(columns):
                a, b, q00, q01, q10, q11 = from_u[u], from_v[u], corner[0, u], corner[1, u], corner[2, u], corner[3, u]
                nearest = max(max(q00, q01), max(q10, q11))
                tolerance = slack + SAME * nearest
                apart = max(max(abs(q00 - q01), abs(q10 - q11)), max(abs(q00 - q10), abs(q01 - q11)))
                top, bottom = q00 + (q01 - q00) * a, q10 + (q11 - q10) * a
                upper, lower = q01 if a >= half else q00, q11 if a >= half else q10
                side = lower if b >= half else upper
                found = top + (bottom - top) * b if apart <= tolerance else side
                off = found - from_q[u]
                hidden[u] = hide and off > tolerance
                # A picture's pixel behind an edge has some of the colour of what stands before it.
                fringe[u] = hide and nearest - from_q[u] > tolerance
                line[u] = found * scaled[u] if abs(off) <= tolerance else line[u]
        for u in range(columns):
            a, b = min(max(from_u[u], np.float32(0.0)), far_u), min(max(from_v[u], np.float32(0.0)), far_v)
            i, j = np.int32(min(a, far_u - one)), np.int32(min(b, far_v - one))
            at[u] = j * np.int32(width) + i
            blend[0, u] = np.uint32((a - np.float32(i)) * whole + half)
            blend[1, u] = np.uint32((b - np.float32(j)) * whole + half)
        for u in range(columns):
            k = at[u]
            tap[0, u], tap[1, u], tap[2, u], tap[3, u] = flat[k], flat[k + 1], flat[k + width], flat[k + width + 1]
        for u in range(columns):
            a, b = blend[0, u], blend[1, u]
            c, d = np.uint32(256) - a, np.uint32(256) - b
            # Two channels in one word: red and blue together, green alone.
            top = (((tap[0, u] & low) * c + (tap[1, u] & low) * a + low_round) >> np.uint32(8)) & low
            bottom = (((tap[2, u] & low) * c + (tap[3, u] & low) * a + low_round) >> np.uint32(8)) & low
            both = ((top * d + bottom * b + low_round) >> np.uint32(8)) & low
            g_top = (((tap[0, u] & high) >> np.uint32(8)) * c + ((tap[1, u] & high) >> np.uint32(8)) * a) * d
            g_bottom = (((tap[2, u] & high) >> np.uint32(8)) * c + ((tap[3, u] & high) >> np.uint32(8)) * a) * b
            tap[0, u] = both | ((g_top + g_bottom + high_round) >> np.uint32(8)) & high
        if hide:
            _in_paint(tap[0], line, hidden, fringe)
        for u in range(columns):
            colour = tap[0, u]
            out[v, u, 0] = colour & np.uint32(255)
            out[v, u, 1] = (colour >> np.uint32(8)) & np.uint32(255)
            out[v, u, 2] = (colour >> np.uint32(16)) & np.uint32(255)


@njit(cache=True, nogil=True)
def _in_paint(colours, line, hidden, fringe):  # type: ignore[no-untyped-def]
    """Runs of hidden pixels, and the fringe that they end in, repeat the first clean pixel on their farther side."""
    width = len(colours)
    u = 0
    while u < width:
        if not hidden[u]:
            u += 1
            continue
        start = u
        while u < width and hidden[u]:
            u += 1
        if start == 0 and u == width:
            return
        stop = u
        if start > 0 and (u == width or line[start - 1] <= line[u]):
            low = start - 1
            while low > 0 and start - low < FRINGE and fringe[low] and not hidden[low - 1]:
                low -= 1
            colour = colours[low]
            start = low
        else:
            high = stop
            while high < width - 1 and high - stop < FRINGE and fringe[high] and not hidden[high + 1]:
                high += 1
            colour = colours[high]
            stop = high
        for k in range(start, stop):
            colours[k] = colour
