"""Verdicts in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log

from suites.formatting import (
    change_text,
    interval_text,
    margin_text,
    percent,
    plural,
    points_text,
    rates_text,
    share,
)
from suites.judgement import CaseVerdict, GateVerdict, Interval
from suites.statistics.bank_engines import CLEARLY
from suites.statistics.chances import Sample, least_routes
from suites.statistics.sample_size import deciding_segments, quietly, segments_needed
from suites.vocabulary import Estimand, MetricVerdict, RunVerdict

SPREAD = {Estimand.MEAN: "mean", Estimand.TYPICAL: "typical drive", Estimand.RATE: "rate"}
UNCAPPED = "the mean can be judged only where the gate declares winsor_cap (rare spikes)"
MORE_SPIKES = (
    "mend those pairs, or let the suite declare how many it bears (new_spikes, max_failed_share)"
)
BEYOND_REACH = 100_000
"""More segments than this are not promised: the effect lies at the margin."""


def more_segments(
    gate: GateVerdict, error: float | None, segments: int, alpha: float
) -> int | None:
    """About how many more segments settle an open gate; None where no number does."""
    if gate.interval is None or error is None or not gate.pairs:
        return None
    change = gate.interval.estimate
    if gate.estimand is Estimand.TYPICAL:
        sample = Sample(gate.pairs, gate.routes, error)
        needed = deciding_segments(sample, segments, gate.margin, alpha, change=change)
    else:
        distance = abs(gate.margin - change)
        needed = segments_needed(error, distance, segments, gate.routes, alpha)
        if gate.estimand is Estimand.RATE and distance:
            needed = quietly(needed, distance, log(2 / alpha))
    if needed > BEYOND_REACH:
        return None
    return max(ceil(needed) - segments, ceil(segments / 2))


def open_gate(gate: GateVerdict) -> str:
    """Why one gate is open."""
    head = f"{gate.metric} ({SPREAD[gate.estimand]})"
    if gate.interval is None:
        return f"{head}: {gate.reason}"
    rate = gate.estimand is Estimand.RATE
    seen = f"{counts(gate)}, " if rate else ""
    margin = margin_text(gate.margin, rate)
    return f"{head}: {seen}{span(gate.interval, gate.estimand)} against a margin of {margin}"


def counts(gate: GateVerdict) -> str:
    """Of a rate: `45 against 20 of 5,000`."""
    events = gate.candidate_events, gate.baseline_events
    return rates_text(events, gate.pairs, (gate.candidate_mean, gate.baseline_mean))


def span(interval: Interval | None, estimand: Estimand) -> str:
    """`+2.1 % [-0.4 %, +4.9 %]`; an end that nothing bounds is named so."""
    if interval is None:
        return "-"
    if estimand is Estimand.RATE:
        return points_text(interval.estimate, interval.low, interval.high)
    bounds = (-2, 2) if estimand is Estimand.TYPICAL else (-1, None)
    return interval_text(interval.estimate, interval.low, interval.high, bounds=bounds)


def margins(gates: Sequence[GateVerdict]) -> str:
    """`2 %`, `2–5 %`, of rates `0.5 pp`."""
    low, high = min(g.margin for g in gates), max(g.margin for g in gates)
    return share(low) if low == high else f"{share(low).removesuffix(' %')}–{share(high)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the sentence says beside the gates."""

    segments: int
    routes: int
    dropped: int
    """Pairs without valid data, which count neither as segments nor as routes."""
    alpha: float
    failed: tuple[int, int]
    """Routes that failed for the candidate only and for the baseline only."""
    failing: str
    """Why its failures fail the candidate; empty if they do not."""
    missing: int
    """Planned pairs that never came."""
    cases_missing: int
    identical: bool
    lacking: int
    """Most pairs of an open gate where one model has no value."""
    uncapped: bool
    """An open gate judges a mean without a cap: no number of segments tells."""
    more: int | None
    """About how many more segments would settle the open gates."""
    judged: int
    planned: int
    counted_to: float | None = None
    """Drawn by cost: what is said is of this bank, with costs of the mean counted up to so many
    times what is expected of a segment."""
    objections: tuple[str, ...] = ()
    """Why good gates are no pass."""
    spiking: bool = False
    """New spikes are among them."""
    withdrawn: str = ""
    """Why an earlier pass does not stand."""
    passed_at: int = 0
    """Pairs after which it was given."""


def waiting_sentence(
    gates: Sequence[GateVerdict], consumed: int, planned: int, objections: Sequence[str] = ()
) -> str:
    """How far an undecided run is; `objections`: why good gates do not make it pass yet."""
    told = sum(g.verdict is not MetricVerdict.CANNOT_TELL for g in gates)
    after = f"after {consumed:,} of {planned:,} pairs"
    open_ = f"; {objections[0]}" if objections else ""
    return f"Not decided yet: {told} of {plural(len(gates), 'gate')} {after}{open_}."


