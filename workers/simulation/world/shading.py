"""Colours of ground and sky under the sun or the ego's headlights."""

import math
from typing import NamedTuple

from workers.simulation.world.compiled import device
from workers.simulation.world.ground import AWAY, Ground
from workers.simulation.world.texture import Pyramid, covered, dashed, sample

Colour = tuple[float, float, float]
LINE_M = 0.15
DASH_PERIOD_M = 12.0
DASH_M = 4.5


class Light(NamedTuple):
    """What the light does to colours; colours are red, green, blue in 0-255."""

    tile: Pyramid
    night: bool
    ambient: float
    """Share of a colour that is seen without headlights."""
    beam: float
    """Share that full headlights add."""
    horizon: Colour
    zenith: Colour
    asphalt: Colour
    grass: Colour
    soil: Colour
    sun_cos: float
    """Direction of the sun over the ground, and its elevation's sine."""
    sun_sin: float
    sun_up: float


@device
def lit(light: Light, depth: float, across: float, up: float) -> float:
    """Factor on a surface's colour at a point `depth` ahead, `across` to the right and `up` above the camera."""
    if not light.night:
        return light.ambient
    reach = depth * depth + across * across
    aside = across / (3.0 + 0.32 * depth)
    above = max(up + 0.9, 0.0) / (0.6 + 0.05 * depth)
    return light.ambient + light.beam / (
        (1.0 + reach / 500.0) * (1.0 + aside**4) * (1.0 + above * above)
    )


@device
def hazed(light: Light, red: float, green: float, blue: float, depth: float) -> Colour:
    """Distance takes colours towards the horizon's."""
    haze = depth / (depth + 1100.0)
    haze *= haze * 3.0 if depth < 300 else haze + 0.5
    haze = min(haze, 0.9)
    return (
        red + haze * (light.horizon[0] - red),
        green + haze * (light.horizon[1] - green),
        blue + haze * (light.horizon[2] - blue),
    )


@device
def sky(light: Light, x: float, y: float, z: float) -> Colour:
    """The sky in a direction (any length, z up)."""
    flat = math.sqrt(x * x + y * y)
    rise = min(max(z / flat, 0.0), 1.0)
    mix = rise / (rise + 0.25)
    red = light.horizon[0] + mix * (light.zenith[0] - light.horizon[0])
    green = light.horizon[1] + mix * (light.zenith[1] - light.horizon[1])
    blue = light.horizon[2] + mix * (light.zenith[2] - light.horizon[2])
    if not light.night and rise > 0.01:
        scale = 1.0 / (rise + 0.08)
        u, v = x / flat * scale, y / flat * scale
        cloud = sample(light.tile, 2.1 * u + 31.0, 2.1 * v, 1.0)
        cloud = min(max(cloud * 2.0 - 0.1, 0.0), 1.0) * min(rise * 12.0, 1.0) * 0.6
        red += cloud * (235.0 - red)
        green += cloud * (238.0 - green)
        blue += cloud * (242.0 - blue)
    return red, green, blue


@device
def lane_lines(g: Ground, s: float, d: float, fs: float, fd: float, s2: float) -> float:
    """Share of a pixel with footprint fs x fd that is painted, on the carriageways of the main road."""
    half = 0.5 * g.lanes * g.lane_width
    axis = d
    if g.median > 0 and d > g.left_paved + 0.5 * g.median:
        axis = d - (g.left_paved + g.median + 1.0 + half)
    line = min(max(math.floor((half - axis) / g.lane_width + 0.5), 0.0), float(g.lanes))
    at = half - line * g.lane_width
    width = LINE_M
    if abs(axis - at) > 0.5 * (width + fd):
        return 0.0
    if line == 0.0 or line == g.lanes:
        paint = covered(at - 0.5 * width, at + 0.5 * width, axis, fd)
        if line == g.lanes and axis == d and g.has_ramp and g.taper_start < s2 < g.gore:
            width = 2.0 * LINE_M
            paint = covered(at - 0.5 * width, at + 0.5 * width, axis, fd) * dashed(s2, fs, 6.0, 3.0)
        return paint
    return covered(at - 0.5 * width, at + 0.5 * width, axis, fd) * dashed(
        s, fs, DASH_PERIOD_M, DASH_M
    )


