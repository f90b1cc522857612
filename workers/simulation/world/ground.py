"""The ground as a height field in road coordinates: where on the roads is (x, y), and how high?

Road coordinates: s, arc length along a road's reference line; d, signed distance from it, left
positive. A grid over the world holds first guesses. One step on the road's table makes them exact
(circular arc through the nearest node).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from workers.simulation.world.compiled import device, kernel
from workers.simulation.world.profile import Floats

CELL_M = 8.0
MARGIN_M = 260.0
OUTER_M = 34.0
"""Beyond this distance from the paved surface the ground is the terrain grid alone."""
INNER_M = 5.0
AWAY = 1e4
"""Road coordinates of a point that is on no ramp."""


class Ground(NamedTuple):
    """What the kernels know of roads and terrain. Lengths in metres; d is positive to the left."""

    main: NDArray[np.float64]
    """[n, 8] road table (profile.py)."""
    ramp: NDArray[np.float64]
    """[m, 8] the exit ramp's table; its reference line is the middle of its lane."""
    grid: NDArray[np.float32]
    """[ny, nx, 5] at cell corners: s, d on the main road, terrain height, s, d on the ramp."""
    grid_x: float
    grid_y: float
    lanes: int
    lane_width: float
    left_paved: float
    """d of the left edge of the ego's carriageway."""
    right_paved: float
    far_left: float
    """d of the left end of the whole road: opposite carriageway included."""
    median: float
    """Width of the grass between the carriageways; 0: no opposite carriageway."""
    has_ramp: bool
    taper_start: float
    """s on the ramp where its lane begins to open."""
    taper_length: float
    gore: float
    """s on the ramp where it leaves the main road's direction."""


@device
def arc_coordinates(table: Floats, guess: float, x: float, y: float) -> tuple[float, float, int]:
    """(s, d, nearest node) of a point, from a guess of s that is right within some metres."""
    last = table.shape[0] - 1
    s = guess
    d = 0.0
    node = 0
    for _ in range(4):
        node = min(max(int(s + 0.5), 0), last)
        dx, dy = x - table[node, 0], y - table[node, 1]
        cos, sin, kappa = table[node, 2], table[node, 3], table[node, 4]
        along, across = dx * cos + dy * sin, dy * cos - dx * sin
        scale = 1.0 - kappa * across
        step = along / (scale if scale > 0.2 else 0.2)
        s = node + step
        d = across - 0.5 * kappa * along * step
        if abs(step) < 1.5 or (node == 0 and step < 0) or (node == last and step > 0):
            break
    return s, d, node


@device
def corners(
    grid: NDArray[np.float32],
    j: int,
    i: int,
    k: int,
    w00: float,
    w01: float,
    w10: float,
    w11: float,
) -> float:
    """A layer of the grid between four corners of known weights."""
    return float(
        w00 * grid[j, i, k]
        + w01 * grid[j, i + 1, k]
        + w10 * grid[j + 1, i, k]
        + w11 * grid[j + 1, i + 1, k]
    )


@device
def level(table: Floats, s: float, node: int) -> float:
    """Height of a road at s: a parabola through the nearest node, with its grade and curvature."""
    z: float = table[node, 5] + table[node, 6] * (s - node)
    if 0 < node < table.shape[0] - 1:
        z += 0.25 * (table[node + 1, 6] - table[node - 1, 6]) * (s - node) ** 2
    return z


