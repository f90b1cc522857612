"""The verdict of one gate with its interval, its counts and the reason for it."""

import numpy as np
from scipy.stats import norm

from suites.definition.cost_draw import relative_cap
from suites.formatting import change_text, percent, plural
from suites.judgement import GateVerdict, Interval
from suites.statistics.bank_engines import CLEARLY
from suites.statistics.engines import OWN
from suites.statistics.sequential import ENDS, GateIntervals, SequentialJudge
from suites.verdict.gate_word import GOOD
from suites.verdict.sentence import SPREAD, UNCAPPED
from suites.vocabulary import Estimand, MetricVerdict


def gate_verdict(
    judge: SequentialJudge,
    g: int,
    word: MetricVerdict,
    decided_at: int | None,
    intervals: GateIntervals,
) -> GateVerdict:
    """Gate number `g`, which says `word` since `decided_at` pairs."""
    gate = judge.gates[g]
    totals = judge.totals
    valid, lopsided = int(totals.valid[g]), int(totals.lopsided[g])
    candidate_mean, baseline_mean = totals.means(g)
    rate = gate.estimand is Estimand.RATE
    candidate_events, baseline_events = (rate and totals.events(g)) or (None, None)
    return GateVerdict(
        metric=gate.metric,
        estimand=gate.estimand,
        margin=gate.margin,
        critical=gate.critical,
        verdict=word,
        interval=intervals.own,
        other_estimand=intervals.other,
        decided_at=decided_at,
        pairs=valid,
        routes=len(totals.routes[g]),
        invalid=judge.looked - valid + lopsided,
        smallest_visible_effect=_visible(intervals.own, intervals.error, gate.estimand),
        candidate_mean=candidate_mean,
        baseline_mean=baseline_mean,
        candidate_events=candidate_events,
        baseline_events=baseline_events,
        reason=_reason(judge, g, word, intervals),
        other_t=intervals.other_t,
        new_spikes=int(judge.spikes.new[g]),
        mended_spikes=int(judge.spikes.mended[g]),
        spiking=tuple(judge.spikes.named[g]),
        spikes_below=None if rate else judge.spikes.below(g, judge.consumed == judge.planned),
    )


def _visible(interval: Interval | None, error: float | None, estimand: Estimand) -> float | None:
    """The effect that this run would have told from zero with 80 % power.

    Half the width of the interval plus z(0.8) standard errors; None where the interval reaches an
    end of a scale that has two.
    """
    least, most = ENDS[estimand]
    if interval is None or error is None:
        return None
    if np.isfinite(most) and (interval.low <= least or interval.high >= most):
        return None
    return (interval.high - interval.low) / 2 + float(norm.ppf(0.8)) * error


def _reason(judge: SequentialJudge, g: int, word: MetricVerdict, intervals: GateIntervals) -> str:
    """Why the gate says no more, or what to know beside its word; empty where there is nothing."""
    interval = intervals.own
    if unreadable := _unreadable(judge, g):
        return unreadable
    gate = judge.gates[g]
    totals = judge.totals
    notes = [_contradicted(judge, g, interval), _lean(gate.estimand, word, intervals)]
    if judge.is_rate(g):
        notes.append(_of_rate(judge, g, word))
    if lopsided := int(totals.lopsided[g]):
        pairs = plural(lopsided, "pair")
        notes.append(f"{pairs} where one model has no value, counted at best and worst")
    if word is MetricVerdict.CANNOT_TELL:
        if not judge.improvable(OWN, g):
            return UNCAPPED
        routes = plural(len(totals.routes[g]), "route")
        wide = f"the interval is too wide on {routes}" if interval else f"{routes} bound nothing"
        return "; ".join(filter(None, [wide, *notes]))
    cut = int(totals.cut[g])
    if cut and gate.estimand is Estimand.MEAN:
        pairs = plural(cut, "pair")
        notes.append(f"{pairs} where both costs are cut at {_cap(judge, g)}")
    if any(notes):
        return "; ".join(filter(None, notes))
    if interval and interval.high < 0 and word in GOOD and word is not MetricVerdict.BETTER:
        return "better by itself, but not beside the other gates or not clearly on all pairs"
    return ""


def _of_rate(judge: SequentialJudge, g: int, word: MetricVerdict) -> str:
    """What a claim about a rate is about."""
    if word is not MetricVerdict.WORSE or not judge.by_bank(g):
        return ""
    known = judge.plan.baseline_events[judge.gates[g].metric]
    return f"a statement on this bank, where the baseline has {known:,} in all"


def _lean(estimand: Estimand, word: MetricVerdict, intervals: GateIntervals) -> str:
    """Where the other estimand leans another way than the word says, though nothing is shown."""
    t, other = intervals.other_t, intervals.other
    if t is None or other is None or word is MetricVerdict.MIXED:
        return ""
    against = -1 if word is MetricVerdict.WORSE else 1
    if against * t <= CLEARLY:
        return ""
    name = SPREAD[Estimand.MEAN if estimand is Estimand.TYPICAL else Estimand.TYPICAL]
    way = "better" if t < 0 else "worse"
    shown = "" if other.low > 0 or other.high < 0 else ", not shown"
    return f"the {name} leans to {way}: {percent(other.estimate)} (t = {t:.1f}{shown})"


def _unreadable(judge: SequentialJudge, g: int) -> str:
    """Why the gate's change cannot be read at all; empty if it can."""
    gate = judge.gates[g]
    totals = judge.totals
    if not judge.looked and judge.consumed:
        return f"the first look is after {plural(judge.consumed + judge.room, 'pair')}"
    if not totals.valid[g]:
        return "no pair has a value of both models"
    if totals.negative[g]:
        return "some costs are negative: a relative change of them has no meaning"
    if gate.estimand is Estimand.MEAN and totals.cut[g] == totals.valid[g]:
        cut = f"every cost of both models is cut at {_cap(judge, g)}"
        return f"{cut}: nothing is left to compare"
    if not judge.readable(OWN, g):
        return (
            "values of one model are missing and the gate declares no winsor_cap to count them at"
        )
    return ""


def _contradicted(judge: SequentialJudge, g: int, interval: Interval | None) -> str:
    """Where all pairs together lie beyond what an earlier look showed."""
    bound = judge.contradicted.get(g)
    if bound is None or interval is None:
        return ""
    rate = judge.is_rate(g)
    side = "least" if bound > interval.estimate else "most"
    why = "it is not the same on routes of many and of few pairs, or rare pairs outweigh the others"
    if judge.plan.stored is not None:
        why = "costs above their cap outweigh the others"
        if judge.gates[g].estimand is Estimand.TYPICAL:
            why = "that look counted a pair as three times as cheap at most"
    shown = f"an earlier look showed a change of at {side} {change_text(bound, rate)}"
    return f"{shown}, all pairs together {change_text(interval.estimate, rate)}: {why}"


def _cap(judge: SequentialJudge, g: int) -> str:
    gate = judge.gates[g]
    if judge.plan.stored is not None:
        return f"{relative_cap(gate):g} times what is expected of their segment"
    return f"the cap of {gate.winsor_cap:g}"
