"""What a registered failure would ask for: a bound on a signal, from the baseline's own drive."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel

from suites.conditions.signals import signal_values
from suites.rollout import Trace
from suites.verdict.gate_word import GOOD


class Bounded(NamedTuple):
    """A signal that a bound can be set on."""

    words: str
    margin: float
    """How far beyond the baseline's largest magnitude the bound lies."""
    unit: str
    metrics: str
    """Beginnings of the names of the metrics that are made of it."""


SIGNALS = {
    "lateral_offset_m": Bounded(
        "distance from the human path",
        0.3,
        "m",
        "lateral_error weaving turn_cutting time_to progress incident",
    ),
    "lane_position_m": Bounded(
        "distance from the middle of the lane", 0.3, "m", "lane_centre lane_bias lane_departure"
    ),
    "heading_error_rad": Bounded("heading beside the human path", 0.05, "rad", "heading_error"),
    "lateral_acceleration_mps2": Bounded(
        "lateral acceleration", 1.0, "m/s²", "lateral_acceleration curvature"
    ),
    "lateral_jerk_mps3": Bounded("lateral jerk", 5.0, "m/s³", "lateral_jerk steering"),
    "acceleration_mps2": Bounded(
        "longitudinal acceleration", 1.0, "m/s²", "longitudinal_acceleration hard_brake"
    ),
    "longitudinal_jerk_mps3": Bounded("longitudinal jerk", 5.0, "m/s³", "longitudinal_jerk"),
}


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
    """The first signal that the candidate drove beyond the baseline's bound. Signals of the run's
    gates come first, those of broken gates before others. None: there is no such signal, and the
    rule is proposed from the proof's own drives."""
    if candidate is None or baseline is None:
        return None
    named = [gate["metric"] for gate in sorted(gates, key=lambda gate: gate["verdict"] in GOOD)]
    of_gates = [
        (metric, signal)
        for metric in named
        for signal, bounded in SIGNALS.items()
        if metric.startswith(tuple(bounded.metrics.split()))
    ]
    for gate, signal in [*of_gates, *((None, signal) for signal in SIGNALS)]:
        words, margin, unit, _ = SIGNALS[signal]
        candidate_largest = _largest(candidate, signal)
        baseline_largest = _largest(baseline, signal)
        bound = round(baseline_largest + margin, 2)
        if candidate_largest > bound:
            return Suggestion(
                gate=gate,
                signal=signal,
                words=words,
                unit=unit,
                bound=bound,
                baseline_largest=baseline_largest,
                candidate_largest=candidate_largest,
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
    name = f"{words} below {bound:g} {SIGNALS[signal].unit}"
    return {"name": name, "judge": "must", "always": rule}
