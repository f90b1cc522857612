"""Things on the ground: cylinders, ellipsoids, boxes and cars, each cut by the pixel's own ray.

Every object is a solid fixed in the world, so its depth is right from any camera pose. Thin round
things are blended by their coverage of the pixel; depth is that of the nearest solid which covers
at least half of it.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.simulation.world.compiled import device
from workers.simulation.world.pinhole import Pinhole, ray_of
from workers.simulation.world.profile import Floats
from workers.simulation.world.shading import Colour, Light, hazed, lit
from workers.simulation.world.texture import sample

Bytes = NDArray[np.uint8]
Depths = NDArray[np.float32]
KIND, X, Y, Z, COS, SIN, HALF_LENGTH, HALF_WIDTH, HEIGHT = range(9)
RED, GREEN, BLUE, PATTERN, RETRO, GRADE, REACH = range(9, 16)
"""Columns of an object [16], in metres where lengths.

Z is its lowest point, HEIGHT the full height. GRADE shears it along its own x axis. RETRO is the
share of its colour that headlights return at night, REACH how far it is drawn.
"""
CYLINDER, ELLIPSOID, BOX, CAR = range(4)
PLAIN, BANDED, LEAVES, SIGN = range(4)
NEAR_M = 0.25
SOFT_M = 0.3
TALL_M = 2.5
"""A higher vehicle is a lorry: one box, without a cabin."""


@device
def bounds(
    thing: Floats, grow: float, view: Pinhole, corners: Floats, width: int, height: int
) -> tuple[int, int, int, int]:
    """Columns and rows [u0, u1, v0, v1] that the object's box, grown sideways, may touch.

    u0 > u1 where there are none. `corners` [8, 3] is scratch. Bits of a corner's number:

          6────7      bit 0: front (+) or rear (-)
         /|   /|      bit 1: left (+) or right (-)
        4────5 3      bit 2: top or bottom
        |/   |/
        0────1        an edge joins corners that differ in one bit
    """
    for bits in range(8):
        along = (thing[HALF_LENGTH] + grow) * (1.0 if bits & 1 else -1.0)
        aside = (thing[HALF_WIDTH] + grow) * (1.0 if bits & 2 else -1.0)
        x = thing[X] + along * thing[COS] - aside * thing[SIN] - view.eye[0]
        y = thing[Y] + along * thing[SIN] + aside * thing[COS] - view.eye[1]
        z = thing[Z] + along * thing[GRADE] + (thing[HEIGHT] if bits & 4 else 0.0) - view.eye[2]
        for k in range(3):
            m = view.rotation
            corners[bits, k] = x * m[0, k] + y * m[1, k] + z * m[2, k]
    u0, u1, v0, v1 = math.inf, -math.inf, math.inf, -math.inf
    for bits in range(8):
        for axis in range(3):
            here = corners[bits]
            there = corners[bits ^ (1 << axis)]
            # The end of each edge that is nearer than NEAR_M is cut off there.
            if here[2] < NEAR_M and there[2] < NEAR_M:
                continue
            cut = (NEAR_M - here[2]) / (there[2] - here[2]) if here[2] < NEAR_M else 0.0
            depth = max(here[2], NEAR_M)
            u = view.lens[0] * (here[0] + cut * (there[0] - here[0])) / depth + view.lens[2]
            v = view.lens[1] * (here[1] + cut * (there[1] - here[1])) / depth + view.lens[3]
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
    """Cut the ray's span inside a convex solid by one more plane.

    `rate` is n · direction, `room` is h - n · origin, `face` the plane's number.
    """
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
    """Span of a ray in a box; faces: 0/1 rear, front, 2/3 right, left, 4/5 bottom, top."""
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
    lamp = 0.75 if c < TALL_M else 0.95
    if face < 2:
        if abs(y) > b - 0.38 and lamp - 0.11 < z < lamp + 0.11:
            if face == 0:
                return (235.0, 35.0, 25.0, 1.0) if light.night else (165.0, 22.0, 20.0, 0.0)
            return (255.0, 250.0, 230.0, 1.0) if light.night else (215.0, 218.0, 222.0, 0.0)
        if abs(y) < 0.26 and 0.5 < z < 0.62:
            return 205.0, 205.0, 200.0, 0.3
    if z < 0.42 and face < 4 and c < TALL_M:
        return 34.0, 34.0, 36.0, 0.0
    if c > TALL_M and z < 1.0:
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


class Patch(NamedTuple):
    """What one object shows in one pixel."""

    share: float
    """Of the pixel that it covers; 0 where the ray misses it."""
    t: float
    """Depth along the camera's axis, m."""
    colour: Colour
    day: float
    """Factor of daylight."""
    glow: float
    """1 shines by itself."""