@device
def ramp_opening(g: Ground, s2: float) -> float:
    """Width of the exit lane: 0 before its taper, the lane's width after it."""
    t = min(max((s2 - g.taper_start) / g.taper_length, 0.0), 1.0)
    return g.lane_width * t * t * (3.0 - 2.0 * t)


@device
def ground_colour(
    g: Ground,
    light: Light,
    x: float,
    y: float,
    s: float,
    d: float,
    s2: float,
    d2: float,
    fs: float,
    fd: float,
) -> Colour:
    """The ground's own colour at a point with the pixel's footprint there: fs along and fd across the road."""
    paved = covered(g.right_paved, g.left_paved, d, fd)
    if g.median > 0 and d > g.left_paved:
        paved += covered(g.left_paved + g.median, g.far_left, d, fd)
    paint = 0.0
    if paved > 0:
        paint = lane_lines(g, s, d, fs, fd, s2 if d2 < AWAY else 0.0)
    if d2 < AWAY:
        left = 0.5 * g.lane_width
        right = left - ramp_opening(g, s2)
        if right < left - 0.5:
            own = covered(right - 1.8, left + 1.0, d2, fd)
            if own > paved:
                paved = own
            paint = max(paint, covered(right - 0.5 * LINE_M, right + 0.5 * LINE_M, d2, fd))
            if s2 > g.gore:
                paint = max(paint, covered(left - 0.5 * LINE_M, left + 0.5 * LINE_M, d2, fd))
    footprint = math.sqrt(fs * fd)
    red, green, blue = 0.0, 0.0, 0.0
    if paved > 0:
        coarse = sample(light.tile, s * 0.45 + 9.0, d * 1.9, footprint * 1.2)
        across = d / g.lane_width + 0.5 * g.lanes
        lane = math.floor(across)
        aside = abs(across - lane - 0.5) * g.lane_width
        tone = 1.0 + 0.16 * coarse - 0.07 * max(0.0, 1.0 - abs(aside - 0.75) / 0.35)
        if footprint < 0.4:
            tone += 0.28 * sample(light.tile, s * 22.0, d * 22.0, footprint * 22.0)
        if fs < 1.5:
            joint = dashed(s + 0.4 * coarse, fs, 37.0, 0.12)
            joint += 0.5 * covered(-0.02, 0.02, 0.5 * g.lane_width - aside, fd)
            tone *= 1.0 - 0.35 * min(joint, 1.0)
        draw = int(math.floor(s / 19.0) * 7919 + lane * 104729) & 15
        if draw < 2:
            inside = dashed(s, fs, 19.0, 8.0)
            tone *= 1.0 - inside * (0.14 if draw == 0 else -0.1)
        red, green, blue = light.asphalt[0] * tone, light.asphalt[1] * tone, light.asphalt[2] * tone
        if paint > 0:
            worn_off = paint * (0.9 + 0.25 * coarse)
            red += worn_off * (225.0 - red)
            green += worn_off * (225.0 - green)
            blue += worn_off * (218.0 - blue)
    if paved < 1.0:
        medium = sample(light.tile, x * 1.1 + 40.0, y * 1.1, footprint * 1.1)
        coarse = sample(light.tile, x * 0.07, y * 0.07 + 11.0, footprint * 0.07)
        tone = 1.0 + 0.3 * medium
        if footprint < 1.0:
            tone += 0.45 * sample(light.tile, x * 9.0, y * 9.0, footprint * 9.0)
        dry = min(max(0.35 + 1.3 * coarse + 0.5 * medium, 0.0), 1.0)
        if d2 >= AWAY:
            verge = (g.right_paved - d) if d < 0 else (d - g.far_left)
            dry = max(dry, 0.9 - 0.6 * min(max(verge, 0.0), 1.6))
        r2 = (light.grass[0] + dry * (light.soil[0] - light.grass[0])) * tone
        g2 = (light.grass[1] + dry * (light.soil[1] - light.grass[1])) * tone
        b2 = (light.grass[2] + dry * (light.soil[2] - light.grass[2])) * tone
        red, green, blue = (
            r2 + paved * (red - r2),
            g2 + paved * (green - g2),
            b2 + paved * (blue - b2),
        )
    return red, green, blue
