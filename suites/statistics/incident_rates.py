"""Rare incidents of two models on the same drives: rates, distinct places, hours still needed.

- Rate per 1,000 h of natural driving: each drive counts with its natural weight (`enriched_rates`),
  zero where nobody states how often a drive begins so. A drive counts once: one bug that fires ten
  times in a bend is one. The drives of one segment, from several offsets or repeated, are one event
  of the Poisson interval: one bad bend is not taken for many. Where each segment was driven once
  from the logged path it is the exact interval (Garwood 1936).
- Places: routes where one model alone has the incident, from whatever offset. The label test may
  be read at any time; a difference is claimed at E >= kinds / alpha, Markov's bound shared by all
  kinds (Bonferroni). Where the whole plan was driven, so that nothing seen has chosen its length,
  also McNemar's exact test, adjusted over the kinds by Holm's procedure.
- Each offset: the share of drives with the incident, with the exact binomial interval (Clopper &
  Pearson 1934), never per hour.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.stats import binomtest

from suites.enriched_rates import effective_sample
from suites.statistics.multiplicity import holm
from suites.statistics.rates import (
    hours_still_needed,
    label_e_value,
    mcnemar_exact,
    poisson_interval,
    zero_event_hours,
)

RARE_PER_H = 1 / 1000
"""Without an incident of either model: the rate that zero incidents are to exclude."""

LEAST_HOURS = zero_event_hours(1.0)
"""Hours of exposure below which no rate is quoted: even none at all would not show < 1 / h."""

LEAST_EFFECTIVE = 30.0
"""Fewer effective segments may have missed what matters, interval and all: a rule of thumb."""

Word = Literal["more", "fewer", "cannot tell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrivenTwice:
    """One scenario as both models drove it; candidate first, baseline second."""

    route: str
    segment: str
    offset: str
    """Empty where it began on the logged path."""
    weight: float
    """How often natural driving begins so, over how often it is driven; 1 where the two agree,
    0: not stated, or never."""
    hours: tuple[float, float]
    happened: tuple[Mapping[str, bool], Mapping[str, bool]]
    """Kind of incident to whether it happened; a kind that is absent is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRate:
    """Of one model, on the drives that have a natural weight."""

    drives: int
    with_incident: int
    hours: float
    """Driven."""
    effective_hours: float
    """Hours of natural driving that these are worth: (sum W)^2 / sum W^2 segments (Kish 1965), W
    the weight of all drives of one, times the natural hours of a drive."""
    per_1000_h: float | None
    """None where `effective_hours` are fewer than three: too small an exposure to quote."""
    low: float | None
    """Bounds of the 95 % interval; None without an hour driven."""
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrichedSample:
    """What the drives of an enriched suite are worth for natural driving."""

    drives: int
    segments: int
    effective_segments: float
    """Segments of natural driving that these are worth by their weights."""
    largest_weight: float
    """Natural drives that one drive counts for at most."""
    warning: str
    """Why its rates may mislead; empty where nothing says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetShare:
    """Of one model, on drives that began at one offset."""

    offset: str
    drives: int
    with_incident: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentKind:
    """One kind of incident, both models."""

    kind: str
    candidate: IncidentRate
    baseline: IncidentRate
    candidate_only: tuple[str, ...]
    """Routes."""
    baseline_only: tuple[str, ...]
    both: tuple[str, ...]
    e_value: float
    threshold: float
    word: Word
    """Whether the candidate has it at more, or at fewer, places: by the label test alone."""
    p_value: float | None
    """McNemar's exact test of the same places, adjusted over the kinds; None unless the whole plan
    was driven."""
    hours_needed: float | None
    """Natural hours of each model, beyond those driven, that tell the observed rates apart with 80
    % power; without an incident of either, those that show fewer than one per 1,000 h. None:
    nothing to go by, or as many incidents of both."""
    candidate_offsets: tuple[OffsetShare, ...]
    baseline_offsets: tuple[OffsetShare, ...]


def compare_incidents(
    drives: Sequence[DrivenTwice],
    kinds: Sequence[str],
    alpha: float = 0.05,
    complete: bool = False,
    largest: float = 0.0,
) -> list[IncidentKind]:
    """Every kind of incident in turn. `complete`: these are all the drives that were planned.
    `largest`: the weight that all drives of a segment may have, were it among them or not."""
    found = [_compare(drives, kind, len(kinds) / alpha, alpha, largest) for kind in kinds]
    if not complete:
        return found
    adjusted = holm([mcnemar_exact(len(k.candidate_only), len(k.baseline_only)) for k in found])
    return [replace(k, p_value=p) for k, p in zip(found, adjusted, strict=True)]


def _compare(
    drives: Sequence[DrivenTwice], kind: str, threshold: float, alpha: float, largest: float
) -> IncidentKind:
    known = [d for d in drives if all(kind in side for side in d.happened)]
    candidate, baseline = (_rate(known, kind, side, largest) for side in (0, 1))
    places = [{d.route for d in known if d.happened[side][kind]} for side in (0, 1)]
    only = places[0] - places[1], places[1] - places[0]
    e_value = label_e_value(len(only[0]), len(only[1]))
    word: Word = "cannot tell"
    if e_value >= threshold:
        word = "more" if len(only[0]) > len(only[1]) else "fewer"
    return IncidentKind(
        kind=kind,
        candidate=_quotable(candidate),
        baseline=_quotable(baseline),
        candidate_only=tuple(sorted(only[0])),
        baseline_only=tuple(sorted(only[1])),
        both=tuple(sorted(places[0] & places[1])),
        e_value=e_value,
        threshold=threshold,
        word=word,
        p_value=None,
        hours_needed=_hours_needed(candidate, baseline, alpha),
        candidate_offsets=_offsets(known, kind, 0),
        baseline_offsets=_offsets(known, kind, 1),
    )


def _rate(drives: Sequence[DrivenTwice], kind: str, side: int, largest: float) -> IncidentRate:
    counted = [d for d in drives if d.weight > 0]
    driven = sum((d.hours[side] for d in counted), 0.0)
    rate = IncidentRate(
        drives=len(counted),
        with_incident=sum(d.happened[side][kind] for d in counted),
        hours=max(driven, 0.0),
        effective_hours=0.0,
        per_1000_h=None,
        low=None,
        high=None,
    )
    if driven <= 0:
        return rate
    weight = _by_segment(counted)
    # one bad bend that is driven from several offsets is one event of the Poisson interval
    events = _by_segment([d for d in counted if d.happened[side][kind]])
    natural_hours = sum(d.weight * d.hours[side] for d in counted)
    each = [1000 * w / natural_hours for w in events.values()]
    low, high = poisson_interval(each, 1000 * max(largest, *weight.values()) / natural_hours)
    weights = np.array(list(weight.values()))
    effective_hours = effective_sample(weights) * natural_hours / float(weights.sum())
    return replace(rate, per_1000_h=sum(each), low=low, high=high, effective_hours=effective_hours)


def _by_segment(drives: Sequence[DrivenTwice]) -> dict[str, float]:
    """Sum of the weights of each segment's drives."""
    weight = defaultdict[str, float](float)
    for d in drives:
        weight[d.segment] += d.weight
    return weight


