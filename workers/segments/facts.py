"""What suites select a segment by: computed from its log, or stated by whoever imports it."""

import math
from dataclasses import asdict, dataclass, replace

import numpy as np

from suites.segment import UNKNOWN, Facts, Floats, SegmentMeta, TimeOfDay

ROBUST_SHARE = 0.99
SLOW_MPS = 5.0
SUNRISE_DEG, DUSK_DEG = -0.833, -6.0
"""Elevation of the sun's centre: when its upper edge, lifted by refraction, is at the horizon; and
at the end of civil twilight."""
J2000_UNIX_S = 946_728_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What an importer is told, because no log tells it."""

    facts: Facts = UNKNOWN
    tags: tuple[str, ...] = ()


NOTHING = Stated()


def motion_facts(speed_mps: Floats, curvature: Floats) -> Facts:
    """Of [N] frames, NaN where missing. Curvature counts above SLOW_MPS: below, it is noise."""
    speed = speed_mps[np.isfinite(speed_mps)]
    bends = np.abs(curvature[np.isfinite(curvature) & (speed_mps > SLOW_MPS)])
    return Facts(
        mean_speed_mps=float(speed.mean()) if len(speed) else None,
        max_speed_mps=float(speed.max()) if len(speed) else None,
        max_curvature=float(np.quantile(bends, ROBUST_SHARE)) if len(bends) else None,
    )


def with_stated(meta: SegmentMeta, stated: Stated) -> SegmentMeta:
    """The meta with what was stated by hand over what was found; `origin` keeps the note of it."""
    facts = {name: value for name, value in asdict(stated.facts).items() if value is not None}
    note = facts | ({"tags": list(stated.tags)} if stated.tags else {})
    if not note:
        return meta
    return replace(
        meta,
        facts=replace(meta.facts, **facts),
        tags=tuple(sorted({*meta.tags, *stated.tags})),
        origin={**meta.origin, "stated": note},
    )


def time_of_day(sun_deg: float) -> TimeOfDay:
    """From the sun's elevation, degrees."""
    return "day" if sun_deg > SUNRISE_DEG else "twilight" if sun_deg >= DUSK_DEG else "night"


def sun_elevation_deg(unix_s: float, latitude_deg: float, longitude_deg: float) -> float:
    """Of the sun's centre, without refraction, to some hundredths of a degree from 1950 to 2050.

    Low-precision formulas of the Astronomical Almanac (U.S. Naval Observatory and H.M. Nautical
    Almanac Office), section C.
    """
    days = (unix_s - J2000_UNIX_S) / 86_400.0
    # where the earth is on its orbit, and the sun's longitude on the ecliptic
    anomaly = math.radians(357.528 + 0.9856003 * days)
    ecliptic = math.radians(
        280.460 + 0.9856474 * days + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly)
    )
    # from the ecliptic to the equator
    tilt = math.radians(23.439 - 0.0000004 * days)
    ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    # from the equator to the horizon of the place
    sidereal = math.radians(280.46062 + 360.98564737 * days)
    hour_angle = sidereal + math.radians(longitude_deg) - ascension
    latitude = math.radians(latitude_deg)
    along = math.cos(latitude) * math.cos(declination) * math.cos(hour_angle)
    height = math.sin(latitude) * math.sin(declination) + along
    return math.degrees(math.asin(max(-1.0, min(1.0, height))))
