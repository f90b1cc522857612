"""One logged picture and its depth, seen from a camera that stands elsewhere.

`forward`: every depth sample is splatted into the new view with a z-buffer (the nearest surface wins, so a near vehicle
lands where it belongs); what no sample reaches takes the depth of the farther side; then each new pixel looks its colour
up in the picture, after one fixed-point step that puts it exactly on the chosen surface. Pixels whose place in the
picture is hidden behind something nearer are in-painted from the farther side. `backward` (the depth under the pixel
where it was, one fixed-point iteration, no occlusion) and `plane` (ground and infinity only) are there to compare with.

Depth is kept as inverse depth q (1/m, 0 is infinity): it is linear over a plane, so bilinear interpolation is exact
there. With a ray r = ((u - cx)/fx, (v - cy)/fy, 1), a motion [R | t] sends the scaled point r to R r + t q.

The arithmetic is a set of functions of one pixel (or of one row); numba compiles them for the CPU here and for CUDA in
warp_cuda.py. They stand in one file with the CPU's loops because numba's cache on disk sees no change in another. Those
loops run over row buffers, coordinates, gather and blend apart, so that the compiler vectorises them; float32, no
fastmath: equal inputs give equal bytes.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workers.simulation.views.geometry import Lens, inverse, inverse_into

Picture = NDArray[np.uint32]
"""[H, W] packed 0x00BBGGRR."""
Inverse = NDArray[np.float32]
"""[h, w] inverse depth 1/m; sample (i, j) is at the centre of its block of the stored frame's pixels."""

EMPTY = np.float32(-1.0)
HALF, ONE, ZERO = np.float32(0.5), np.float32(1.0), np.float32(0.0)
LEAST = np.float32(0.05)
"""Of the scaled z: what lies behind the camera is drawn from just before it."""
NEAREST_M = 0.5
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


def plane_inverse_depth(
    lens: Lens, down: NDArray[np.float64], up_m: float, height: int, width: int
) -> Inverse:
    """[h, w] of the ground plane below a camera `up_m` above it, infinity above the horizon. down [3]: the direction to
    the ground in the camera's frame (0, 1, 0 for a levelled one)."""
    u = (np.arange(width) + 0.5) * (lens.width / width) - 0.5
    v = (np.arange(height) + 0.5) * (lens.height / height) - 0.5
    sinks = (
        down[0] * (u[None, :] - lens.cx) / lens.fx
        + down[1] * (v[:, None] - lens.cy) / lens.fy
        + down[2]
    )
    return np.asarray(np.clip(sinks / up_m, 0.0, 1.0 / NEAREST_M), np.float32)


class Warp:
    """Views through `target` of pictures taken through `source` with depth [h, w]; holds the scratch of one thread."""

    def __init__(
        self, source: Lens, target: Lens, depth_shape: tuple[int, int], slack: float
    ) -> None:
        """slack: 1/m between neighbouring depth samples of one surface (the ground's own slope)."""
        self.source, self.target, self.slack = source, target, np.float32(slack)
        self._lenses = np.array([source.numbers(), target.numbers()], np.float32)
        self.grid = np.array(
            [source.width / depth_shape[1], source.height / depth_shape[0]], np.float32
        )
        step = max(self.grid[0] * target.fx / source.fx, self.grid[1] * target.fy / source.fy)
        self.fine = max(1, int(np.ceil(step - 0.1)))
        self._depth = np.empty((target.height, target.width), np.float32)
        self._row = np.empty((6, max(target.width, depth_shape[1] * self.fine + 1)), np.float32)

    def forward(
        self, picture: Picture, near: Inverse, motion: NDArray[np.float64], out: NDArray[np.uint8]
    ) -> None:
        """motion [3, 4]: source camera to target camera; out RGB [H, W, 3]."""
        _forward(
            picture,
            near,
            motion,
            self._lenses,
            self.grid,
            self.slack,
            self.fine,
            self._row,
            self._depth,
            out,
        )

    def backward(
        self, picture: Picture, near: Inverse, motion: NDArray[np.float64], out: NDArray[np.uint8]
    ) -> None:
        """As `forward`, with no z-buffer: each pixel starts from the depth where it was."""
        back = inverse(motion).astype(np.float32)
        _same_place(near, self._lenses, self.grid, self._depth)
        _look_up(
            picture,
            near,
            self._depth,
            back,
            self._lenses,
            self.grid,
            np.float32(10.0),
            1,
            False,
            self._row,
            out,
        )

    def plane(
        self, picture: Picture, ground: Inverse, motion: NDArray[np.float64], out: NDArray[np.uint8]
    ) -> None:
        """As `backward` with the ground's depth [h, w] instead of the scene's."""
        self.backward(picture, ground, motion, out)