@device
def covering(inside: float, pixel: float) -> float:
    """Share of a pixel's width that lies inside an edge `inside` away."""
    return min(max(inside / pixel + 0.5, 0.0), 1.0)


@device
def cylinder(thing: Floats, focal: float, centre: Colour, ray: Colour) -> Patch:
    """An upright cylinder: a trunk, a post or a delineator. `centre` is seen from the eye."""
    radius, height = thing[HALF_LENGTH], thing[HEIGHT]
    colour = (thing[RED], thing[GREEN], thing[BLUE])
    glow = 0.0
    flat = ray[0] * ray[0] + ray[1] * ray[1]
    t = (centre[0] * ray[0] + centre[1] * ray[1]) / flat  # where the ray is nearest to the axis
    aside = (centre[0] * ray[1] - centre[1] * ray[0]) / math.sqrt(flat)
    pixel = t / focal
    share = covering(radius - abs(aside), pixel) * min(1.0, 2 * radius / pixel)
    if t < NEAR_M or share <= 0.0:
        return Patch(0.0, t, colour, 1.0, glow)
    t -= math.sqrt(max(radius * radius - aside * aside, 0.0) / flat)
    rise = t * ray[2] - centre[2]
    share *= covering(height - rise, pixel) * covering(rise, pixel)
    if thing[PATTERN] == BANDED and 0.62 * height < rise < 0.85 * height:
        colour = (30.0, 30.0, 32.0)
        if 0.68 * height < rise < 0.8 * height:
            colour = (240.0, 190.0, 90.0)
            glow = 0.5
    return Patch(share, t, colour, 0.85 - 0.25 * aside / radius, glow)


@device
def ellipsoid(thing: Floats, light: Light, focal: float, centre: Colour, ray: Colour) -> Patch:
    """Foliage: an ellipsoid whose rim is roughened by texture, in coordinates of its unit ball."""
    radius = thing[HALF_LENGTH]
    half = 0.5 * thing[HEIGHT]
    colour = (thing[RED], thing[GREEN], thing[BLUE])
    qx, qy, qz = centre[0] / radius, centre[1] / radius, (centre[2] + half) / half
    sx, sy, sz = ray[0] / radius, ray[1] / radius, ray[2] / half
    length = sx * sx + sy * sy + sz * sz
    t = (qx * sx + qy * sy + qz * sz) / length
    px, py, pz = t * sx - qx, t * sy - qy, t * sz - qz
    gap = math.sqrt(px * px + py * py + pz * pz)
    if t < NEAR_M or gap > 1.3:
        return Patch(0.0, t, colour, 1.0, 0.0)
    t -= math.sqrt(max(1.0 - gap * gap, 0.0) / length)
    px, py, pz = t * sx - qx, t * sy - qy, t * sz - qz
    pixel = t / focal / radius
    grain = 6.0 * radius
    u = (px + pz) * grain + thing[X]
    v = (py - 0.6 * pz) * grain + thing[Y]
    fine = sample(light.tile, u, v, pixel * grain)
    facing = px * light.sun_cos + py * light.sun_sin
    day = (0.62 + 0.3 * pz + 0.22 * facing) * (1.0 + 0.7 * fine)
    return Patch(covering(1.0 + 0.3 * fine - gap, pixel), t, colour, day, 0.0)


@device
def sign_colour(thing: Floats, y: float, z: float) -> Colour:
    """The face of a road sign: a white border and two lines of white words."""
    half, height = thing[HALF_WIDTH], thing[HEIGHT]
    border = min(half - abs(y), min(z, height - z)) < 0.12
    line = abs(z / height - 0.3) < 0.09 or abs(z / height - 0.68) < 0.1
    if border or (line and abs(y) < 0.6 * half and math.floor(y * 4.0) % 3 != 0):
        return 235.0, 235.0, 235.0
    return thing[RED], thing[GREEN], thing[BLUE]


