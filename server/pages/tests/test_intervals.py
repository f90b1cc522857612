"""Drawings of gates: one scale with zero and every margin on it, however long the intervals."""

import itertools
import re
from typing import Any

import pytest

from server.pages.intervals import PAD, WIDTH, draw_axis, draw_interval, scale_of


def gate(
    low: float | None, high: float | None, margin: float = 0.02, **changes: Any
) -> dict[str, Any]:
    estimate = None if low is None or high is None else (low + high) / 2
    interval = {"estimate": estimate, "low": low, "high": high}
    return {
        "metric": "m",
        "margin": margin,
        "verdict": "worse",
        "interval": interval,
        "other_estimand": None,
    } | changes


@pytest.mark.parametrize(
    "gates",
    [[gate(0.01, 0.05)], [gate(-0.5, -0.4), gate(0.0, 9.0, margin=0.3)], [gate(None, None)], []],
)
def test_every_end_zero_and_margin_lie_inside(gates: list[dict[str, Any]]) -> None:
    scale = scale_of(gates)
    values = [0.0] + [
        v
        for g in gates
        for v in (g["margin"], g["interval"]["low"], g["interval"]["high"])
        if v is not None
    ]
    assert all(PAD < scale(value) < WIDTH - PAD for value in values)
    ordered = sorted(values)
    assert [scale(v) for v in ordered] == sorted(scale(v) for v in values)
    assert 0.0 in scale.ticks


def test_a_margin_that_a_linear_scale_would_hide_gets_a_root_scale() -> None:
    near, far = scale_of([gate(0.01, 0.05)]), scale_of([gate(1.0, 2.0)])
    assert (near.root, far.root) == (False, True)
    assert far(0.02) - far(0.0) > 20


def test_all_gates_share_the_place_of_zero() -> None:
    gates = [gate(0.01, 0.05), gate(-0.3, 0.1)]
    scale = scale_of(gates)
    lines = [re.search(r'class="zero" x1="([0-9.]+)"', str(draw_interval(g, scale))) for g in gates]
    assert [float(line[1]) for line in lines if line] == [pytest.approx(scale(0.0), abs=0.05)] * 2


def test_bars_reach_from_end_to_end_and_unbounded_ones_to_the_border() -> None:
    gates = [gate(0.01, 0.05, other_estimand={"estimate": 0.02, "low": None, "high": 0.04})]
    scale = scale_of(gates)
    drawn = str(draw_interval(gates[0], scale))
    assert f'x1="{scale(0.01):.1f}" y1="18" x2="{scale(0.05):.1f}"' in drawn
    assert f'x1="{PAD:.1f}" y1="36" x2="{scale(0.04):.1f}"' in drawn


def test_names_are_escaped_and_nothing_is_drawn_of_no_interval() -> None:
    drawn = str(draw_interval(gate(None, None, metric='"><script>', interval=None), scale_of([])))
    assert "<script>" not in drawn
    assert "<circle" not in drawn


def test_labels_of_the_axis_never_overlap() -> None:
    for gates in ([gate(-0.04, 0.3)], [gate(-2.0, 2.0)], [gate(0.0, 30.0)]):
        marks = str(draw_axis(scale_of(gates))).split('<text x="')[1:]
        places = sorted(float(mark.split('"')[0]) for mark in marks)
        assert len(places) >= 2
        assert all(b - a > 30 for a, b in itertools.pairwise(places))
