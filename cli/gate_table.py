"""The gates of a verdict as a table, and the reasons below it."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

from cli.printing import Columns, print_items
from suites.formatting import margin_text, percent
from suites.judgement import GateVerdict, Interval
from suites.verdict.sentence import span
from suites.vocabulary import Estimand

NAMES = {Estimand.TYPICAL: "typical drive", Estimand.MEAN: "mean", Estimand.RATE: "rate"}


def print_gates(gates: Sequence[GateVerdict], others: Mapping[str, float] | None = None) -> None:
    """`others`: the relative change of a metric's mean over the pairs that have both values, for
    where its mean has no interval."""

    def change(gate: GateVerdict, estimand: Estimand) -> str:
        interval = shown_interval(gate, estimand)
        if estimand is Estimand.MEAN and interval is None and gate.metric in (others or {}):
            return percent((others or {})[gate.metric])
        return span(interval, estimand)

    rates = [gate.estimand is Estimand.RATE for gate in gates]
    shown = [e for e in NAMES if (any(rates) if e is Estimand.RATE else not all(rates))]
    columns: Columns = {
        "metric": lambda g: g.metric,
        "baseline": lambda g: _figure(g.baseline_mean, g.baseline_events),
        "candidate": lambda g: _figure(g.candidate_mean, g.candidate_events),
        **{NAMES[estimand]: partial(change, estimand=estimand) for estimand in shown},
        "verdict": lambda g: g.verdict.value,
        "decided at": lambda g: f"{g.decided_at:,}" if g.decided_at else "-",
        "could see": _visible,
        "pairs": lambda g: f"{g.pairs:,}",
        "invalid": lambda g: f"{g.invalid:,}",
    }
    print_items(gates, columns, "")
    print()
    for gate in gates:
        if gate.reason:
            print(f"{gate.metric}: {gate.reason}")


def shown_interval(gate: GateVerdict, estimand: Estimand) -> Interval | None:
    """By this estimand, whichever decides; a rate has no other."""
    if gate.estimand is estimand:
        return gate.interval
    return None if Estimand.RATE in (gate.estimand, estimand) else gate.other_estimand


def _figure(mean: float, events: int | None) -> str:
    """The mean; of a rate how often it happened."""
    if events is not None:
        return f"{events:,}"
    return f"{mean:.5g}" if math.isfinite(mean) else "-"


def _visible(gate: GateVerdict) -> str:
    seen = gate.smallest_visible_effect
    return "-" if seen is None else margin_text(round(seen, 5), gate.estimand is Estimand.RATE)
