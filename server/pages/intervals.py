"""Gates as drawings: all intervals on one scale, the margin shaded. Plain SVG, no script.

better <--          |zero      |margin       --> worse
       ----[========o==========]=====]--------------      thick: the gate's own estimand
               [----o-------]                             thin: the other estimand
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from suites.formatting import share

WIDTH = 440.0
"""In units of the drawings. All are stretched alike: their zero lines meet."""
ROW = 46.0
"""Height of one gate."""
AXIS = 22.0
"""Height of the axis."""
PAD = 14.0
LABEL = 52.0
"""Room for one label of the axis."""
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0)
ROOT_STEPS = (0.02, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Marks of the axis on either side of zero: spacings of a linear scale, places of a root one."""
CRAMPED = 14.0
"""A linear scale would hide the smallest margin where the largest end is over 14 times as large."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Relative change to drawing units."""

    low: float
    high: float
    root: bool
    """Square-root scale on both sides of zero; else linear."""
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        first, last = self._bent(self.low), self._bent(self.high)
        inside = self._bent(min(max(value, self.low), self.high))
        return PAD + (inside - first) / (last - first) * (WIDTH - 2 * PAD)

    def _bent(self, value: float) -> float:
        return math.copysign(math.sqrt(abs(value)), value) if self.root else value


def _ends(gates: Iterable[Mapping[str, Any]]) -> list[float]:
    intervals = [gate[name] for gate in gates for name in ("interval", "other_estimand")]
    ends = [found[end] for found in intervals if found is not None for end in ("low", "high")]
    return [end for end in ends if end is not None and math.isfinite(end)]


def scale_of(gates: Sequence[Mapping[str, Any]]) -> Scale:
    """One scale for all gates: it holds every interval and margin, and always zero."""
    margins = [gate["margin"] for gate in gates] or [0.02]
    ends = [*_ends(gates), *margins, *(-margin for margin in margins)]
    root = max(map(abs, ends)) > CRAMPED * min(margins)
    room = 0.06 * (max(ends) - min(ends))
    low = min(ends) - room
    high = max(ends) + room
    return Scale(low, high, root, _root_ticks(low, high) if root else _linear_ticks(low, high))


def _linear_ticks(low: float, high: float) -> tuple[float, ...]:
    step = next((s for s in STEPS if (high - low) / s <= 7), STEPS[-1])
    return tuple(step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1))


def _root_ticks(low: float, high: float) -> tuple[float, ...]:
    largest = max(-low, high)
    sizes = [size for size in ROOT_STEPS if size <= largest][-4:]
    ticks = (*(-size for size in reversed(sizes)), 0.0, *sizes)
    return tuple(tick for tick in ticks if low <= tick <= high)


def draw_axis(scale: Scale) -> Markup:
    """The scale's labels, for the head of the column."""
    shown: list[tuple[float, float]] = []
    for tick in sorted(scale.ticks, key=abs):  # zero first: it is never the one left out
        place = scale(tick)
        if all(abs(place - other) > LABEL for other, _ in shown):
            shown.append((place, tick))
    labels = ""
    for place, tick in shown:
        x = min(max(place, LABEL / 2), WIDTH - LABEL / 2)
        label = "0" if abs(tick) < 1e-12 else share(tick, 3, signed=True)
        labels += f'<text x="{x:.1f}" y="15" text-anchor="middle">{label}</text>'
    box = f'viewBox="0 0 {WIDTH:g} {AXIS:g}"'
    return Markup(f'<svg class="axis" {box} aria-hidden="true">{labels}</svg>')


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<line{named} x1="{x1:.1f}" y1="{y1:g}" x2="{x2:.1f}" y2="{y2:g}"/>'


def _upright(kind: str, x: float) -> str:
    return _line(kind, x, 0, x, ROW)


def _rect(kind: str, x: float, width: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="0" width="{width:.1f}" height="{ROW:g}"/>'


def _bar(scale: Scale, interval: Mapping[str, float | None], y: float, name: str) -> str:
    """An interval with caps at its ends and a dot at its estimate."""
    low, high, estimate = interval["low"], interval["high"], interval["estimate"]
    left = PAD if low is None else scale(low)
    right = WIDTH - PAD if high is None else scale(high)
    middle = (left + right) / 2 if estimate is None else scale(estimate)
    caps = "".join(_line("cap", x, y - 5, x, y + 5) for x in (left, right))
    dot = f'<circle cx="{middle:.1f}" cy="{y:g}" r="{5 if name == "own" else 3}"/>'
    return f'<g class="{name}">{_line("", left, y, right, y)}{caps}{dot}</g>'


def draw_interval(gate: Mapping[str, Any], scale: Scale) -> Markup:
    """One gate: both estimands' intervals, the accepted margin shaded, zero drawn through."""
    zero = scale(0.0)
    margin = scale(gate["margin"])
    parts = [
        *(_upright("grid", scale(tick)) for tick in scale.ticks),
        _rect("accepted", 0, margin),
        _rect("margin", zero, margin - zero),
        _upright("bound", margin),
        _upright("zero", zero),
    ]
    if gate["interval"] is not None:
        parts.append(_bar(scale, gate["interval"], 18.0, "own"))
    if gate["other_estimand"] is not None:
        parts.append(_bar(scale, gate["other_estimand"], 36.0, "other"))
    verdict = str(gate["verdict"]).replace(" ", "-")
    name = f"interval of {escape(gate['metric'])}; the numbers stand beside it"
    head = f'class="interval {verdict}" viewBox="0 0 {WIDTH:g} {ROW:g}" role="img"'
    return Markup(f'<svg {head} aria-label="{name}">{"".join(parts)}</svg>')
