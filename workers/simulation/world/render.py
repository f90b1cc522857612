"""The renderer: one ray per pixel against ground and objects, giving colour and exact depth."""

import math

import numpy as np

from workers.simulation.world.compiled import device, kernel
from workers.simulation.world.ground import AWAY, Ground, at_ground
from workers.simulation.world.objects import (
    CAR,
    HALF_LENGTH,
    KIND,
    REACH,
    Bytes,
    Depths,
    X,
    Y,
    draw,
    shade_ground,
)
from workers.simulation.world.pinhole import Pinhole, ray_of
from workers.simulation.world.profile import Floats
from workers.simulation.world.shading import Colour, Light, Spot, ground_colour, hazed, lit, sky

FAR_M = 1000.0
"""Depth of the sky, and of everything farther than VIEW_M."""
VIEW_M = 600.0
ROAD_STRIDE, VERGE_STRIDE = 0.2, 0.08
"""Crests of a road are kilometres round; beside it there are banks."""
Hit = tuple[float, float, float, float, float, float, float, float]


@device
def cast(
    g: Ground,
    eye: Floats,
    rx: float,
    ry: float,
    rz: float,
    start: float,
    guess: float,
    stride: float,
) -> Hit:
    """First meeting of a ray with the ground: (t, s, d, s2, d2, z, dz/dx, dz/dy).

    t is FAR_M where there is none. The ray is above the ground at `start`. Newton's method with the
    ground's slope, kept in the bracket of the last point above and the first one below. A step is
    at most `stride` of the distance (and 1.5 m), so that no crest is jumped over.
    """
    above, below, t = start, math.inf, guess
    for _ in range(80):
        z, slope_x, slope_y, s, d, s2, d2 = at_ground(g, eye[0] + t * rx, eye[1] + t * ry)
        gap = eye[2] + t * rz - z
        closing = rz - slope_x * rx - slope_y * ry
        if gap > 0:
            above = max(above, t)
        else:
            below = min(below, t)
        step = -gap / closing if closing < -1e-9 else 1.5 + stride * t
        if abs(step) < 1e-3 * t and (gap <= 0 or closing < -1e-9):
            return t + step, s, d, s2, d2, z, slope_x, slope_y
        if below - above < 1e-5 * t:
            return t, s, d, s2, d2, z, slope_x, slope_y
        limit = t + 1.5 + stride * t if below == math.inf else below
        ahead = min(t + step, limit) if gap > 0 or closing < -1e-9 else above
        if below < math.inf and not above < ahead < below:
            ahead = 0.5 * (above + below)
        t = ahead
        if t > VIEW_M:
            break
    return FAR_M, 0.0, 0.0, 0.0, AWAY, 0.0, 0.0, 0.0


(AT, ALONG, ACROSS, Y_AT, HEIGHT_AT, SLOPE_X, SLOPE_Y, X_AT) = (0, 1, 2, 3, 5, 6, 7, 8)
"""Columns of a hit that the pixel above starts from: t, s, d, y, z, the ground's slopes, x."""


@device
def guessed(g: Ground, below: Floats, eye: Floats, ray: Colour) -> tuple[float, float]:
    """(where to look first, how far a step may go) along a ray, from the hit of the pixel below."""
    t = below[AT]
    rx, ry, rz = ray
    if t == 0.0:  # the bottom row: a flat ground some 1.2 m below
        return max(0.5, min(1.2 / max(-rz, 0.02), 30.0)), VERGE_STRIDE
    stride = ROAD_STRIDE if g.right_paved < below[ACROSS] < g.far_left else VERGE_STRIDE
    closing = rz - below[SLOPE_X] * rx - below[SLOPE_Y] * ry
    x, y = eye[0] + t * rx, eye[1] + t * ry
    rise = below[SLOPE_X] * (x - below[X_AT]) + below[SLOPE_Y] * (y - below[Y_AT])
    gap = eye[2] + t * rz - (below[HEIGHT_AT] + rise)
    step = -gap / closing if closing < -1e-9 else 1.5 + stride * t
    return t + min(max(step, 0.0), 1.5 + stride * t), stride


