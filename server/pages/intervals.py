"""Gates as drawings: every interval on one scale with a shared zero line, the margin shaded. Plain SVG, no script."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

WIDTH, ROW, AXIS = 440.0, 46.0, 22.0
"""Units of the drawings; they are stretched together, so that their zero lines meet."""
PAD = 14.0
LABEL = 52.0
"""Room for one label of the axis."""
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0)
CRAMPED = 14.0
"""Where the largest end is over so many times the smallest margin, a linear scale would hide the margin."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Relative change to drawing units."""

    low: float
    high: float
    root: bool
    """Square-root scale on both sides of zero; else linear."""
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        a, b, v = (
            self._bent(min(max(x, self.low), self.high)) for x in (self.low, self.high, value)
        )
        return PAD + (v - a) / (b - a) * (WIDTH - 2 * PAD)

    def _bent(self, value: float) -> float:
        return math.copysign(math.sqrt(abs(value)), value) if self.root else value


def _ends(gates: Iterable[Mapping[str, Any]]) -> list[float]:
    found = []
    for gate in gates:
        for name in ("interval", "other_estimand"):
            interval = gate[name]
            if interval is not None:
                found += [
                    v
                    for v in (interval["low"], interval["high"])
                    if v is not None and math.isfinite(v)
                ]
    return found


def scale_of(gates: Sequence[Mapping[str, Any]]) -> Scale:
    """One scale for all gates: it holds every interval and margin, and always zero."""
    margins = [gate["margin"] for gate in gates] or [0.02]
    ends = [*_ends(gates), *margins, *(-m for m in margins)]
    low, high = min(ends), max(ends)
    root = max(-low, high) > CRAMPED * min(margins)
    room = 0.06 * (high - low)
    low, high = low - room, high + room
    return Scale(low, high, root, _ticks(low, high, root))


def _ticks(low: float, high: float, root: bool) -> tuple[float, ...]:
    if root:
        sizes = [s for s in (0.02, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0) if s <= max(-low, high)]
        apart = [
            s
            for i, s in enumerate(sizes)
            if i == 0 or math.sqrt(s) - math.sqrt(sizes[i - 1]) > 0.06
        ]
        kept = apart if len(apart) <= 4 else apart[-4:]
        return tuple(t for t in (*(-s for s in reversed(kept)), 0.0, *kept) if low <= t <= high)
    step = next((s for s in STEPS if (high - low) / s <= 7), STEPS[-1])
    first = math.ceil(low / step)
    return tuple(step * k for k in range(first, math.floor(high / step) + 1))


def _label(value: float) -> str:
    return "0" if abs(value) < 1e-12 else f"{100 * value:+.3g} %"


def draw_axis(scale: Scale) -> Markup:
    """The scale's labels, for the head of the column."""
    shown: list[tuple[float, float]] = []
    for tick in sorted(scale.ticks, key=abs):  # zero first: it is never the one left out
        if all(abs(scale(tick) - x) > LABEL for x, _ in shown):
            shown.append((scale(tick), tick))
    labels = "".join(
        f'<text x="{min(max(x, LABEL / 2), WIDTH - LABEL / 2):.1f}" y="15" text-anchor="middle">{_label(tick)}</text>'
        for x, tick in shown
    )
    return Markup(
        f'<svg class="axis" viewBox="0 0 {WIDTH:g} {AXIS:g}" aria-hidden="true">{labels}</svg>'
    )


def _bar(scale: Scale, interval: Mapping[str, float | None], y: float, name: str) -> str:
    low, high, estimate = interval["low"], interval["high"], interval["estimate"]
    a, b = (PAD if low is None else scale(low)), (WIDTH - PAD if high is None else scale(high))
    middle = (a + b) / 2 if estimate is None else scale(estimate)
    return (
        f'<g class="{name}"><line x1="{a:.1f}" y1="{y:g}" x2="{b:.1f}" y2="{y:g}"/>'
        f'<line class="cap" x1="{a:.1f}" y1="{y - 5:g}" x2="{a:.1f}" y2="{y + 5:g}"/>'
        f'<line class="cap" x1="{b:.1f}" y1="{y - 5:g}" x2="{b:.1f}" y2="{y + 5:g}"/>'
        f'<circle cx="{middle:.1f}" cy="{y:g}" r="{5 if name == "own" else 3}"/></g>'
    )


def draw_interval(gate: Mapping[str, Any], scale: Scale) -> Markup:
    """One gate: its own estimand's interval thick, the other's thin below, the accepted margin shaded, zero drawn through."""
    zero, margin = scale(0.0), scale(gate["margin"])
    grid = "".join(
        f'<line class="grid" x1="{scale(t):.1f}" y1="0" x2="{scale(t):.1f}" y2="{ROW:g}"/>'
        for t in scale.ticks
    )
    parts = [
        grid,
        f'<rect class="accepted" x="0" y="0" width="{margin:.1f}" height="{ROW:g}"/>',
        f'<rect class="margin" x="{zero:.1f}" y="0" width="{margin - zero:.1f}" height="{ROW:g}"/>',
        f'<line class="bound" x1="{margin:.1f}" y1="0" x2="{margin:.1f}" y2="{ROW:g}"/>',
        f'<line class="zero" x1="{zero:.1f}" y1="0" x2="{zero:.1f}" y2="{ROW:g}"/>',
    ]
    if gate["interval"] is not None:
        parts.append(_bar(scale, gate["interval"], 18.0, "own"))
    if gate["other_estimand"] is not None:
        parts.append(_bar(scale, gate["other_estimand"], 36.0, "other"))
    word = str(gate["verdict"]).replace(" ", "-")
    return Markup(
        f'<svg class="interval {word}" viewBox="0 0 {WIDTH:g} {ROW:g}" role="img" '
        f'aria-label="interval of {escape(gate["metric"])}; the numbers stand beside it">{"".join(parts)}</svg>'
    )
