"""Verdicts in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2

from suites.judgement import CaseVerdict, GateVerdict, Interval
from suites.statistics.sample_size import clearing_segments, segments_needed
from suites.vocabulary import Estimand, MetricVerdict, RunVerdict

SPREAD = {Estimand.MEAN: "mean", Estimand.TYPICAL: "typical drive"}
UNCAPPED = "the mean can be judged only where the gate declares winsor_cap (rare spikes)"
BEYOND_REACH = 100_000
"""More segments than this are not promised: the effect lies at the margin."""


def percent(change: float, signed: bool = True) -> str:
    """`+2.1 %`."""
    value = 100 * change
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 1 or value == 0 else 2
    return f"{value:{'+' if signed else ''}.{digits}f} %"


def share(value: float) -> str:
    """`2.5 %`: a margin as it was written."""
    return f"{100 * value:.4g} %"


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def more_segments(
    gate: GateVerdict, error: float | None, segments: int, alpha: float
) -> int | None:
    """About how many more segments would settle an open gate; None where no number helps or none can be told."""
    if gate.interval is None or error is None or not gate.pairs:
        return None
    change, per_segment = gate.interval.estimate, gate.pairs / segments
    if gate.estimand is Estimand.TYPICAL:
        needed = clearing_segments(
            error, gate.margin, segments, gate.routes, alpha, per_segment=per_segment, change=change
        )
    else:
        needed = segments_needed(error, abs(gate.margin - change), segments, gate.routes, alpha)
    if needed > BEYOND_REACH:
        return None
    return max(ceil(needed) - segments, ceil(segments / 2))


def open_gate(gate: GateVerdict) -> str:
    """Why one gate is open."""
    head = f"{gate.metric} ({SPREAD[gate.estimand]})"
    if gate.interval is None:
        return f"{head}: {gate.reason}"
    return f"{head}: {span(gate.interval, gate.estimand)} against a margin of {share(gate.margin)}"


def span(interval: Interval | None, estimand: Estimand) -> str:
    """`+2.1 % [-0.4 %, +4.9 %]`; an end that nothing bounds is named so."""
    if interval is None:
        return "-"
    typical = estimand is Estimand.TYPICAL
    low = "no bound" if interval.low <= (-2 if typical else -1) else percent(interval.low)
    high = "no bound" if typical and interval.high >= 2 else percent(interval.high)
    return f"{percent(interval.estimate)} [{low}, {high}]"


def margins(gates: Sequence[GateVerdict]) -> str:
    low, high = min(g.margin for g in gates), max(g.margin for g in gates)
    return share(low) if low == high else f"{100 * low:.4g}–{share(high)}"


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


def least_routes(alpha: float) -> int:
    """Routes below which no sign-flip test can reject: 2 of 2**n sign vectors give the largest |S|."""
    return ceil(log2(2 / alpha))


def run_sentence(
    verdict: RunVerdict,
    gates: Sequence[GateVerdict],
    cases: Sequence[CaseVerdict],
    seen: Circumstances,
) -> str:
    """One sentence why."""
    critical = [g for g in gates if g.critical]
    if verdict is RunVerdict.PASS:
        return f"PASS: {'; '.join(_passed(critical, cases, seen))}."
    where = _where(seen)
    if verdict is RunVerdict.FAIL:
        reasons = _failed(critical, cases, seen)
        shown = "; ".join(reasons[:3]) + (
            f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        )
        return f"FAIL: {shown}" + (f", over {where}." if seen.segments else ".")
    return f"INCONCLUSIVE over {where}: {'; '.join(_undecided(critical, cases, seen) or ['no gate could be judged'])}."


def _where(seen: Circumstances) -> str:
    dropped = (
        f" ({plural(seen.dropped, 'pair')} without valid data left out)" if seen.dropped else ""
    )
    return f"{plural(seen.segments, 'segment')} of {plural(seen.routes, 'route')}{dropped}"


def _only(seen: Circumstances) -> str:
    return f"{plural(seen.failed[0], 'route')} failed for the candidate only ({seen.failed[1]} for the baseline only)"


def _passed(
    critical: Sequence[GateVerdict], cases: Sequence[CaseVerdict], seen: Circumstances
) -> list[str]:
    where, parts = f"over {_where(seen)}", []
    if seen.identical:
        parts.append(f"exactly the same results on every pair {where}: zero effect")
    elif critical:
        parts.append(
            f"not worse by {margins(critical)} on {len(critical)} of {plural(len(critical), 'gate')} {where}"
        )
    others = [(g, g.other_estimand) for g in critical if g.other_estimand]
    leaning = [(g, other) for g, other in others if other.estimate > g.margin]
    if leaning and not seen.identical:
        which = ", ".join(
            f"{SPREAD[_other(g.estimand)]} of {g.metric} {percent(other.estimate)}"
            for g, other in leaning[:3]
        )
        parts.append(f"yet undecided but leaning the other way: {which}")
    if cases:
        waived = sum(bool(c.waived and not c.passed) for c in cases)
        parts.append(
            f"{plural(len(cases) - waived, 'must-pass case')} passed"
            + (f", {waived} waived" if waived else "")
        )
    parts = parts or ["nothing was asked"]
    if seen.failed[0]:
        parts.append(f"yet {_only(seen)}")
    return parts


def _failed(
    critical: Sequence[GateVerdict], cases: Sequence[CaseVerdict], seen: Circumstances
) -> list[str]:
    reasons = [
        f"must-pass case {c.case} failed" + (f" ({c.reason})" if c.reason else "")
        for c in cases
        if c.passed is False and not c.waived
    ]
    if seen.failing:
        reasons.append(seen.failing)
    for g in critical:
        if g.verdict is MetricVerdict.WORSE:
            reasons.append(f"{g.metric} is worse in the {SPREAD[g.estimand]}{_size(g)}")
    return reasons


def _size(gate: GateVerdict) -> str:
    if gate.interval is None:
        return ""
    least = (
        ""
        if gate.interval.low == gate.interval.estimate
        else f"at least {percent(gate.interval.low, signed=False)}; "
    )
    doubt = f"; {gate.reason}" if gate.reason else ""
    return f" by {percent(gate.interval.estimate, signed=False)} ({least}margin {share(gate.margin)}{doubt})"


def _undecided(
    critical: Sequence[GateVerdict], cases: Sequence[CaseVerdict], seen: Circumstances
) -> list[str]:
    mixed = [g for g in critical if g.verdict is MetricVerdict.MIXED]
    parts = [f"{g.metric}: the mean and the typical drive disagree ({_both(g)})" for g in mixed]
    open_ = [g for g in critical if g.verdict is MetricVerdict.CANNOT_TELL]
    if open_:
        others = f"; and {plural(len(open_) - 1, 'more gate')}" if len(open_) > 1 else ""
        parts.append(f"cannot tell for {open_gate(open_[0])}{others}")
    untold = [c for c in cases if c.passed is None and not c.waived]
    if untold:
        others = f"; and {plural(len(untold) - 1, 'more case')}" if len(untold) > 1 else ""
        parts.append(
            f"must-pass case {untold[0].case} can't be told"
            + (f" ({untold[0].reason})" if untold[0].reason else "")
            + others
        )
    if seen.missing:
        parts.append(f"{plural(seen.missing, 'planned pair')} never came")
    if seen.cases_missing:
        parts.append(f"{plural(seen.cases_missing, 'must-pass case')} without a result")
    if seen.failed[0]:
        parts.append(_only(seen))
    if seen.uncapped:
        parts.append(UNCAPPED)
    elif routes := [g.routes for g in open_ if g.interval]:
        if min(routes) < least_routes(seen.alpha):
            few, least = plural(min(routes), "route"), least_routes(seen.alpha)
            parts.append(
                f"{few} cannot show it at alpha = {seen.alpha:g}: at least {least} are needed"
            )
        elif seen.lacking:
            parts.append(
                f"in {plural(seen.lacking, 'pair')} one model has no value, which counts at its best and worst: supply it"
            )
        elif seen.more is not None:
            parts.append(f"about {seen.more:,} more segments of other routes would tell")
        else:
            parts.append(
                "the effect lies too close to the margin for any affordable number of segments"
            )
    return parts


def _other(estimand: Estimand) -> Estimand:
    return Estimand.MEAN if estimand is Estimand.TYPICAL else Estimand.TYPICAL


def _both(gate: GateVerdict) -> str:
    parts = []
    for estimand, interval in (
        (gate.estimand, gate.interval),
        (_other(gate.estimand), gate.other_estimand),
    ):
        if interval:
            parts.append(f"{SPREAD[estimand]} {percent(interval.estimate)}")
    return ", ".join(parts)