@device
def render_ground(
    g: Ground, light: Light, view: Pinhole, last: Floats, rgb: Bytes, depth: Depths
) -> None:
    """Ground and sky of one frame, rows from the bottom.

    Each pixel starts from the hit of the one below it, which `last` [W, 9] holds; zeros at first.
    """
    rows, columns = depth.shape
    for v in range(rows - 1, -1, -1):
        down = (v - view.lens[3]) / view.lens[1]
        left_s, left_d, left_t = 0.0, 0.0, FAR_M
        for u in range(columns):
            right = (u - view.lens[2]) / view.lens[0]
            rx, ry, rz = ray_of(view, right, down)
            t0 = last[u, AT]
            t = FAR_M
            if t0 < FAR_M:
                guess, stride = guessed(g, last[u], view.eye, (rx, ry, rz))
                hit = cast(g, view.eye, rx, ry, rz, t0, guess, stride)
                t, s, d, s2, d2, z, slope_x, slope_y = hit
            depth[v, u] = t
            if t >= FAR_M:
                last[u, AT] = FAR_M
                red, green, blue = sky(light, rx, ry, rz)
            else:
                pixel = t / view.lens[0]
                fs = 2.0 * pixel * t
                fd = pixel
                if t0 > 0.0:
                    fs, fd = abs(s - last[u, ALONG]), abs(d - last[u, ACROSS])
                if left_t < FAR_M:
                    fs += abs(s - left_s)
                    fd += abs(d - left_d)
                fs = min(max(0.9 * fs, 0.5 * pixel), 40.0)
                fd = min(max(0.9 * fd, 0.5 * pixel), 6.0 * pixel + 0.05)
                x, y = view.eye[0] + t * rx, view.eye[1] + t * ry
                red, green, blue = ground_colour(g, light, Spot(x, y, s, d, s2, d2, fs, fd))
                day = lit(light, t, t * right, -t * down)
                red, green, blue = hazed(light, red * day, green * day, blue * day, t)
                last[u, AT], last[u, ALONG], last[u, ACROSS] = t, s, d
                last[u, X_AT], last[u, Y_AT], last[u, HEIGHT_AT] = x, y, z
                last[u, SLOPE_X], last[u, SLOPE_Y] = slope_x, slope_y
                left_s, left_d = s, d
            left_t = t
            rgb[v, u, 0] = np.uint8(min(max(red, 0.0), 254.0) + 0.5)
            rgb[v, u, 1] = np.uint8(min(max(green, 0.0), 254.0) + 0.5)
            rgb[v, u, 2] = np.uint8(min(max(blue, 0.0), 254.0) + 0.5)


@device
def in_view(things: Floats, view: Pinhole, width: int, chosen: Floats, count: int) -> int:
    """Copy the objects [n, 16] that may be seen to chosen[count:]; the new count."""
    m = view.rotation
    lens = view.lens
    wide = max(lens[2], width - lens[2]) / lens[0] * 1.1
    for i in range(len(things)):
        x, y = things[i, X] - view.eye[0], things[i, Y] - view.eye[1]
        reach = things[i, REACH]
        if abs(x) > reach or abs(y) > reach:
            continue
        ahead = x * m[0, 2] + y * m[1, 2]
        aside = abs(x * m[0, 0] + y * m[1, 0])
        size = things[i, HALF_LENGTH] + 1.0
        if ahead > -size and aside < ahead * wide + 3 * size and x * x + y * y < reach * reach:
            for k in range(things.shape[1]):
                chosen[count, k] = things[i, k]
            count += 1
    return count


@kernel
def render(
    g: Ground, light: Light, things: Floats, cars: Floats, view: Pinhole, rgb: Bytes, depth: Depths
) -> None:
    """One frame into rgb [H, W, 3] and depth [H, W]: metres along the axis, FAR_M for the sky.

    `things` [n, 16] stand, `cars` [m, 16] move (objects.py).
    """
    render_ground(g, light, view, np.zeros((depth.shape[1], 9)), rgb, depth)
    seen = np.empty((len(things) + len(cars), 16))
    count = in_view(things, view, depth.shape[1], seen, 0)
    count = in_view(cars, view, depth.shape[1], seen, count)
    away = (seen[:count, X] - view.eye[0]) ** 2 + (seen[:count, Y] - view.eye[1]) ** 2
    order = np.argsort(-away, kind="mergesort")  # far ones first; equal ones keep their order
    corners = np.empty((8, 3))
    for i in order:
        if seen[i, KIND] == CAR:
            shade_ground(seen[i], view, corners, rgb, depth)
    for i in order:
        draw(seen[i], light, view, corners, rgb, depth)
