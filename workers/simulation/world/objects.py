"""Things that stand on or move over the ground: cylinders, ellipsoids, boxes and cars, each cut by the pixel's own ray.

Every object is a solid fixed in the world, so that its depth is right from any camera pose. Thin round things are blended
by their coverage of the pixel; depth is the nearest solid's where it covers at least half of it.
"""

import math

import numpy as np
from numpy.typing import NDArray

from workers.simulation.world.compiled import device
from workers.simulation.world.shading import Colour, Light, hazed, lit
from workers.simulation.world.texture import sample

Floats = NDArray[np.float64]
(
    KIND,
    X,
    Y,
    Z,
    COS,
    SIN,
    HALF_LENGTH,
    HALF_WIDTH,
    HEIGHT,
    RED,
    GREEN,
    BLUE,
    PATTERN,
    RETRO,
    GRADE,
    REACH,
) = range(16)
"""Columns of an object [16]: Z is its lowest point, HEIGHT the full height, GRADE shears it along its own x axis,
RETRO the share of its colour that headlights always return at night, REACH how far it is drawn, metres."""
CYLINDER, ELLIPSOID, BOX, CAR = range(4)
PLAIN, BANDED, LEAVES, SIGN = range(4)
NEAR_M = 0.25
SOFT_M = 0.3


@device
def bounds(
    thing: Floats,
    grow: float,
    eye: Floats,
    rotation: Floats,
    lens: Floats,
    corners: Floats,
    width: int,
    height: int,
) -> tuple[int, int, int, int]:
    """First and last column and row [u0, u1, v0, v1] that the object's box, grown sideways, may touch; u0 > u1 if none.
    `corners` [8, 3] is scratch."""
    for bits in range(8):
        along = (thing[HALF_LENGTH] + grow) * (1.0 if bits & 1 else -1.0)
        aside = (thing[HALF_WIDTH] + grow) * (1.0 if bits & 2 else -1.0)
        x = thing[X] + along * thing[COS] - aside * thing[SIN] - eye[0]
        y = thing[Y] + along * thing[SIN] + aside * thing[COS] - eye[1]
        z = thing[Z] + along * thing[GRADE] + (thing[HEIGHT] if bits & 4 else 0.0) - eye[2]
        for k in range(3):
            corners[bits, k] = x * rotation[0, k] + y * rotation[1, k] + z * rotation[2, k]
    u0, u1, v0, v1 = math.inf, -math.inf, math.inf, -math.inf
    for bits in range(8):
        for axis in range(3):
            other = bits ^ (1 << axis)
            # The end of each edge that is nearer than NEAR_M is cut off there.
            depth, there = corners[bits, 2], corners[other, 2]
            if depth < NEAR_M and there < NEAR_M:
                continue
            cut = (NEAR_M - depth) / (there - depth) if depth < NEAR_M else 0.0
            depth = max(depth, NEAR_M)
            u = (
                lens[0] * (corners[bits, 0] + cut * (corners[other, 0] - corners[bits, 0])) / depth
                + lens[2]
            )
            v = (
                lens[1] * (corners[bits, 1] + cut * (corners[other, 1] - corners[bits, 1])) / depth
                + lens[3]
            )
            u0, u1, v0, v1 = min(u0, u), max(u1, u), min(v0, v), max(v1, v)
    if u0 > width or u1 < -1 or v0 > height or v1 < -1 or u0 > u1:
        return 1, 0, 1, 0
    return (
        int(max(math.floor(u0 - 0.5), 0)),
        int(min(math.ceil(u1 + 0.5), width - 1)),
        int(max(math.floor(v0 - 0.5), 0)),
        int(min(math.ceil(v1 + 0.5), height - 1)),
    )


@device
def clip(
    rate: float, room: float, face: int, span: tuple[float, float, int]
) -> tuple[float, float, int]:
    """Cut the ray's span inside a convex solid by one more plane: n·direction, h - n·origin and the plane's number."""
    enter, leave, at = span
    if rate > 0:
        leave = min(leave, room / rate)
    elif rate < 0:
        t = room / rate
        if t > enter:
            enter, at = t, face
    elif room < 0:
        leave = -1.0
    return enter, leave, at