def broken_sentence(case_id: str, reason: str) -> str:
    """Of a candidate that crashed or answered nonsense."""
    because = f": {reason.rstrip('.')}" if reason else ""
    return f"FAIL: the model itself failed on {case_id}{because}."


def run_sentence(
    verdict: RunVerdict,
    gates: Sequence[GateVerdict],
    cases: Sequence[CaseVerdict],
    seen: Circumstances,
) -> str:
    """One sentence why."""
    critical = [g for g in gates if g.critical]
    if verdict is RunVerdict.PASS:
        early = seen.judged < seen.planned
        head = f"PASS, provisional after {_of(seen.passed_at, seen)}" if early else "PASS"
        return f"{head}: {'; '.join(_passed(critical, cases, seen))}."
    where = _where(seen)
    if verdict is RunVerdict.FAIL:
        reasons = _failed(critical, cases, seen) + _withdrawn(seen)
        more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        over = f", over {where}" if seen.segments else ""
        return f"FAIL: {'; '.join(reasons[:3])}{more}{over}."
    reasons = _withdrawn(seen) + _undecided(critical, cases, seen) or ["no gate could be judged"]
    return f"INCONCLUSIVE over {where}: {'; '.join(reasons)}."


def _where(seen: Circumstances) -> str:
    where = f"{plural(seen.segments, 'segment')} of {plural(seen.routes, 'route')}"
    if seen.counted_to is not None:
        where += ", drawn by cost, on this bank"
    if not seen.dropped:
        return where
    return f"{where} ({plural(seen.dropped, 'pair')} without valid data left out)"


def _of(count: int, seen: Circumstances) -> str:
    return f"{count:,} of {plural(seen.planned, 'pair')}"


def _withdrawn(seen: Circumstances) -> list[str]:
    if not seen.withdrawn:
        return []
    return [f"the PASS after {_of(seen.passed_at, seen)} is withdrawn: {seen.withdrawn}"]


def _failed_alone(seen: Circumstances) -> str:
    candidate, baseline = seen.failed
    routes = plural(candidate, "route")
    return f"{routes} failed for the candidate only ({baseline} for the baseline only)"


def _passed(
    critical: Sequence[GateVerdict], cases: Sequence[CaseVerdict], seen: Circumstances
) -> list[str]:
    where = f"over {_where(seen)}"
    parts = []
    if seen.identical:
        parts.append(f"exactly the same results on every pair {where}: zero effect")
    elif critical:
        parts.append(f"{_not_worse(critical)} {where}")
        if seen.counted_to is not None and any(g.estimand is Estimand.MEAN for g in critical):
            parts.append(f"costs counted up to {seen.counted_to:g} x expected")
        parts += _leaning(critical) + _spiking(critical)
    if cases:
        waived = sum(bool(c.waived and not c.passed) for c in cases)
        passed = f"{plural(len(cases) - waived, 'must-pass case')} passed"
        parts.append(f"{passed}, {waived} waived" if waived else passed)
    parts = parts or ["nothing was asked"]
    if seen.failed[0]:
        parts.append(f"yet {_failed_alone(seen)}")
    return parts


def _not_worse(critical: Sequence[GateVerdict]) -> str:
    """By which margin on how many gates, and what each rate was counted from."""
    rates = [g for g in critical if g.estimand is Estimand.RATE]
    others = [g for g in critical if g.estimand is not Estimand.RATE]
    told = []
    if others:
        told.append(f"{margins(others)} on {len(others)} of {plural(len(others), 'gate')}")
    for gate in rates[:3]:
        margin = margin_text(gate.margin, rate=True)
        told.append(f"{margin} in {gate.metric} ({counts(gate)})")
    if len(rates) > 3:
        told.append(f"the margins of {plural(len(rates) - 3, 'more rate')}")
    return f"not worse by {' and by '.join(told)}"


def _leaning(critical: Sequence[GateVerdict]) -> list[str]:
    """Other estimands that look worse, clearly or by more than the margin, though nothing shows."""
    leaning = [
        f"{SPREAD[_other(g.estimand)]} of {g.metric} {percent(g.other_estimand.estimate)}"
        for g in critical
        if g.other_estimand
        and (g.other_estimand.estimate > g.margin or (g.other_t or 0.0) > CLEARLY)
    ]
    return [f"yet undecided but leaning the other way: {', '.join(leaning[:3])}"] if leaning else []


def _spiking(critical: Sequence[GateVerdict]) -> list[str]:
    """New spikes and failures of the gate that has most, and what a pass does not exclude."""
    told = [g for g in critical if g.spikes_below is not None]
    if not told:
        return []
    most = max(told, key=lambda g: g.new_spikes)
    parts = [f"spikes rarer than {share(max(g.spikes_below or 0 for g in told), 2)} not excluded"]
    if most.new_spikes:
        named = ", ".join(most.spiking[:3]) + (" …" if most.new_spikes > 3 else "")
        pairs = plural(most.new_spikes, "pair")
        parts.insert(0, f"{most.metric} newly spikes or fails on {pairs} ({named})")
    return parts