@device
def solid(thing: Floats, light: Light, origin: Colour, ray: Colour) -> Patch:
    """A box or a car; `origin` is the eye in the object's frame, with its grade sheared away."""
    a, b, c = thing[HALF_LENGTH], thing[HALF_WIDTH], thing[HEIGHT]
    colour = (thing[RED], thing[GREEN], thing[BLUE])
    glow = 0.0
    x = ray[0] * thing[COS] + ray[1] * thing[SIN]
    y = ray[1] * thing[COS] - ray[0] * thing[SIN]
    own = (x, y, ray[2] - thing[GRADE] * x)
    cabin = False
    if thing[KIND] == BOX:
        t, leave, face = box_span(origin, own, (-a, -b, 0.0), (a, b, c))
    else:
        low = c < TALL_M
        belt = 0.58 * c
        floor = 0.16 if low else 0.3
        t, leave, face = box_span(origin, own, (-a, -b, floor), (a, b, belt if low else c))
        if low:
            t2, leave2, face2 = cabin_span(origin, own, thing, belt)
            if leave2 > t2 and (leave <= t or t2 < t):
                t, leave, face, cabin = t2, leave2, face2, True
    if leave <= t or t < NEAR_M:
        return Patch(0.0, t, colour, 1.0, glow)
    x, y, z = origin[0] + t * own[0], origin[1] + t * own[1], origin[2] + t * own[2]
    if thing[KIND] == CAR:
        red, green, blue, glow = car_surface(thing, light, x, y, z, face, cabin)
        colour = (red, green, blue)
    elif thing[PATTERN] == SIGN and face == 0:
        colour = sign_colour(thing, y, z)
    return Patch(1.0, t, colour, face_light(thing, light, face), glow)


@device
def blended(below: np.uint8, share: float, colour: float) -> np.uint8:
    """One channel of a pixel after a share of it is covered."""
    return np.uint8(min(max(below + share * (colour - below), 0.0), 255.0) + 0.5)


@device
def draw(
    thing: Floats, light: Light, view: Pinhole, corners: Floats, rgb: Bytes, depth: Depths
) -> None:
    """Draw one object over what is there; the nearest wins. `corners` [8, 3] is scratch."""
    u0, u1, v0, v1 = bounds(thing, 0.0, view, corners, depth.shape[1], depth.shape[0])
    kind = int(thing[KIND])
    cx, cy, cz = thing[X] - view.eye[0], thing[Y] - view.eye[1], thing[Z] - view.eye[2]
    ox = -cx * thing[COS] - cy * thing[SIN]
    oy = cx * thing[SIN] - cy * thing[COS]
    oz = -cz - thing[GRADE] * ox
    for v in range(v0, v1 + 1):
        down = (v - view.lens[3]) / view.lens[1]
        for u in range(u0, u1 + 1):
            right = (u - view.lens[2]) / view.lens[0]
            ray = ray_of(view, right, down)
            if kind == CYLINDER:
                seen = cylinder(thing, view.lens[0], (cx, cy, cz), ray)
            elif kind == ELLIPSOID:
                seen = ellipsoid(thing, light, view.lens[0], (cx, cy, cz), ray)
            else:
                seen = solid(thing, light, (ox, oy, oz), ray)
            t = seen.t
            day = seen.day
            if seen.share <= 0.0 or t > depth[v, u] * 1.0005:
                continue
            if light.night:
                day *= max(lit(light, t, t * right, -t * down), light.ambient)
                returned = thing[RETRO] * min(1.0, 60.0 / t) if t < 200 else 0.0
                day += (1.0 - day) * max(seen.glow, returned)
            red, green, blue = seen.colour
            red, green, blue = hazed(light, red * day, green * day, blue * day, t)
            rgb[v, u, 0] = blended(rgb[v, u, 0], seen.share, red)
            rgb[v, u, 1] = blended(rgb[v, u, 1], seen.share, green)
            rgb[v, u, 2] = blended(rgb[v, u, 2], seen.share, blue)
            if seen.share >= 0.5:
                depth[v, u] = t


@device
def shade_ground(thing: Floats, view: Pinhole, corners: Floats, rgb: Bytes, depth: Depths) -> None:
    """Darken the ground under a car, with a soft edge of SOFT_M: its contact shadow."""
    u0, u1, v0, v1 = bounds(thing, SOFT_M, view, corners, depth.shape[1], depth.shape[0])
    for v in range(v0, v1 + 1):
        down = (v - view.lens[3]) / view.lens[1]
        for u in range(u0, u1 + 1):
            t = depth[v, u]
            ray = ray_of(view, (u - view.lens[2]) / view.lens[0], down)
            x = view.eye[0] + t * ray[0] - thing[X]
            y = view.eye[1] + t * ray[1] - thing[Y]
            z = view.eye[2] + t * ray[2] - thing[Z]
            along = x * thing[COS] + y * thing[SIN]
            aside = y * thing[COS] - x * thing[SIN]
            if abs(z - along * thing[GRADE]) > 0.3:
                continue
            room = min(thing[HALF_LENGTH] - abs(along), thing[HALF_WIDTH] - abs(aside))
            inside = room / (2 * SOFT_M) + 0.5
            if inside > 0:
                keep = 1.0 - 0.6 * min(inside, 1.0)
                for k in range(3):
                    rgb[v, u, k] = np.uint8(rgb[v, u, k] * keep)