@device
def box_span(o: Colour, r: Colour, low: Colour, high: Colour) -> tuple[float, float, int]:
    """Span of a ray in a box; faces: 0/1 rear and front, 2/3 right and left, 4/5 bottom and top."""
    span = (0.0, 1e9, -1)
    span = clip(-r[0], o[0] - low[0], 0, span)
    span = clip(r[0], high[0] - o[0], 1, span)
    span = clip(-r[1], o[1] - low[1], 2, span)
    span = clip(r[1], high[1] - o[1], 3, span)
    span = clip(-r[2], o[2] - low[2], 4, span)
    return clip(r[2], high[2] - o[2], 5, span)


@device
def cabin_span(o: Colour, r: Colour, thing: Floats, belt: float) -> tuple[float, float, int]:
    """Span of a ray in a car's cabin: sides, windscreen and rear window lean inwards."""
    a, b, top = thing[HALF_LENGTH], thing[HALF_WIDTH], thing[HEIGHT]
    up = o[2] - belt
    span = (0.0, 1e9, -1)
    span = clip(-r[0] + 0.55 * r[2], 0.78 * a + o[0] - 0.55 * up, 0, span)
    span = clip(r[0] + 1.1 * r[2], 0.42 * a - o[0] - 1.1 * up, 1, span)
    span = clip(-r[1] + 0.25 * r[2], b - 0.04 + o[1] - 0.25 * up, 2, span)
    span = clip(r[1] + 0.25 * r[2], b - 0.04 - o[1] - 0.25 * up, 3, span)
    span = clip(-r[2], up, 4, span)
    return clip(r[2], top - o[2], 5, span)


@device
def car_surface(
    thing: Floats, light: Light, x: float, y: float, z: float, face: int, cabin: bool
) -> tuple[float, float, float, float]:
    """(red, green, blue, glow) of a point of a car in its own frame; glow 1 shines by itself."""
    a, b, c = thing[HALF_LENGTH], thing[HALF_WIDTH], thing[HEIGHT]
    if cabin:
        if face < 4 and z < c - 0.12 and abs(x + 0.12 * a) > 0.06:
            return 38.0, 44.0, 52.0, 0.0
        return thing[RED], thing[GREEN], thing[BLUE], 0.0
    lamp = 0.75 if c < 2.5 else 0.95
    if face < 2:
        if abs(y) > b - 0.38 and lamp - 0.11 < z < lamp + 0.11:
            if face == 0:
                return (235.0, 35.0, 25.0, 1.0) if light.night else (165.0, 22.0, 20.0, 0.0)
            return (255.0, 250.0, 230.0, 1.0) if light.night else (215.0, 218.0, 222.0, 0.0)
        if abs(y) < 0.26 and 0.5 < z < 0.62:
            return 205.0, 205.0, 200.0, 0.3
    if z < 0.42 and face < 4 and c < 2.5:
        return 34.0, 34.0, 36.0, 0.0
    if c > 2.5 and z < 1.0:
        return 30.0, 30.0, 32.0, 0.0
    if 2 <= face < 4:
        wheel = (abs(x) - 0.62 * a) ** 2 + (z - 0.34) ** 2
        if wheel < 0.35**2:
            return (120.0, 122.0, 125.0, 0.0) if wheel < 0.17**2 else (22.0, 22.0, 24.0, 0.0)
    return thing[RED], thing[GREEN], thing[BLUE], 0.0


@device
def face_light(thing: Floats, light: Light, face: int) -> float:
    """Daylight on a face of a box or car."""
    if light.night or face < 0:
        return 0.9
    if face >= 4:
        return 0.65 + 0.5 * light.sun_up
    sign = 1.0 if face & 1 else -1.0
    x, y = (thing[COS], thing[SIN]) if face < 2 else (-thing[SIN], thing[COS])
    facing = float(sign * (x * light.sun_cos + y * light.sun_sin))
    return 0.62 + 0.42 * max(0.0, facing)


