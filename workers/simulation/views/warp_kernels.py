"""The arithmetic of the warp: functions of one pixel or one row, and the CPU's loops over them.

numba compiles the functions for the CPU here and for CUDA in warp_cuda.py. They stand in one file
with the CPU's loops because numba's cache on disk sees no change in another.

The CPU's loops run over buffers of one row, coordinates, gather and blend apart, so that the
compiler vectorises them. float32 and no fastmath: equal inputs give equal bytes.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workers.simulation.views.geometry import inverse_into

EMPTY = np.float32(-1.0)
HALF, ONE, ZERO = np.float32(0.5), np.float32(1.0), np.float32(0.0)
LEAST = np.float32(0.05)
"""Of the scaled z: what lies behind the camera is drawn from just before it."""
NEAREST_M = 0.5
SAME = np.float32(0.06)
"""Two inverse depths that differ by this share, or by the slack, lie on one surface."""


class Optics(NamedTuple):
    """How a picture with depth and a view of it are related, whatever the motion between them."""

    lenses: NDArray[np.float32]
    """[2, 4] fx, fy, cx, cy of the source and of the target."""
    grid: NDArray[np.float32]
    """[2] pixels of the picture across and down a depth sample."""
    slack: np.float32
    """1/m between neighbouring depth samples of one surface."""
    fine: int
    """Samples that are splatted for one of the depth's, in each direction."""


@njit(cache=True, nogil=True)
def forward(picture, near, motion, optics, depth, out):  # type: ignore[no-untyped-def]
    """`Warp.forward`; depth [H, W] is scratch."""
    home = np.empty((3, 4))
    inverse_into(motion, home)
    there, back = motion.astype(np.float32), home.astype(np.float32)
    if np.abs(motion[:, 3]).max() < 1e-6:  # a rotation needs no depth
        depth[:] = ZERO
        look_up(picture, near, depth, back, optics, 0, out)
        return
    _splat(near, there, optics, depth)
    _mend(depth, optics.slack)
    look_up(picture, near, depth, back, optics, 1, out)


