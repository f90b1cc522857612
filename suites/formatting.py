"""Numbers as people read them: in verdicts, on pages, in comments and in the shell."""

import math

DASH = "–"
"""Stands where there is no number."""


def percent(change: float | None, digits: int | None = None, signed: bool = True) -> str:
    """`+2.1 %`, with as many decimals as the size deserves where `digits` names none."""
    if change is None:
        return DASH
    value = 100 * change
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 1 or value == 0 else 2
    sign = "+" if signed else ""
    return f"{value:{sign}.{digits}f} %"


def share(value: float, digits: int = 4, signed: bool = False) -> str:
    """`2.5 %`: a margin as it was written, up to `digits` significant digits."""
    return f"{100 * value:{'+' if signed else ''}.{digits}g} %"


def points(difference: float | None, signed: bool = True) -> str:
    """`+0.5 pp`: a difference of two rates, in percentage points."""
    if difference is None:
        return DASH
    value = round(100 * difference, 6) + 0.0  # no negative zero
    return f"{value:{'+' if signed else ''}.{2 if abs(value) < 10 else 3}g} pp"


def change_text(change: float | None, rate: bool, signed: bool = True) -> str:
    """A relative change, or the difference of two rates."""
    return points(change, signed) if rate else percent(change, signed=signed)


def margin_text(margin: float, rate: bool) -> str:
    """`2.5 %`, of a rate `0.5 pp`."""
    return points(margin, signed=False) if rate else share(margin)


def points_text(estimate: float | None, low: float | None, high: float | None) -> str:
    """`+0.5 pp [+0.12 pp, +0.88 pp]`."""
    return f"{points(estimate)} [{points(low)}, {points(high)}]"


def rates_text(
    events: tuple[int | None, int | None], pairs: int, means: tuple[float | None, float | None]
) -> str:
    """`45 against 20 of 5,000`, candidate first; of shares, which have no events, their means."""
    candidate, baseline = events
    if candidate is None or baseline is None:
        return " against ".join(percent(mean, signed=False) for mean in means)
    return f"{candidate:,} against {baseline:,} of {pairs:,}"


def rate_text(rate: float, low: float, high: float, digits: int = 1) -> str:
    """`12.5 % [8.1, 19.0]`: a share with its interval."""
    interval = f"[{100 * low:.{digits}f}, {100 * high:.{digits}f}]"
    return f"{percent(rate, digits, signed=False)} {interval}"


def interval_text(
    estimate: float | None,
    low: float | None,
    high: float | None,
    digits: int | None = None,
    bounds: tuple[float | None, float | None] = (None, None),
) -> str:
    """`+2.1 % [-0.4 %, +4.9 %]`; an end at or beyond its bound is `no bound`."""
    least, most = bounds
    unbounded_below = low is not None and least is not None and low <= least
    unbounded_above = high is not None and most is not None and high >= most
    lower = "no bound" if unbounded_below else percent(low, digits)
    upper = "no bound" if unbounded_above else percent(high, digits)
    return f"{percent(estimate, digits)} [{lower}, {upper}]"


def plural(count: int, word: str) -> str:
    """`1 route`, `2,000 routes`."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def number(value: float | None, unit: str = "") -> str:
    """`0.312 m`: three significant digits, whole from 1,000 on."""
    if value is None or not math.isfinite(value):
        return DASH
    value += 0.0  # no negative zero
    shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return shown + unit_ending(unit)


def unit_ending(unit: str) -> str:
    """What follows a number of this unit: nothing for a pure number."""
    return "" if unit in ("", "1") else f" {unit}"


def duration(seconds: float | None) -> str:
    """`12 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds is None:
        return DASH
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
