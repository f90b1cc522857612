"""The filters of the templates: times, names and numbers as people read them."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from server.markup import code
from suites.formatting import DASH, change_text, duration, margin_text, number, percent, share
from suites.metrics.registry import METRICS

UNIT_ENDINGS = {"m": "_m", "rad": "_rad", "s": "_s", "m/s²": "_mps2", "m/s³": "_mps3"}
"""How the names of metrics say their unit."""


def change(value: float | None, unit: str = "") -> str:
    """`+0.31 m`."""
    return DASH if value is None else ("+" if value > 0 else "") + number(value, unit)


def fixed(value: float, digits: int = 2) -> str:
    """`2.45`: always as many decimals."""
    return f"{value:.{digits}f}"


def evidence(e_value: float) -> str:
    """`3.1`, `1,250`: an e-value, of which two digits say enough while it is small."""
    return f"{e_value:.2g}" if e_value < 100 else number(e_value)


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
    parts = []
    if lateral_m:
        parts.append(f"{abs(lateral_m):.2f} m {'left' if lateral_m > 0 else 'right'}")
    if longitudinal_m:
        parts.append(f"{abs(longitudinal_m):.1f} m {'ahead' if longitudinal_m > 0 else 'behind'}")
    if heading_rad:
        degrees = math.degrees(abs(heading_rad))
        parts.append(f"{degrees:.1f}° {'left' if heading_rad > 0 else 'right'}")
    return ", ".join(parts) or "on the log"


def offset_words(name: str) -> str:
    """The same of an offset as cases are named by it: `+0.50m+0.0m+0.0deg`."""
    parts = re.fullmatch(r"([+-][\d.]+)m([+-][\d.]+)m([+-][\d.]+)deg", name)
    if parts is None:
        return name
    lateral, longitudinal, degrees = map(float, parts.groups())
    return offset(lateral, longitudinal, math.radians(degrees))


def reason(sentence: str) -> str:
    """A verdict's sentence without its first word, which the page shows in large above it."""
    word, _, rest = sentence.partition(" ")
    if word.rstrip(":,") not in ("PASS", "FAIL", "INCONCLUSIVE"):
        return sentence
    begins_with_metric = "_" in rest.partition(" ")[0]  # whose name stays as it is
    return rest if begins_with_metric else rest[:1].upper() + rest[1:]


def metric_name(name: str) -> str:
    """`lateral error mean`: a metric's name without its unit."""
    bare = name.removesuffix(UNIT_ENDINGS.get(metric_unit(name), ""))
    if bare.endswith("_ms"):
        bare = bare.removesuffix("_ms") + ", mean square"
    return bare.replace("_", " ")


def metric_unit(name: str) -> str:
    """The unit of a metric; empty for a pure number."""
    known = METRICS[name].unit if name in METRICS else ""
    return "" if known == "1" else known


def metric_text(name: str) -> str:
    """What a metric measures."""
    return METRICS[name].description if name in METRICS else ""


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
    filter.__name__: filter
    for filter in (
        ago,
        change,
        change_text,
        code,
        duration,
        evidence,
        fixed,
        margin_text,
        metric_name,
        metric_text,
        metric_unit,
        moment,
        number,
        offset_words,
        percent,
        plain,
        reason,
        share,
    )
}