def _failed(
    critical: Sequence[GateVerdict], cases: Sequence[CaseVerdict], seen: Circumstances
) -> list[str]:
    reasons = [f"must-pass case {c.case} failed{_because(c)}" for c in cases if c.failed]
    if seen.failing:
        reasons.append(seen.failing)
    worse = [g for g in critical if g.verdict is MetricVerdict.WORSE]
    return reasons + [f"{g.metric} {_how_worse(g)}{_size(g)}" for g in worse]


def _how_worse(gate: GateVerdict) -> str:
    if gate.estimand is Estimand.RATE:
        return f"{counts(gate)}: worse"
    return f"is worse in the {SPREAD[gate.estimand]}"


def _because(case: CaseVerdict) -> str:
    return f" ({case.reason})" if case.reason else ""


def _size(gate: GateVerdict) -> str:
    interval = gate.interval
    if interval is None:
        return ""
    rate = gate.estimand is Estimand.RATE
    notes = [f"margin {margin_text(gate.margin, rate)}"]
    if interval.low != interval.estimate:
        notes.insert(0, f"at least {change_text(interval.low, rate, signed=False)}")
    if interval.low <= gate.margin < interval.high:
        up_to = change_text(interval.high, rate, signed=False)
        margin = margin_text(gate.margin, rate)
        notes[-1] = f"up to {up_to}: not shown to be within the margin of {margin}"
    if gate.reason:
        notes.append(gate.reason)
    return f" by {change_text(interval.estimate, rate, signed=False)} ({'; '.join(notes)})"


def _undecided(
    critical: Sequence[GateVerdict], cases: Sequence[CaseVerdict], seen: Circumstances
) -> list[str]:
    mixed = [g for g in critical if g.verdict is MetricVerdict.MIXED]
    parts = [f"{g.metric}: {_both(g)}" for g in mixed]
    open_ = [g for g in critical if g.verdict is MetricVerdict.CANNOT_TELL]
    if open_:
        parts.append(f"cannot tell for {open_gate(open_[0])}{_more(open_, 'gate')}")
    if untold := [c for c in cases if c.untold]:
        first = untold[0]
        why = f"{_because(first)}{_more(untold, 'case')}"
        parts.append(f"must-pass case {first.case} can't be told{why}")
    if seen.missing:
        parts.append(f"{plural(seen.missing, 'planned pair')} never came")
    if seen.cases_missing:
        parts.append(f"{plural(seen.cases_missing, 'must-pass case')} without a result")
    if not seen.withdrawn:
        parts += seen.objections[:3]
    if seen.failed[0]:
        parts.append(_failed_alone(seen))
    if seen.spiking and not open_ and not mixed:
        parts.append(MORE_SPIKES)
    return parts + _what_would_tell(open_, seen)


def _more(found: Sequence[object], word: str) -> str:
    """What is not named, after the first that is."""
    return f"; and {plural(len(found) - 1, f'more {word}')}" if len(found) > 1 else ""


def _what_would_tell(open_: Sequence[GateVerdict], seen: Circumstances) -> list[str]:
    """What settles the open gates: a cap, routes, values or segments; empty if none is open."""
    if seen.uncapped:
        return [UNCAPPED]
    if seen.counted_to is not None:
        return ["the rest of the bank would tell"] if open_ and seen.judged < seen.planned else []
    routes = min((g.routes for g in open_ if g.interval), default=None)
    if routes is None:
        return []
    least = least_routes(seen.alpha)
    if routes < least:
        few = f"{plural(routes, 'route')} cannot show it at alpha = {seen.alpha:g}"
        return [f"{few}: at least {least} are needed"]
    if seen.lacking:
        pairs = f"in {plural(seen.lacking, 'pair')} one model has no value"
        return [f"{pairs}, which counts at its best and worst: supply it"]
    if seen.more is not None:
        return [f"about {seen.more:,} more segments of other routes would tell"]
    return ["the effect lies too close to the margin for any affordable number of segments"]


def _other(estimand: Estimand) -> Estimand:
    return Estimand.MEAN if estimand is Estimand.TYPICAL else Estimand.TYPICAL


def _both(gate: GateVerdict) -> str:
    """`the mean and the typical drive disagree (...)`, or that one is within the margin."""
    own, other = gate.interval, gate.other_estimand
    words = "the mean and the typical drive disagree"
    if own and other and 0 < own.estimate <= gate.margin < other.estimate:
        within, beyond = SPREAD[gate.estimand], SPREAD[_other(gate.estimand)]
        words = f"the {within} is within the margin of {share(gate.margin)}, the {beyond} beyond it"
    return f"{words} ({_estimates(gate)})"


def _estimates(gate: GateVerdict) -> str:
    shown = (gate.estimand, gate.interval), (_other(gate.estimand), gate.other_estimand)
    return ", ".join(f"{SPREAD[e]} {percent(i.estimate)}" for e, i in shown if i)