@device
def at_ground(
    g: Ground, x: float, y: float
) -> tuple[float, float, float, float, float, float, float]:
    """(z, dz/dx, dz/dy, s, d, s on the ramp, d on the ramp)."""
    main, ramp, grid = g.main, g.ramp, g.grid
    u, v = (x - g.grid_x) / CELL_M, (y - g.grid_y) / CELL_M
    u = min(max(u, 0.0), grid.shape[1] - 1.001)
    v = min(max(v, 0.0), grid.shape[0] - 1.001)
    i, j = int(u), int(v)
    u -= i
    v -= j
    w00, w01, w10, w11 = (1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v
    s = corners(grid, j, i, 0, w00, w01, w10, w11)
    d = corners(grid, j, i, 1, w00, w01, w10, w11)
    z00, z01, z10, z11 = grid[j, i, 2], grid[j, i + 1, 2], grid[j + 1, i, 2], grid[j + 1, i + 1, 2]
    z = w00 * z00 + w01 * z01 + w10 * z10 + w11 * z11
    slope_x = ((z01 - z00) * (1 - v) + (z11 - z10) * v) / CELL_M
    slope_y = ((z10 - z00) * (1 - u) + (z11 - z01) * u) / CELL_M
    s2, d2 = 0.0, AWAY
    off = max(d - g.far_left, g.right_paved - d)
    off2 = AWAY
    if g.has_ramp:
        d2 = corners(grid, j, i, 4, w00, w01, w10, w11)
        off2 = abs(d2) - 4.0
    if off > OUTER_M and off2 > OUTER_M:
        return z, slope_x, slope_y, s, d, s2, AWAY
    road_z, grade_x, grade_y, normal_x, normal_y = 0.0, 0.0, 0.0, 0.0, 0.0
    if off <= OUTER_M + CELL_M:
        s, d, node = arc_coordinates(main, s, x, y)
        off = max(0.0, max(d - g.far_left, g.right_paved - d))
        road_z = level(main, s, node)
        grade_x, grade_y = main[node, 6] * main[node, 2], main[node, 6] * main[node, 3]
        normal_x, normal_y = main[node, 3], main[node, 2]
    if off2 <= OUTER_M:
        s2, d2, node = arc_coordinates(ramp, corners(grid, j, i, 3, w00, w01, w10, w11), x, y)
        if -1.0 <= s2 <= ramp.shape[0]:
            off2 = max(0.0, abs(d2) - 4.0)
            if off2 < off:
                normal_x, normal_y = ramp[node, 3], ramp[node, 2]
            if off > 0.0 and off2 < off + OUTER_M:
                share = off2 * max(0.0, 1.0 - off / OUTER_M)
                near = off * off / (off * off + share * share)
                road_z += near * (level(ramp, s2, node) - road_z)
                grade_x += near * (ramp[node, 6] * ramp[node, 2] - grade_x)
                grade_y += near * (ramp[node, 6] * ramp[node, 3] - grade_y)
        else:
            d2, off2 = AWAY, AWAY
    else:
        d2 = AWAY
    away = min(off, off2)
    part = min(max((away - INNER_M) / (OUTER_M - INNER_M), 0.0), 1.0)
    wild = part * part * (3.0 - 2.0 * part)
    # The verge rises towards the terrain: across the road that is, the weight's own slope.
    bank = 6.0 * part * (1.0 - part) / (OUTER_M - INNER_M) * (z - road_z)
    if away == off:
        bank *= 1.0 if d > 0.0 else -1.0
    else:
        bank *= 1.0 if d2 > 0.0 else -1.0
    slope_x = grade_x + wild * (slope_x - grade_x) - bank * normal_x
    slope_y = grade_y + wild * (slope_y - grade_y) + bank * normal_y
    z = road_z + wild * (z - road_z)
    return z, slope_x, slope_y, s, d, s2, d2


@kernel
def ground_at(g: Ground, x: Floats, y: Floats) -> Floats:
    """[n, 7] `at_ground` of n points."""
    out = np.empty((len(x), 7))
    for i in range(len(x)):
        out[i] = at_ground(g, x[i], y[i])
    return out


@kernel
def _fill(
    grid: NDArray[np.float32],
    grid_x: float,
    grid_y: float,
    main: Floats,
    ramp: Floats,
    has_ramp: bool,
) -> None:
    """Guesses of s and d by the nearest node, and the terrain's height.

    That is the mean of the roads' heights, with weights that fall with the fourth power of the
    distance.
    """
    for j in range(grid.shape[0]):
        for i in range(grid.shape[1]):
            x, y = grid_x + i * CELL_M, grid_y + j * CELL_M
            nearest = 0
            best = math.inf
            weights = 0.0
            height = 0.0
            for k in range(0, main.shape[0], 8):
                r2 = (main[k, 0] - x) ** 2 + (main[k, 1] - y) ** 2
                weight = 1.0 / (1.0 + r2 / 3600.0) ** 2
                weights += weight
                height += weight * main[k, 5]
                if r2 < best:
                    nearest, best = k, r2
            s, d, _ = arc_coordinates(main, nearest, x, y)
            grid[j, i, 0], grid[j, i, 1], grid[j, i, 2] = s, d, height / weights
            grid[j, i, 3], grid[j, i, 4] = 0.0, AWAY
            if has_ramp:
                nearest, best = 0, math.inf
                for k in range(0, ramp.shape[0], 8):
                    r2 = (ramp[k, 0] - x) ** 2 + (ramp[k, 1] - y) ** 2
                    if r2 < best:
                        nearest, best = k, r2
                if best < 90.0**2:
                    s, d, _ = arc_coordinates(ramp, nearest, x, y)
                    grid[j, i, 3] = s
                    if -60.0 < s < ramp.shape[0] + 60.0:
                        grid[j, i, 4] = d


def survey(
    main: Floats, ramp: Floats | None, relief_m: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], float, float]:
    """The grid of a world (Ground.grid) with its corner.

    `relief_m` is the standard deviation of the hills beside the road.
    """
    nodes = main if ramp is None else np.concatenate([main, ramp])
    low, high = nodes[:, :2].min(axis=0) - MARGIN_M, nodes[:, :2].max(axis=0) + MARGIN_M
    columns, rows = (int(n) for n in np.ceil((high - low) / CELL_M) + 1)
    grid = np.zeros((rows, columns, 5), dtype=np.float32)
    _fill(grid, low[0], low[1], main, main[:1] if ramp is None else ramp, ramp is not None)
    lattice = rng.standard_normal((rows // 10 + 5, columns // 10 + 5))
    down, across = (np.arange(n) for n in lattice.shape)
    surface = RectBivariateSpline(down, across, lattice)
    hills = surface(np.arange(rows) / 10, np.arange(columns) / 10)
    distance = np.minimum(np.abs(grid[:, :, 1]), np.abs(grid[:, :, 4]))
    rise = np.clip((distance - 25.0) / 110.0, 0.0, 1.0)
    grid[:, :, 2] += (relief_m * (0.6 + hills) * rise * rise * (3 - 2 * rise)).astype(np.float32)
    return grid, float(low[0]), float(low[1])