@device
def draw(
    thing: Floats,
    light: Light,
    eye: Floats,
    rotation: Floats,
    lens: Floats,
    corners: Floats,
    rgb: NDArray[np.uint8],
    depth: NDArray[np.float32],
) -> None:
    """Draw one object over what is there, nearest wins; `lens` is fx, fy, cx, cy, `corners` scratch."""
    u0, u1, v0, v1 = bounds(
        thing, 0.0, eye, rotation, lens, corners, depth.shape[1], depth.shape[0]
    )
    kind = int(thing[KIND])
    a, b, c = thing[HALF_LENGTH], thing[HALF_WIDTH], thing[HEIGHT]
    cx, cy, cz = thing[X] - eye[0], thing[Y] - eye[1], thing[Z] - eye[2]
    ox, oy = -cx * thing[COS] - cy * thing[SIN], cx * thing[SIN] - cy * thing[COS]
    oz = -cz - thing[GRADE] * ox
    origin = (ox, oy, oz)
    belt = 0.58 * c
    for v in range(v0, v1 + 1):
        down = (v - lens[3]) / lens[1]
        for u in range(u0, u1 + 1):
            right = (u - lens[2]) / lens[0]
            rx = rotation[0, 2] + right * rotation[0, 0] + down * rotation[0, 1]
            ry = rotation[1, 2] + right * rotation[1, 0] + down * rotation[1, 1]
            rz = rotation[2, 2] + right * rotation[2, 0] + down * rotation[2, 1]
            share, t, glow, day = 1.0, 0.0, 0.0, 1.0
            red, green, blue = thing[RED], thing[GREEN], thing[BLUE]
            if kind == CYLINDER:
                flat = rx * rx + ry * ry
                t = (cx * rx + cy * ry) / flat
                aside = (cx * ry - cy * rx) / math.sqrt(flat)
                pixel = t / lens[0]
                share = min(max((a - abs(aside)) / pixel + 0.5, 0.0), 1.0) * min(1.0, 2 * a / pixel)
                if t < NEAR_M or share <= 0.0:
                    continue
                t -= math.sqrt(max(a * a - aside * aside, 0.0) / flat)
                rise = t * rz - cz
                share *= min(max((c - rise) / pixel + 0.5, 0.0), 1.0) * min(
                    max(rise / pixel + 0.5, 0.0), 1.0
                )
                day = 0.85 - 0.25 * aside / a
                if thing[PATTERN] == BANDED and 0.62 * c < rise < 0.85 * c:
                    red, green, blue = 30.0, 30.0, 32.0
                    if 0.68 * c < rise < 0.8 * c:
                        red, green, blue, glow = 240.0, 190.0, 90.0, 0.5
            elif kind == ELLIPSOID:
                hz = 0.5 * c
                qx, qy, qz = cx / a, cy / a, (cz + hz) / hz
                sx, sy, sz = rx / a, ry / a, rz / hz
                length = sx * sx + sy * sy + sz * sz
                t = (qx * sx + qy * sy + qz * sz) / length
                px, py, pz = t * sx - qx, t * sy - qy, t * sz - qz
                gap = math.sqrt(px * px + py * py + pz * pz)
                if t < NEAR_M or gap > 1.3:
                    continue
                t -= math.sqrt(max(1.0 - gap * gap, 0.0) / length)
                px, py, pz = t * sx - qx, t * sy - qy, t * sz - qz
                pixel = t / lens[0] / a
                grain = 6.0 * a
                fine = sample(
                    light.tile,
                    (px + pz) * grain + thing[X],
                    (py - 0.6 * pz) * grain + thing[Y],
                    pixel * grain,
                )
                share = min(max((1.0 + 0.3 * fine - gap) / pixel + 0.5, 0.0), 1.0)
                day = (0.62 + 0.3 * pz + 0.22 * (px * light.sun_cos + py * light.sun_sin)) * (
                    1.0 + 0.7 * fine
                )
            else:
                x = rx * thing[COS] + ry * thing[SIN]
                y = ry * thing[COS] - rx * thing[SIN]
                ray = (x, y, rz - thing[GRADE] * x)
                cabin = False
                if kind == BOX:
                    t, leave, face = box_span(origin, ray, (-a, -b, 0.0), (a, b, c))
                else:
                    top = belt if c < 2.5 else c
                    t, leave, face = box_span(
                        origin, ray, (-a, -b, 0.16 if c < 2.5 else 0.3), (a, b, top)
                    )
                    if c < 2.5:
                        t2, leave2, face2 = cabin_span(origin, ray, thing, belt)
                        if leave2 > t2 and (leave <= t or t2 < t):
                            t, leave, face, cabin = t2, leave2, face2, True
                if leave <= t or t < NEAR_M:
                    continue
                x, y, z = ox + t * ray[0], oy + t * ray[1], oz + t * ray[2]
                if kind == CAR:
                    red, green, blue, glow = car_surface(thing, light, x, y, z, face, cabin)
                elif thing[PATTERN] == SIGN and face == 0:
                    border = min(b - abs(y), min(z, c - z)) < 0.12
                    words = abs(z / c - 0.3) < 0.09 or abs(z / c - 0.68) < 0.1
                    if border or (words and abs(y) < 0.6 * b and math.floor(y * 4.0) % 3 != 0):
                        red, green, blue = 235.0, 235.0, 235.0
                day = face_light(thing, light, face)
            if share <= 0.0 or t > depth[v, u] * 1.0005:
                continue
            if light.night:
                day *= max(lit(light, t, t * right, -t * down), light.ambient)
                day += (1.0 - day) * max(
                    glow, thing[RETRO] * min(1.0, 60.0 / t) if t < 200 else 0.0
                )
            red, green, blue = hazed(light, red * day, green * day, blue * day, t)
            rgb[v, u, 0] = np.uint8(
                min(max(rgb[v, u, 0] + share * (red - rgb[v, u, 0]), 0.0), 255.0) + 0.5
            )
            rgb[v, u, 1] = np.uint8(
                min(max(rgb[v, u, 1] + share * (green - rgb[v, u, 1]), 0.0), 255.0) + 0.5
            )
            rgb[v, u, 2] = np.uint8(
                min(max(rgb[v, u, 2] + share * (blue - rgb[v, u, 2]), 0.0), 255.0) + 0.5
            )
            if share >= 0.5:
                depth[v, u] = t


