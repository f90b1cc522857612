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
    """Factor on a colour at a point `depth` ahead, `across` right and `up` above the eye."""
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
    """Painted share of a pixel with footprint fs x fd, on the main road's carriageways."""
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


class Spot(NamedTuple):
    """A point of the ground under a pixel."""

    x: float
    y: float
    s: float
    d: float
    """Station along and distance left of the main road's axis, m."""
    s2: float
    d2: float
    """The same of the ramp; AWAY where there is none."""
    fs: float
    fd: float
    """The pixel's footprint along and across the road, m."""


@device
def painted(g: Ground, at: Spot, paved: float) -> tuple[float, float]:
    """(paved, painted) shares of a pixel, the ramp and its edge lines included."""
    paint = 0.0
    if paved > 0:
        paint = lane_lines(g, at.s, at.d, at.fs, at.fd, at.s2 if at.d2 < AWAY else 0.0)
    if at.d2 < AWAY:
        left = 0.5 * g.lane_width
        right = left - ramp_opening(g, at.s2)
        half = 0.5 * LINE_M
        if right < left - 0.5:
            paved = max(paved, covered(right - 1.8, left + 1.0, at.d2, at.fd))
            paint = max(paint, covered(right - half, right + half, at.d2, at.fd))
            if at.s2 > g.gore:
                paint = max(paint, covered(left - half, left + half, at.d2, at.fd))
    return paved, paint


@device
def asphalt(g: Ground, light: Light, at: Spot, footprint: float, paint: float) -> Colour:
    """A lane: aggregate, wheel tracks, joints, patches and worn paint."""
    coarse = sample(light.tile, at.s * 0.45 + 9.0, at.d * 1.9, footprint * 1.2)
    across = at.d / g.lane_width + 0.5 * g.lanes
    lane = math.floor(across)
    aside = abs(across - lane - 0.5) * g.lane_width
    tone = 1.0 + 0.16 * coarse - 0.07 * max(0.0, 1.0 - abs(aside - 0.75) / 0.35)
    if footprint < 0.4:
        tone += 0.28 * sample(light.tile, at.s * 22.0, at.d * 22.0, footprint * 22.0)
    if at.fs < 1.5:
        joint = dashed(at.s + 0.4 * coarse, at.fs, 37.0, 0.12)
        joint += 0.5 * covered(-0.02, 0.02, 0.5 * g.lane_width - aside, at.fd)
        tone *= 1.0 - 0.35 * min(joint, 1.0)
    # A hash of the stretch and its lane chooses the patches: 1 in 16 darker, 1 in 16 lighter.
    patch = int(math.floor(at.s / 19.0) * 7919 + lane * 104729) & 15
    if patch < 2:
        inside = dashed(at.s, at.fs, 19.0, 8.0)
        tone *= 1.0 - inside * (0.14 if patch == 0 else -0.1)
    red, green, blue = light.asphalt[0] * tone, light.asphalt[1] * tone, light.asphalt[2] * tone
    if paint > 0:
        worn_off = paint * (0.9 + 0.25 * coarse)
        red += worn_off * (225.0 - red)
        green += worn_off * (225.0 - green)
        blue += worn_off * (218.0 - blue)
    return red, green, blue


@device
def verge(g: Ground, light: Light, at: Spot, footprint: float) -> Colour:
    """Grass and soil beside the road, drier towards it."""
    medium = sample(light.tile, at.x * 1.1 + 40.0, at.y * 1.1, footprint * 1.1)
    coarse = sample(light.tile, at.x * 0.07, at.y * 0.07 + 11.0, footprint * 0.07)
    tone = 1.0 + 0.3 * medium
    if footprint < 1.0:
        tone += 0.45 * sample(light.tile, at.x * 9.0, at.y * 9.0, footprint * 9.0)
    dry = min(max(0.35 + 1.3 * coarse + 0.5 * medium, 0.0), 1.0)
    if at.d2 >= AWAY:
        beside = (g.right_paved - at.d) if at.d < 0 else (at.d - g.far_left)
        dry = max(dry, 0.9 - 0.6 * min(max(beside, 0.0), 1.6))
    return (
        (light.grass[0] + dry * (light.soil[0] - light.grass[0])) * tone,
        (light.grass[1] + dry * (light.soil[1] - light.grass[1])) * tone,
        (light.grass[2] + dry * (light.soil[2] - light.grass[2])) * tone,
    )


@device
def ground_colour(g: Ground, light: Light, at: Spot) -> Colour:
    """The ground's own colour at a point."""
    paved = covered(g.right_paved, g.left_paved, at.d, at.fd)
    if g.median > 0 and at.d > g.left_paved:
        paved += covered(g.left_paved + g.median, g.far_left, at.d, at.fd)
    paved, paint = painted(g, at, paved)
    footprint = math.sqrt(at.fs * at.fd)
    red, green, blue = 0.0, 0.0, 0.0
    if paved > 0:
        red, green, blue = asphalt(g, light, at, footprint, paint)
    if paved < 1.0:
        r, e, b = verge(g, light, at, footprint)
        red, green, blue = r + paved * (red - r), e + paved * (green - e), b + paved * (blue - b)
    return red, green, blue