@njit(cache=True, nogil=True)
def pack(frames, factor, out):  # type: ignore[no-untyped-def]
    """Bytes are summed along a row of output first, and only then taken apart by channel.

    16 bits hold the sum of 257 of them.
    """
    count, height, width = out.shape
    area, half = np.uint32(factor * factor), np.uint32(factor * factor // 2)
    lines = frames.reshape(count, frames.shape[1], -1)
    total = np.empty(frames.shape[2] * 3, np.uint16)
    mean = np.empty_like(total)
    one, two, rounding = np.uint32(8), np.uint32(16), np.uint16(2)
    for n in range(count):
        for v in range(height):
            for k in range(len(total)):
                total[k] = lines[n, v * factor, k]
            for y in range(v * factor + 1, (v + 1) * factor):
                for k in range(len(total)):
                    total[k] += lines[n, y, k]
            # The common factors without a division, at a stride that the compiler knows.
            if factor == 1:
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
def invert(depth, out):  # type: ignore[no-untyped-def]
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
    """Runs of EMPTY in a row take the farther of their two sides.

    Between two of one surface (slack >= 0) they are interpolated. An empty row stays as it is.
    """
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
    """What [R | t] makes of the rays (x, y, 1) of a row: constant parts, by x, by 1 / z."""
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
    """The ray x of a row (`rays`) at inverse depth q, as the other camera (`lens_of`) has it.

    u, v, inverse depth, scaled z.
    """
    z = max(line[5] * x + line[2] + line[8] * q, LEAST)
    over = ONE / z
    u = lens[0] * (line[3] * x + line[0] + line[6] * q) * over + lens[2]
    v = lens[1] * (line[4] * x + line[1] + line[7] * q) * over + lens[3]
    return u, v, q * over, z


@njit(cache=True, nogil=True)
def sample_rows(line, fine, height):  # type: ignore[no-untyped-def]
    """The two rows of depth samples around the fine row `line`, and its part of the way."""
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
    """Linear on one surface, else the nearer sample: no wall from a car to what is behind it."""
    return a + part * (b - a) if one_surface(a, b, slack) else (a if part < HALF else b)


@njit(cache=True, nogil=True)
def cell(u, v, columns, rows):  # type: ignore[no-untyped-def]
    """The number of the pixel that (u, v) falls into, or -1 outside. columns, rows: float32."""
    across, down = u + HALF, v + HALF
    inside = across >= 0 and down >= 0 and across < columns and down < rows
    return np.int32(down) * np.int32(columns) + np.int32(across) if inside else np.int32(-1)


@njit(cache=True, nogil=True)
def _splat(near, motion, optics, depth):  # type: ignore[no-untyped-def]
    """Every depth sample into the view; the nearest surface wins."""
    slack, fine, grid = optics.slack, optics.fine, optics.grid
    height, width = near.shape
    rows, columns = np.float32(depth.shape[0]), np.float32(depth.shape[1])
    source, target = lens_of(optics.lenses, 0), lens_of(optics.lenses, 1)
    scale, shift = sample_rays(fine, grid[0], source[0], source[2])
    tall = np.empty(width, np.float32)
    fast = np.empty(width, np.float32)
    to_q = np.empty(width, np.float32)
    spot = np.empty(width, np.int32)
    flat = depth.reshape(-1)
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
            part_across = np.float32(k) * (ONE / np.float32(fine))
            for i in range(width - 1 if k > 0 else 0):
                fast[i] = between_samples(tall[i], tall[i + 1], part_across, slack)
            for i in range(count):
                u, v, to_q[i], _ = project(line, target, across[k, i], fast[i])
                spot[i] = cell(u, v, columns, rows)
            for i in range(count):
                if spot[i] >= 0 and flat[spot[i]] < to_q[i]:
                    flat[spot[i]] = to_q[i]


@njit(cache=True, nogil=True)
def row_to_copy(depth, v, u):  # type: ignore[no-untyped-def]
    """For a row v that no sample reached, the nearest that has some in column u, or v itself."""
    for away in range(1, len(depth)):
        if v - away >= 0 and depth[v - away, u] != EMPTY:
            return v - away
        if v + away < len(depth) and depth[v + away, u] != EMPTY:
            return v + away
    return v


@njit(cache=True, nogil=True)
def cracked(a, q, b, slack):  # type: ignore[no-untyped-def]
    """Whether q is background that shows through a crack of a stretched surface, a to b."""
    least = min(a, b)
    return q + slack + SAME * least < least and one_surface(a, b, slack)


@njit(cache=True, nogil=True)
def closed(a, q, b, slack):  # type: ignore[no-untyped-def]
    """q, or what it should be in a crack (`cracked`)."""
    return (a + b) * HALF if cracked(a, q, b, slack) else q


@njit(cache=True, nogil=True)
def _mend(depth, slack):  # type: ignore[no-untyped-def]
    """Holes take the farther side; a crack of a stretched surface is closed."""
    rows, columns = depth.shape
    whole = np.empty(columns, np.float32)
    for v in range(rows):
        line, first, last = depth[v], columns, -1
        # Nine holes of ten are one pixel wide: those at once, without a branch.
        for u in range(1, columns - 1):
            whole[u] = without_hole(line[u - 1], line[u], line[u + 1], slack)
        whole[0], whole[columns - 1] = line[0], line[columns - 1]
        for u in range(columns):
            line[u] = whole[u]
            first = min(first, u if whole[u] == EMPTY else columns)
            last = max(last, u if whole[u] == EMPTY else -1)
        if last >= 0:
            fill(line[max(first - 1, 0) : last + 2], slack)
    for v in range(rows):
        if depth[v, 0] == EMPTY:
            depth[v] = depth[row_to_copy(depth, v, 0)]
    for v in range(rows):
        line = depth[v]
        some = False
        # Closing one may open the next, so that loop cannot be vectorised: few rows need it.
        for u in range(1, columns - 1):
            some |= cracked(line[u - 1], line[u], line[u + 1], slack)
        if some:
            for u in range(1, columns - 1):
                line[u] = closed(line[u - 1], line[u], line[u + 1], slack)
    for v in range(1, rows - 1):
        for u in range(columns):
            depth[v, u] = closed(depth[v - 1, u], depth[v, u], depth[v + 1, u], slack)


@njit(cache=True, nogil=True)
def same_sample(pixel, f, c, source_f, source_c, grid, count):  # type: ignore[no-untyped-def]
    """Along one axis, the sample where a pixel looks if both cameras look the same way."""
    place = (np.float32(pixel) - c) / f * source_f + source_c
    return min(max(int((place + HALF) / grid), 0), count - 1)


@njit(cache=True, nogil=True)
def same_place(near, optics, depth):  # type: ignore[no-untyped-def]
    """The source's inverse depth in the target's directions, as if both looked the same way."""
    source, target = lens_of(optics.lenses, 0), lens_of(optics.lenses, 1)
    grid = optics.grid
    columns = np.empty(depth.shape[1], np.int32)
    for u in range(depth.shape[1]):
        columns[u] = same_sample(
            u, target[0], target[2], source[0], source[2], grid[0], near.shape[1]
        )
    for v in range(depth.shape[0]):
        j = same_sample(v, target[1], target[3], source[1], source[3], grid[1], near.shape[0])
        for u in range(depth.shape[1]):
            depth[v, u] = near[j, columns[u]]


@njit(cache=True, nogil=True)
def tap(place, last):  # type: ignore[no-untyped-def]
    """(first of two neighbours, part of the way to the second) of a place; `last` ends the axis."""
    a = min(max(place, ZERO), last)
    i = np.int32(min(a, last - ONE))
    return i, a - np.float32(i)


@njit(cache=True, nogil=True)
def sample_place(place, per_pixel):  # type: ignore[no-untyped-def]
    """From a pixel's place along an axis of the picture to its place among the depth samples."""
    return (place + HALF) * per_pixel - HALF


@njit(cache=True, nogil=True)
def surface(q00, q01, q10, q11, a, b, slack):  # type: ignore[no-untyped-def]
    """(inverse depth between four samples, how much may differ on one surface).

    Bilinear where they are of one surface, else the closest sample.
    """
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
    """Four packed colours weighted by `share`s: red and blue in one word, green alone."""
    low, high = np.uint32(0x00FF00FF), np.uint32(0x0000FF00)
    low_round, high_round, eight = np.uint32(0x00800080), np.uint32(0x00008000), np.uint32(8)
    # Nothing overflows 32 bits. It must be said: numba computes with 64, and a vector holds half
    # as many of those.
    c, d = np.uint32(np.uint32(256) - a), np.uint32(np.uint32(256) - b)
    top = (np.uint32((t00 & low) * c + (t01 & low) * a + low_round) >> eight) & low
    bottom = (np.uint32((t10 & low) * c + (t11 & low) * a + low_round) >> eight) & low
    both = (np.uint32(top * d + bottom * b + low_round) >> eight) & low
    g_top = np.uint32(((t00 & high) >> eight) * c + ((t01 & high) >> eight) * a)
    g_bottom = np.uint32(((t10 & high) >> eight) * c + ((t11 & high) >> eight) * a)
    return both | (np.uint32(g_top * d + g_bottom * b + high_round) >> eight) & high


@njit(cache=True, nogil=True)
def four(flat, first, line):  # type: ignore[no-untyped-def]
    """Neighbours in a flat picture: `first`, the next, and those a line below.

    Unsigned indices: a signed one is tested for counting from the end at every look-up.
    """
    k = np.uint32(first)
    one = np.uint32(1)
    below = k + line
    return flat[k], flat[k + one], flat[below], flat[below + one]


@njit(cache=True, nogil=True)
def look_up(picture, near, depth, motion, optics, steps, out):  # type: ignore[no-untyped-def]
    """Colours of the target's pixels, whose inverse depth is `depth`.

    motion: target camera to source camera. steps: how often a pixel is put onto its surface.
    One function for all loops: where they are called, their arrays' strides are not known, and
    they are not vectorised.
    """
    rows, columns = depth.shape
    source, target = lens_of(optics.lenses, 0), lens_of(optics.lenses, 1)
    scale, shift = pixel_rays(target[0], target[2])
    width, wide = np.int32(picture.shape[1]), np.int32(near.shape[1])
    far_u, far_v = np.float32(picture.shape[1] - 1), np.float32(picture.shape[0] - 1)
    last_i, last_j = np.float32(near.shape[1] - 1), np.float32(near.shape[0] - 1)
    to_i, to_j, slack = ONE / optics.grid[0], ONE / optics.grid[1], optics.slack
    flat, flat_near = picture.reshape(-1), near.reshape(-1)
    across, seen = np.empty(columns, np.float32), np.empty((4, columns), np.float32)
    from_u, from_v, from_q, scaled = seen[0], seen[1], seen[2], seen[3]
    at, blend = np.empty(columns, np.int32), np.empty((2, columns), np.uint32)
    corner, taps = np.empty((2, columns, 2), np.float32), np.empty((2, columns, 2), np.uint32)
    colour, hidden = np.empty(columns, np.uint32), np.zeros(columns, np.bool_)
    for u in range(columns):
        across[u] = np.float32(u) * scale + shift
    for v in range(rows):
        line = depth[v]
        bundle = rays(motion, (np.float32(v) - target[3]) / target[1])
        for turn in range(steps + 1):
            for u in range(columns):
                there = project(bundle, source, across[u], line[u])
                from_u[u], from_v[u], from_q[u], scaled[u] = there
            if turn == steps:
                break
            # Onto the surface that the source has there, if it is one; behind it, it is hidden.
            for u in range(columns):
                i, from_u[u] = tap(sample_place(from_u[u], to_i), last_i)
                j, from_v[u] = tap(sample_place(from_v[u], to_j), last_j)
                at[u] = j * wide + i
            for u in range(columns):
                q = four(flat_near, at[u], np.uint32(wide))
                corner[0, u, 0], corner[0, u, 1], corner[1, u, 0], corner[1, u, 1] = q
            for u in range(columns):
                q = corner[0, u, 0], corner[0, u, 1], corner[1, u, 0], corner[1, u, 1]
                found, tolerance = surface(q[0], q[1], q[2], q[3], from_u[u], from_v[u], slack)
                off = found - from_q[u]
                hidden[u] = off > tolerance
                line[u] = found * scaled[u] if abs(off) <= tolerance else line[u]
        # Colours, bilinear.
        for u in range(columns):
            i, a = tap(from_u[u], far_u)
            j, b = tap(from_v[u], far_v)
            at[u], blend[0, u], blend[1, u] = j * width + i, share(a), share(b)
        for u in range(columns):
            t = four(flat, at[u], np.uint32(width))
            taps[0, u, 0], taps[0, u, 1], taps[1, u, 0], taps[1, u, 1] = t
        for u in range(columns):
            t = taps[0, u, 0], taps[0, u, 1], taps[1, u, 0], taps[1, u, 1]
            colour[u] = blended(t[0], t[1], t[2], t[3], blend[0, u], blend[1, u])
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