@device
def shade_ground(
    thing: Floats,
    eye: Floats,
    rotation: Floats,
    lens: Floats,
    corners: Floats,
    rgb: NDArray[np.uint8],
    depth: NDArray[np.float32],
) -> None:
    """Darken the ground under a car, with a soft edge of SOFT_M: its contact shadow."""
    u0, u1, v0, v1 = bounds(
        thing, SOFT_M, eye, rotation, lens, corners, depth.shape[1], depth.shape[0]
    )
    for v in range(v0, v1 + 1):
        down = (v - lens[3]) / lens[1]
        for u in range(u0, u1 + 1):
            t = depth[v, u]
            right = (u - lens[2]) / lens[0]
            x = (
                eye[0]
                + t * (rotation[0, 2] + right * rotation[0, 0] + down * rotation[0, 1])
                - thing[X]
            )
            y = (
                eye[1]
                + t * (rotation[1, 2] + right * rotation[1, 0] + down * rotation[1, 1])
                - thing[Y]
            )
            z = (
                eye[2]
                + t * (rotation[2, 2] + right * rotation[2, 0] + down * rotation[2, 1])
                - thing[Z]
            )
            along, aside = x * thing[COS] + y * thing[SIN], y * thing[COS] - x * thing[SIN]
            if abs(z - along * thing[GRADE]) > 0.3:
                continue
            inside = (
                min(thing[HALF_LENGTH] - abs(along), thing[HALF_WIDTH] - abs(aside)) / (2 * SOFT_M)
                + 0.5
            )
            if inside > 0:
                keep = 1.0 - 0.6 * min(inside, 1.0)
                for k in range(3):
                    rgb[v, u, k] = np.uint8(rgb[v, u, k] * keep)