def enriched_sample(drives: Sequence[DrivenTwice]) -> EnrichedSample:
    """The drives of an enriched suite that count; none does before all that was drawn is driven."""
    counted = [d for d in drives if d.weight > 0]
    weight = _by_segment(counted)
    effective = effective_sample(np.array(list(weight.values()))) if counted else 0.0
    warning = ""
    if not counted:
        warning = (
            "no rate before all that was drawn is driven: what is driven first is no random part "
            "of it"
        )
    elif effective < LEAST_EFFECTIVE:
        warning = (
            f"fewer than {LEAST_EFFECTIVE:g} effective segments: rates and intervals may miss what "
            "matters, draw more"
        )
    return EnrichedSample(
        drives=len(counted),
        segments=len(weight),
        effective_segments=effective,
        largest_weight=max((d.weight for d in counted), default=0.0),
        warning=warning,
    )


def _quotable(rate: IncidentRate) -> IncidentRate:
    return rate if rate.effective_hours >= LEAST_HOURS else replace(rate, per_1000_h=None)


def _hours_needed(candidate: IncidentRate, baseline: IncidentRate, alpha: float) -> float | None:
    if candidate.per_1000_h is None or baseline.per_1000_h is None:
        return None
    done = min(candidate.effective_hours, baseline.effective_hours)
    if candidate.with_incident + baseline.with_incident == 0:
        return max(0.0, zero_event_hours(RARE_PER_H, 1 - alpha) - done)
    if candidate.with_incident == baseline.with_incident:
        return None
    return hours_still_needed(candidate.per_1000_h / 1000, baseline.per_1000_h / 1000, done, alpha)


def _offsets(drives: Sequence[DrivenTwice], kind: str, side: int) -> tuple[OffsetShare, ...]:
    by_offset: dict[str, list[bool]] = defaultdict(list)
    for d in drives:
        if d.offset:
            by_offset[d.offset].append(d.happened[side][kind])
    shares = []
    for offset, happened in sorted(by_offset.items()):
        count = sum(happened)
        interval = binomtest(count, len(happened)).proportion_ci(method="exact")
        low, high = float(interval.low), float(interval.high)
        counts = {"drives": len(happened), "with_incident": count}
        shares.append(OffsetShare(offset=offset, low=low, high=high, **counts))
    return tuple(shares)