@njit(cache=True, nogil=True)
def _forward(picture, near, motion, lenses, grid, slack, fine, row, depth, out):  # type: ignore[no-untyped-def]
    home = np.empty((3, 4))
    inverse_into(motion, home)
    there, back = motion.astype(np.float32), home.astype(np.float32)
    if np.abs(motion[:, 3]).max() < 1e-6:  # a rotation needs no depth
        depth[:] = ZERO
        _look_up(picture, near, depth, back, lenses, grid, slack, 0, False, row, out)
        return
    _splat(near, there, lenses, grid, slack, fine, row, depth)
    _mend(depth, slack)
    _look_up(picture, near, depth, back, lenses, grid, slack, 1, True, row, out)


@njit(cache=True, nogil=True)
def _pack(frames, factor, out):  # type: ignore[no-untyped-def]
    """Bytes are summed along a row of output first, whatever they are of, and only then taken apart. 16 bits hold the sum of
    257 of them."""
    count, height, width = out.shape
    area, half = np.uint32(factor * factor), np.uint32(factor * factor // 2)
    lines = frames.reshape(count, frames.shape[1], -1)
    total, mean = np.empty(frames.shape[2] * 3, np.uint16), np.empty(frames.shape[2] * 3, np.uint16)
    one, two, rounding = np.uint32(8), np.uint32(16), np.uint16(2)
    for n in range(count):
        for v in range(height):
            for k in range(len(total)):
                total[k] = lines[n, v * factor, k]
            for y in range(v * factor + 1, (v + 1) * factor):
                for k in range(len(total)):
                    total[k] += lines[n, y, k]
            if (
                factor == 1
            ):  # the common factors without a division, at a stride that the compiler knows
                for u in range(width):
                    out[n, v, u] = total[3 * u] | total[3 * u + 1] << one | total[3 * u + 2] << two
                continue
            if factor == 2:
                for k in range(len(total) - 3):
                    mean[k] = np.uint16(total[k] + total[k + 3] + rounding) >> 2
                for u in range(width):
                    out[n, v, u] = mean[6 * u] | mean[6 * u + 1] << one | mean[6 * u + 2] << two
                continue
            for u in range(width):
                first = 3 * factor * u
                red, green, blue = half, half, half
                for k in range(first, first + 3 * factor, 3):
                    red, green, blue = red + total[k], green + total[k + 1], blue + total[k + 2]
                out[n, v, u] = red // area | (green // area) << one | (blue // area) << two


@njit(cache=True, nogil=True)
def _invert(depth, out):  # type: ignore[no-untyped-def]
    for j in range(depth.shape[0]):
        for i in range(depth.shape[1]):
            out[j, i] = inverted(depth[j, i])
        fill(out[j], EMPTY)
        if out[j, 0] == EMPTY:
            out[j] = ZERO


@njit(cache=True, nogil=True)
def inverted(depth):  # type: ignore[no-untyped-def]
    """Inverse of one depth in metres; EMPTY where it is unknown."""
    return ONE / max(depth, np.float32(NEAREST_M)) if depth > 0 else EMPTY


@njit(cache=True, nogil=True)
def one_surface(a, b, slack):  # type: ignore[no-untyped-def]
    """Whether two neighbouring inverse depths may lie on one surface."""
    return abs(a - b) <= slack + SAME * max(a, b)


@njit(cache=True, nogil=True)
def fill(row, slack):  # type: ignore[no-untyped-def]
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
        if slack >= 0 and one_surface(left, right, slack):
            share = (right - left) / np.float32(u - start + 1)
            for k in range(start, u):
                row[k] = left + share * np.float32(k - start + 1)
        else:
            for k in range(start, u):
                row[k] = far


@njit(cache=True, nogil=True)
def without_hole(a, q, b, slack):  # type: ignore[no-untyped-def]
    """q, or what `fill` makes of it where it alone is EMPTY between a and b."""
    inside = a + (b - a) * HALF if one_surface(a, b, slack) else min(a, b)
    return inside if q == EMPTY and a != EMPTY and b != EMPTY else q


@njit(cache=True, nogil=True)
def lens_of(lenses, which):  # type: ignore[no-untyped-def]
    """(fx, fy, cx, cy) of the source (0) or the target (1)."""
    return lenses[which, 0], lenses[which, 1], lenses[which, 2], lenses[which, 3]


@njit(cache=True, nogil=True)
def rays(motion, y):  # type: ignore[no-untyped-def]
    """What [R | t] makes of the rays (x, y, 1) of one row: constant part, part by x, part by inverse depth; x, y, z each."""
    return (
        motion[0, 1] * y + motion[0, 2],
        motion[1, 1] * y + motion[1, 2],
        motion[2, 1] * y + motion[2, 2],
        motion[0, 0],
        motion[1, 0],
        motion[2, 0],
        motion[0, 3],
        motion[1, 3],
        motion[2, 3],
    )


@njit(cache=True, nogil=True)
def project(line, lens, x, q):  # type: ignore[no-untyped-def]
    """The ray x of a row (`rays`) at inverse depth q as the other camera (`lens_of`) has it: u, v, inverse depth, scaled z."""
    z = max(line[5] * x + line[2] + line[8] * q, LEAST)
    over = ONE / z
    u = lens[0] * (line[3] * x + line[0] + line[6] * q) * over + lens[2]
    v = lens[1] * (line[4] * x + line[1] + line[7] * q) * over + lens[3]
    return u, v, q * over, z


@njit(cache=True, nogil=True)
def sample_rows(line, fine, height):  # type: ignore[no-untyped-def]
    """The two rows of depth samples that the fine row `line` lies between, and its part of the way."""
    j = line // fine
    return j, min(j + 1, height - 1), np.float32(line % fine) * (ONE / np.float32(fine))


@njit(cache=True, nogil=True)
def sample_ray(j, part, grid, f, c):  # type: ignore[no-untyped-def]
    """Where the centre of sample j + part looks, along one axis of the source."""
    return ((np.float32(j) + part + HALF) * grid - HALF - c) / f


@njit(cache=True, nogil=True)
def sample_rays(fine, grid, f, c):  # type: ignore[no-untyped-def]
    """(scale, shift) from the number of a fine sample to where it looks."""
    return grid * (ONE / np.float32(fine)) / f, (HALF * grid - HALF - c) / f


@njit(cache=True, nogil=True)
def pixel_rays(f, c):  # type: ignore[no-untyped-def]
    """(scale, shift) from the number of a pixel to where it looks."""
    return ONE / f, -c / f


@njit(cache=True, nogil=True)
def between_samples(a, b, part, slack):  # type: ignore[no-untyped-def]
    """Linear on one surface, else the nearer sample of the two: no wall is drawn between a car and what is behind it."""
    return a + part * (b - a) if one_surface(a, b, slack) else (a if part < HALF else b)


@njit(cache=True, nogil=True)
def cell(u, v, columns, rows):  # type: ignore[no-untyped-def]
    """The number of the pixel that (u, v) falls into, or -1 outside. columns, rows: float32."""
    across, down = u + HALF, v + HALF
    inside = across >= 0 and down >= 0 and across < columns and down < rows
    return np.int32(down) * np.int32(columns) + np.int32(across) if inside else np.int32(-1)


@njit(cache=True, nogil=True)
def _splat(near, motion, lenses, grid, slack, fine, row, depth):  # type: ignore[no-untyped-def]
    height, width = near.shape
    rows, columns = np.float32(depth.shape[0]), np.float32(depth.shape[1])
    source, target = lens_of(lenses, 0), lens_of(lenses, 1)
    scale, shift = sample_rays(fine, grid[0], source[0], source[2])
    tall, fast, to_q = row[0], row[1], row[2]
    spot, flat = np.empty(row.shape[1], np.int32), depth.reshape(-1)
    across = np.empty((fine, width), np.float32)
    for k in range(fine):
        for i in range(width):
            across[k, i] = np.float32(i * fine + k) * scale + shift
    depth[:] = EMPTY
    for number in range((height - 1) * fine + 1):
        j, below, part = sample_rows(number, fine, height)
        upper, lower = near[j], near[below]
        for i in range(width):
            tall[i] = between_samples(upper[i], lower[i], part, slack)
        line = rays(motion, sample_ray(j, part, grid[1], source[1], source[3]))
        for k in range(fine):  # samples a part k of the way between two: a loop without strides
            count = width if k == 0 else width - 1
            for i in range(width):
                fast[i] = tall[i]
            for i in range(width - 1 if k > 0 else 0):
                fast[i] = between_samples(
                    tall[i], tall[i + 1], np.float32(k) * (ONE / np.float32(fine)), slack
                )
            for i in range(count):
                u, v, to_q[i], _ = project(line, target, across[k, i], fast[i])
                spot[i] = cell(u, v, columns, rows)
            for i in range(count):
                if spot[i] >= 0 and flat[spot[i]] < to_q[i]:
                    flat[spot[i]] = to_q[i]


@njit(cache=True, nogil=True)
def row_to_copy(depth, v, u):  # type: ignore[no-untyped-def]
    """For a row v that no sample reached, the nearest one (as seen in column u) that has samples; v itself if none has."""
    for away in range(1, len(depth)):
        if v - away >= 0 and depth[v - away, u] != EMPTY:
            return v - away
        if v + away < len(depth) and depth[v + away, u] != EMPTY:
            return v + away
    return v


@njit(cache=True, nogil=True)
def cracked(a, q, b, slack):  # type: ignore[no-untyped-def]
    """Whether q is the background that shows through a crack between a and b of a stretched surface."""
    least = min(a, b)
    return q + slack + SAME * least < least and one_surface(a, b, slack)


@njit(cache=True, nogil=True)
def closed(a, q, b, slack):  # type: ignore[no-untyped-def]
    """q, or what it should be in a crack (`cracked`)."""
    return (a + b) * HALF if cracked(a, q, b, slack) else q


@njit(cache=True, nogil=True)
def _mend(depth, slack):  # type: ignore[no-untyped-def]
    """Holes take the farther side; the background that shows through a crack of a stretched surface is closed."""
    rows, columns = depth.shape
    whole = np.empty(columns, np.float32)
    for v in range(rows):
        line, first, last = depth[v], columns, -1
        for u in range(
            1, columns - 1
        ):  # nine holes of ten are one pixel wide: those at once, without a branch
            whole[u] = without_hole(line[u - 1], line[u], line[u + 1], slack)
        whole[0], whole[columns - 1] = line[0], line[columns - 1]
        for u in range(columns):
            line[u] = whole[u]
            first, last = (
                min(first, u if whole[u] == EMPTY else columns),
                max(last, u if whole[u] == EMPTY else -1),
            )
        if last >= 0:
            fill(line[max(first - 1, 0) : last + 2], slack)
    for v in range(rows):
        if depth[v, 0] == EMPTY:
            depth[v] = depth[row_to_copy(depth, v, 0)]
    for v in range(rows):
        line, some = depth[v], False
        for u in range(
            1, columns - 1
        ):  # closing one may open the next, so that loop cannot be vectorised: few rows need it
            some |= cracked(line[u - 1], line[u], line[u + 1], slack)
        if some:
            for u in range(1, columns - 1):
                line[u] = closed(line[u - 1], line[u], line[u + 1], slack)
    for v in range(1, rows - 1):
        for u in range(columns):
            depth[v, u] = closed(depth[v - 1, u], depth[v, u], depth[v + 1, u], slack)


@njit(cache=True, nogil=True)
def same_sample(pixel, f, c, source_f, source_c, grid, count):  # type: ignore[no-untyped-def]
    """Along one axis, the depth sample where a target's pixel looks if both cameras look the same way."""
    place = (np.float32(pixel) - c) / f * source_f + source_c
    return min(max(int((place + HALF) / grid), 0), count - 1)


@njit(cache=True, nogil=True)
def _same_place(near, lenses, grid, depth):  # type: ignore[no-untyped-def]
    """The source's inverse depth in the target's directions, both cameras taken to look the same way."""
    source, target = lens_of(lenses, 0), lens_of(lenses, 1)
    columns = np.empty(depth.shape[1], np.int32)
    for u in range(depth.shape[1]):
        columns[u] = same_sample(
            u, target[0], target[2], source[0], source[2], grid[0], near.shape[1]
        )
    for v in range(depth.shape[0]):
        line = near[
            same_sample(v, target[1], target[3], source[1], source[3], grid[1], near.shape[0])
        ]
        for u in range(depth.shape[1]):
            depth[v, u] = line[columns[u]]


@njit(cache=True, nogil=True)
def tap(place, last):  # type: ignore[no-untyped-def]
    """(first of two neighbours, part of the way to the second) of a place along an axis that ends at `last` (float32)."""
    a = min(max(place, ZERO), last)
    i = np.int32(min(a, last - ONE))
    return i, a - np.float32(i)


@njit(cache=True, nogil=True)
def sample_place(place, per_pixel):  # type: ignore[no-untyped-def]
    """From a pixel's place along an axis of the picture to its place among the depth samples."""
    return (place + HALF) * per_pixel - HALF


@njit(cache=True, nogil=True)
def surface(q00, q01, q10, q11, a, b, slack):  # type: ignore[no-untyped-def]
    """(inverse depth between four samples, how much may differ on one surface): bilinear where they are of one surface,
    else the closest sample."""
    tolerance = slack + SAME * max(max(q00, q01), max(q10, q11))
    apart = max(max(abs(q00 - q01), abs(q10 - q11)), max(abs(q00 - q10), abs(q01 - q11)))
    top, bottom = q00 + (q01 - q00) * a, q10 + (q11 - q10) * a
    upper, lower = q01 if a >= HALF else q00, q11 if a >= HALF else q10
    side = lower if b >= HALF else upper
    return top + (bottom - top) * b if apart <= tolerance else side, tolerance


@njit(cache=True, nogil=True)
def share(part):  # type: ignore[no-untyped-def]
    """A part of the way in 256ths."""
    return np.uint32(part * np.float32(256.0) + HALF)


@njit(cache=True, nogil=True)
def blended(t00, t01, t10, t11, a, b):  # type: ignore[no-untyped-def]
    """Four packed colours weighted by `share`s. Two channels in one word: red and blue together, green alone."""
    low, high = np.uint32(0x00FF00FF), np.uint32(0x0000FF00)
    low_round, high_round, eight = np.uint32(0x00800080), np.uint32(0x00008000), np.uint32(8)
    # Nothing overflows 32 bits. It must be said: numba computes with 64, of which a vector holds half as many.
    c, d = np.uint32(np.uint32(256) - a), np.uint32(np.uint32(256) - b)
    top = (np.uint32((t00 & low) * c + (t01 & low) * a + low_round) >> eight) & low
    bottom = (np.uint32((t10 & low) * c + (t11 & low) * a + low_round) >> eight) & low
    both = (np.uint32(top * d + bottom * b + low_round) >> eight) & low
    g_top = np.uint32(((t00 & high) >> eight) * c + ((t01 & high) >> eight) * a)
    g_bottom = np.uint32(((t10 & high) >> eight) * c + ((t11 & high) >> eight) * a)
    return both | (np.uint32(g_top * d + g_bottom * b + high_round) >> eight) & high


@njit(cache=True, nogil=True)
def _look_up(picture, near, depth, motion, lenses, grid, slack, steps, hide, row, out):  # type: ignore[no-untyped-def]
    """Colours of the target's pixels, whose inverse depth is `depth`; motion: target camera to source camera."""
    rows, columns = depth.shape
    source, target = lens_of(lenses, 0), lens_of(lenses, 1)
    scale, shift = pixel_rays(target[0], target[2])
    width, wide = np.int32(picture.shape[1]), np.int32(near.shape[1])
    far_u, far_v = np.float32(picture.shape[1] - 1), np.float32(picture.shape[0] - 1)
    last_i, last_j = np.float32(near.shape[1] - 1), np.float32(near.shape[0] - 1)
    to_i, to_j = ONE / grid[0], ONE / grid[1]
    corner, flat_near = np.empty((2, columns, 2), np.float32), near.reshape(-1)
    from_u, from_v, from_q, scaled = row[0], row[1], row[2], row[3]
    at, blend = np.empty(columns, np.int32), np.empty((2, columns), np.uint32)
    taps, hidden = np.empty((2, columns, 2), np.uint32), np.zeros(columns, np.bool_)
    flat, colour, across = (
        picture.reshape(-1),
        np.empty(columns, np.uint32),
        np.empty(columns, np.float32),
    )
    for u in range(columns):
        across[u] = np.float32(u) * scale + shift
    # Unsigned indices: a signed one is tested for counting from the end at every look-up.
    next_, next_line, next_samples = np.uint32(1), np.uint32(width), np.uint32(wide)
    for v in range(rows):
        line = depth[v]
        bundle = rays(motion, (np.float32(v) - target[3]) / target[1])
        for turn in range(steps + 1):
            for u in range(columns):
                from_u[u], from_v[u], from_q[u], scaled[u] = project(
                    bundle, source, across[u], line[u]
                )
            if turn == steps:
                break
            for u in range(columns):
                i, from_u[u] = tap(sample_place(from_u[u], to_i), last_i)
                j, from_v[u] = tap(sample_place(from_v[u], to_j), last_j)
                at[u] = j * wide + i
            for u in range(columns):
                k = np.uint32(at[u])
                below = k + next_samples
                corner[0, u, 0], corner[0, u, 1] = flat_near[k], flat_near[k + next_]
                corner[1, u, 0], corner[1, u, 1] = flat_near[below], flat_near[below + next_]
            for u in range(columns):
                found, tolerance = surface(
                    corner[0, u, 0],
                    corner[0, u, 1],
                    corner[1, u, 0],
                    corner[1, u, 1],
                    from_u[u],
                    from_v[u],
                    slack,
                )
                off = found - from_q[u]
                hidden[u] = hide and off > tolerance
                line[u] = found * scaled[u] if abs(off) <= tolerance else line[u]
        for u in range(columns):
            i, a = tap(from_u[u], far_u)
            j, b = tap(from_v[u], far_v)
            at[u], blend[0, u], blend[1, u] = j * width + i, share(a), share(b)
        for u in range(columns):
            k = np.uint32(at[u])
            below = k + next_line
            taps[0, u, 0], taps[0, u, 1] = flat[k], flat[k + next_]
            taps[1, u, 0], taps[1, u, 1] = flat[below], flat[below + next_]
        for u in range(columns):
            colour[u] = blended(
                taps[0, u, 0], taps[0, u, 1], taps[1, u, 0], taps[1, u, 1], blend[0, u], blend[1, u]
            )
        some = False
        for u in range(columns):
            some |= hidden[u]
        if some:
            in_paint(colour, line, hidden)
        for u in range(columns):
            out[v, u, 0], out[v, u, 1], out[v, u, 2] = unpacked(colour[u])


@njit(cache=True, nogil=True)
def unpacked(colour):  # type: ignore[no-untyped-def]
    """Red, green, blue of a packed colour."""
    return (
        colour & np.uint32(255),
        (colour >> np.uint32(8)) & np.uint32(255),
        (colour >> np.uint32(16)) & np.uint32(255),
    )


@njit(cache=True, nogil=True)
def in_paint(colours, line, hidden):  # type: ignore[no-untyped-def]
    """Runs of hidden pixels repeat the pixel on their farther side."""
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
        left = start > 0 and (u == width or line[start - 1] <= line[u])
        colours[start:u] = colours[start - 1] if left else colours[u]
