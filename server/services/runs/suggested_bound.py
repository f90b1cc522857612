"""What a registered failure would ask for: the broken gate as a bound on a signal, taken from the baseline's own drive."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

from suites.conditions.signals import signal_values
from suites.rollout import Trace

SIGNALS: dict[str, tuple[str, float, str, str]] = {
    "lateral_offset_m": (
        "distance from the human path",
        0.3,
        "m",
        "lateral_error weaving turn_cutting time_to progress incident",
    ),
    "lane_position_m": (
        "distance from the middle of the lane",
        0.3,
        "m",
        "lane_centre lane_bias lane_departure",
    ),
    "heading_error_rad": ("heading beside the human path", 0.05, "rad", "heading_error"),
    "lateral_acceleration_mps2": (
        "lateral acceleration",
        1.0,
        "m/s²",
        "lateral_acceleration curvature",
    ),
    "lateral_jerk_mps3": ("lateral jerk", 5.0, "m/s³", "lateral_jerk steering"),
    "acceleration_mps2": (
        "longitudinal acceleration",
        1.0,
        "m/s²",
        "longitudinal_acceleration hard_brake",
    ),
    "longitudinal_jerk_mps3": ("longitudinal jerk", 5.0, "m/s³", "longitudinal_jerk"),
}
"""Signal to its words, how far beyond the baseline's largest magnitude the bound lies, its unit, and the beginnings of the
metrics that are made of it."""
GOOD = ("better", "equivalent", "not worse", "slightly worse")


class Suggestion(BaseModel):
    """A bound that the candidate broke and the baseline kept."""

    gate: str | None
    """The metric that the run judges by and that this is about; null where no gate is."""
    signal: str
    words: str
    unit: str
    bound: float
    baseline_largest: float
    candidate_largest: float
    """Largest magnitudes in this case."""


def suggest(
    gates: Sequence[dict[str, Any]], candidate: Trace | None, baseline: Trace | None
) -> Suggestion | None:
    """The first of the run's gates, broken ones first, whose signal the candidate drove beyond the baseline's bound; else any
    such signal; None: there is none, and the rule is proposed from the proof's own drives."""
    if candidate is None or baseline is None:
        return None
    named = [gate["metric"] for gate in sorted(gates, key=lambda gate: gate["verdict"] in GOOD)]
    order = [
        (metric, signal)
        for metric in named
        for signal in SIGNALS
        if metric.startswith(tuple(SIGNALS[signal][3].split()))
    ]
    for gate, signal in [*order, *((None, signal) for signal in SIGNALS)]:
        words, margin, unit, _ = SIGNALS[signal]
        ours, theirs = _largest(candidate, signal), _largest(baseline, signal)
        bound = round(theirs + margin, 2)
        if ours > bound:
            return Suggestion(
                gate=gate,
                signal=signal,
                words=words,
                unit=unit,
                bound=bound,
                baseline_largest=theirs,
                candidate_largest=ours,
            )
    return None


def _largest(trace: Trace, signal: str) -> float:
    """Largest magnitude; NaN where it is unknown."""
    try:
        values = signal_values(trace, signal)
    except KeyError:
        return math.nan
    known = np.abs(values[np.isfinite(values)])
    return float(known.max()) if len(known) else math.nan


def condition(words: str, signal: str, bound: float) -> dict[str, Any]:
    """The suggestion as a rule of a case."""
    rule = {"signal": signal, "absolute": True, "below": bound}
    return {
        "name": f"{words} below {bound:g} {SIGNALS[signal][2]}",
        "judge": "must",
        "always": rule,
    }
