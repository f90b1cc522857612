"""Numbers, times and names as people read them; the filters of the templates."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from suites.metrics.registry import METRICS
from suites.sentence import percent, share

DASH = "–"
OUTCOMES = {
    "completed": "completed", "failed": "failed", "left_trust_region": "left the trust region",
    "policy_failed": "model failed", "data_invalid": "data invalid", "infra_failed": "could not be driven",
}  # fmt: skip


def number(value: float | None, unit: str = "") -> str:
    """`0.312 m`: three significant digits, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return DASH
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


def metric_name(name: str) -> str:
    """`lateral error mean`: a metric's name without its unit."""
    unit = {"m": "_m", "rad": "_rad", "s": "_s", "m/s²": "_mps2", "m/s³": "_mps3"}
    ending = unit.get(METRICS[name].unit, "") if name in METRICS else ""
    return name.removesuffix(ending).replace("_", " ")


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
    return DASH if value is None else str(value)


FILTERS: dict[str, Callable[..., str]] = {
    "number": number, "change": change, "relative": relative, "share": share, "span": span, "moment": moment, "ago": ago,
    "metric_name": metric_name, "metric_unit": metric_unit, "metric_text": metric_text, "outcome": outcome, "plain": plain,
}  # fmt: skip
