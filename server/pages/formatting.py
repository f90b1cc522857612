"""Numbers, times and names as people read them; the filters of the templates."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from server.markup import code
from suites.metrics.registry import METRICS
from suites.verdict.sentence import percent, share

DASH = "–"
OUTCOMES = {
    "completed": "completed",
    "failed": "failed",
    "left_trust_region": "left the trust region",
    "policy_failed": "model failed",
    "data_invalid": "data invalid",
    "infra_failed": "could not be driven",
}


UNIT_ENDINGS = {"m": "_m", "rad": "_rad", "s": "_s", "m/s²": "_mps2", "m/s³": "_mps3"}
"""How the names of metrics say their unit."""


def number(value: float | None, unit: str = "") -> str:
    """`0.312 m`: three significant digits, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return DASH
    value += 0.0  # no negative zero
    shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return shown + (f" {unit}" if unit not in ("", "1") else "")


def change(value: float | None, unit: str = "") -> str:
    """`+0.31 m`."""
    return DASH if value is None else ("+" if value > 0 else "") + number(value, unit)


def relative(value: float | None) -> str:
    """`+3.1 %`."""
    return DASH if value is None else percent(value)


def span(seconds: float | None) -> str:
    """`12 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds is None:
        return DASH
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(when: datetime | None) -> str:
    """`2026-11-22 11:05 UTC`."""
    return DASH if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def ago(when: datetime) -> str:
    """`3 min ago`."""
    seconds = (datetime.now(UTC) - when).total_seconds()
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {name} ago"
    return "just now"


def offset(lateral_m: float, longitudinal_m: float = 0.0, heading_rad: float = 0.0) -> str:
    """`0.50 m left, 1.0° right`: where a rollout starts beside the log."""
    parts = [
        f"{abs(size):.{digits}f}{unit} {more if size > 0 else less}"
        for size, digits, unit, more, less in (
            (lateral_m, 2, " m", "left", "right"),
            (longitudinal_m, 1, " m", "ahead", "behind"),
            (math.degrees(heading_rad), 1, "°", "left", "right"),
        )
        if size
    ]
    return ", ".join(parts) or "on the log"


def offset_words(name: str) -> str:
    """The same of an offset as cases are named by it: `+0.50m+0.0m+0.0deg`."""
    parts = re.fullmatch(r"([+-][\d.]+)m([+-][\d.]+)m([+-][\d.]+)deg", name)
    if parts is None:
        return name
    lateral, longitudinal, degrees = map(float, parts.groups())
    return offset(lateral, longitudinal, math.radians(degrees))


def reason(sentence: str) -> str:
    """A verdict's sentence without its first word, for where that word stands large above it."""
    word, _, rest = sentence.partition(" ")
    if word.rstrip(":") not in ("PASS", "FAIL", "INCONCLUSIVE"):
        return sentence
    return (
        rest if "_" in rest.partition(" ")[0] else rest[:1].upper() + rest[1:]
    )  # names of metrics stay as they are


def metric_name(name: str) -> str:
    """`lateral error mean`: a metric's name without its unit."""
    ending = UNIT_ENDINGS.get(METRICS[name].unit, "") if name in METRICS else ""
    bare = name.removesuffix(ending)
    return (bare.removesuffix("_ms") + ", mean square" if bare.endswith("_ms") else bare).replace(
        "_", " "
    )


def metric_unit(name: str) -> str:
    """The unit of a metric; empty for a pure number."""
    known = METRICS[name].unit if name in METRICS else ""
    return "" if known == "1" else known


def metric_text(name: str) -> str:
    """What a metric measures."""
    return METRICS[name].description if name in METRICS else ""


def outcome(value: str | None) -> str:
    """How a rollout ended."""
    return "not driven yet" if value is None else OUTCOMES.get(value, value)


def plain(value: Any) -> str:
    """Any JSON value in one line."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(plain(part) for part in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return DASH if value is None else str(value)


FILTERS: dict[str, Callable[..., str]] = {
    "number": number,
    "change": change,
    "relative": relative,
    "share": share,
    "span": span,
    "moment": moment,
    "ago": ago,
    "reason": reason,
    "metric_name": metric_name,
    "metric_unit": metric_unit,
    "metric_text": metric_text,
    "outcome": outcome,
    "plain": plain,
    "offset_words": offset_words,
    "code": code,
}
