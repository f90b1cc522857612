"""What comment, JUnit file and report say alike: the headline, gates, sides of pairs."""

from typing import Any

from server.services.runs.pairs import Change, PairView, Side
from server.services.runs.run_views import RunView
from suites.formatting import (
    DASH,
    interval_text,
    percent,
    points,
    points_text,
    rates_text,
    unit_ending,
)
from suites.vocabulary import Estimand, MetricVerdict, Outcome, RunVerdict

TYPICAL_DRIVE = "The mean of the bounded relative differences over pairs, not a median"
"""What people should read where "typical" or "typical drive" stands."""
OPEN = (MetricVerdict.CANNOT_TELL, MetricVerdict.MIXED)
ALWAYS_COUNTED = (Change.REGRESSED, Change.IMPROVED, Change.UNCHANGED)
COUNTED_IF_ANY = (Change.CENSORED, Change.INVALID, Change.OPEN)


def gates_of(run: RunView) -> list[dict[str, Any]]:
    """Its gates as of the last look: suites.judgement.GateVerdict."""
    return list((run.verdict_document or {}).get("gates", []))


def cases_of(run: RunView) -> list[dict[str, Any]]:
    """Its must-pass cases as of the last look: suites.judgement.CaseVerdict."""
    return list((run.verdict_document or {}).get("cases", []))


def headline(run: RunView, changes: dict[Change, int]) -> str:
    """`FAIL · highway@3f2a91 · 2 of 9 gates worse · 11 regressed, 4 improved, 1985 unchanged`."""
    notes = ", provisional" * run.provisional + ", its pass withdrawn" * bool(run.withdrawn_at)
    parts = [
        str(run.verdict or run.status).upper() + notes,
        run.suite.short,
        _gate_count(run),
        _failed_cases(run),
        ", ".join([f"{changes[change]} {change}" for change in ALWAYS_COUNTED]),
        *(f"{changes[change]} {change}" for change in COUNTED_IF_ANY if changes[change]),
    ]
    return " · ".join(part for part in parts if part)


def line_text(run: RunView) -> str:
    """`Try 7 of branch x on overall; only a complete pass promotes.`"""
    return f"Try {run.tries} of {run.line} on {run.suite.name}; only a complete pass promotes."


def _gate_count(run: RunView) -> str:
    gates = gates_of(run)
    if run.verdict is None or not gates:
        return ""
    critical = [gate["verdict"] for gate in gates if gate["critical"]]
    if run.verdict is RunVerdict.FAIL:
        return f"{critical.count(MetricVerdict.WORSE)} of {len(critical)} gates worse"
    if run.verdict is RunVerdict.INCONCLUSIVE:
        return f"{sum(verdict in OPEN for verdict in critical)} of {len(critical)} gates open"
    return f"{len(critical)} of {len(critical)} gates held"


def _failed_cases(run: RunView) -> str:
    failed = sum(case["passed"] is False for case in cases_of(run))
    return f"{failed} must-pass case{'s' if failed > 1 else ''} failed" if failed else ""


def gate_change(gate: dict[str, Any]) -> str:
    """The relative change with its interval: `+3.1 % [+1.2 %, +5.0 %]`; of a rate its counts too:
    `+0.5 pp [+0.12 pp, +0.88 pp], 45 against 20 of 5,000`."""
    found = gate["interval"]
    if found is None:
        return DASH
    if gate["estimand"] == Estimand.RATE:
        change = points_text(found["estimate"], found["low"], found["high"])
        return f"{change}, {gate_counts(gate)}"
    return interval_text(found["estimate"], found["low"], found["high"], digits=1)


def gate_counts(gate: dict[str, Any]) -> str:
    """What a rate was counted from: `45 against 20 of 5,000`."""
    events = gate["candidate_events"], gate["baseline_events"]
    return rates_text(events, gate["pairs"], (gate["candidate_mean"], gate["baseline_mean"]))


def gate_margin(gate: dict[str, Any]) -> str:
    """`+2.0 %`; `+0.5 pp` of a rate."""
    if gate["estimand"] == Estimand.RATE:
        return points(gate["margin"])
    return percent(gate["margin"], digits=1)


def side_text(pair: PairView, side: Side) -> str:
    """`0.31 m`, `failed at 3.2 s`, `not driven yet`."""
    if side.outcome is None:
        return "not driven yet"
    if side.outcome is not Outcome.COMPLETED:
        at = "" if side.ended_s is None else f" at {side.ended_s:.1f} s"
        return side.outcome.replace("_", " ") + at
    return "not valid" if side.value is None else f"{side.value:.3g}{unit_ending(pair.unit)}"


def difference_text(pair: PairView) -> str:
    """`+0.31 m`: how much worse the candidate is."""
    return DASH if pair.delta is None else f"{pair.delta:+.3g}{unit_ending(pair.unit)}"
