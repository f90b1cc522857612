"""Rare incidents of two models on the same drives: rates with exact intervals, distinct places, hours still needed.

- Rate per 1,000 h: drives with the incident over hours driven, exact Poisson interval (Garwood 1936). A drive counts once:
  one bug that fires ten times in a bend is one. Only natural drives count, those that began on the logged path.
- Places: routes where one model alone has the incident, from whatever offset; label test (suites.statistics.rates), which
  may be read at any time. A difference is claimed at E >= kinds / alpha: Markov's bound shared by all kinds (Bonferroni).
- Other offsets: the share of drives with the incident, exact binomial interval (Clopper & Pearson 1934), never per hour.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.stats import binomtest

from suites.statistics.rates import hours_still_needed, label_e_value, poisson_interval, zero_event_hours

RARE_PER_H = 1 / 1000
"""Without an incident of either model: the rate that zero incidents are to exclude."""

Word = Literal["more", "fewer", "cannot tell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrivenTwice:
    """One scenario as both models drove it; candidate first, baseline second."""

    route: str
    offset: str
    natural: bool
    """It began on the logged path."""
    hours: tuple[float, float]
    happened: tuple[Mapping[str, bool], Mapping[str, bool]]
    """Kind of incident to whether it happened; a kind that is absent is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRate:
    """Of one model, on natural drives."""

    drives: int
    with_incident: int
    hours: float
    per_1000_h: float | None
    """None without an hour driven."""
    low: float | None
    high: float | None


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
    """Whether the candidate has it at more, or at fewer, places."""
    hours_needed: float | None
    """Natural hours of each model, beyond those driven, that would tell the observed rates apart with 80 % power; without an
    incident of either, that would show fewer than one per 1,000 h. None: nothing to go by, or as many incidents of both."""
    candidate_offsets: tuple[OffsetShare, ...]
    baseline_offsets: tuple[OffsetShare, ...]


def compare_incidents(drives: Sequence[DrivenTwice], kinds: Sequence[str], alpha: float = 0.05) -> list[IncidentKind]:
    """Every kind of incident in turn."""
    return [_compare(drives, kind, len(kinds) / alpha, alpha) for kind in kinds]


def _compare(drives: Sequence[DrivenTwice], kind: str, threshold: float, alpha: float) -> IncidentKind:
    known = [d for d in drives if all(kind in side for side in d.happened)]
    candidate, baseline = (_rate(known, kind, side) for side in (0, 1))
    places = [{d.route for d in known if d.happened[side][kind]} for side in (0, 1)]
    only = places[0] - places[1], places[1] - places[0]
    e_value = label_e_value(len(only[0]), len(only[1]))
    word: Word = "cannot tell"
    if e_value >= threshold:
        word = "more" if len(only[0]) > len(only[1]) else "fewer"
    return IncidentKind(
        kind=kind, candidate=candidate, baseline=baseline, candidate_only=tuple(sorted(only[0])),
        baseline_only=tuple(sorted(only[1])), both=tuple(sorted(places[0] & places[1])), e_value=e_value, threshold=threshold,
        word=word, hours_needed=_hours_needed(candidate, baseline, alpha),
        candidate_offsets=_offsets(known, kind, 0), baseline_offsets=_offsets(known, kind, 1),
    )  # fmt: skip


def _rate(drives: Sequence[DrivenTwice], kind: str, side: int) -> IncidentRate:
    natural = [d for d in drives if d.natural]
    count, hours = sum(d.happened[side][kind] for d in natural), sum(d.hours[side] for d in natural)
    if hours <= 0:
        return IncidentRate(drives=len(natural), with_incident=count, hours=0.0, per_1000_h=None, low=None, high=None)
    low, high = poisson_interval(count, hours / 1000)
    return IncidentRate(
        drives=len(natural), with_incident=count, hours=hours, per_1000_h=1000 * count / hours, low=low, high=high
    )  # fmt: skip


def _hours_needed(candidate: IncidentRate, baseline: IncidentRate, alpha: float) -> float | None:
    if candidate.per_1000_h is None or baseline.per_1000_h is None:
        return None
    done = min(candidate.hours, baseline.hours)
    if candidate.with_incident + baseline.with_incident == 0:
        return max(0.0, zero_event_hours(RARE_PER_H, 1 - alpha) - done)
    if candidate.with_incident == baseline.with_incident:
        return None
    return hours_still_needed(candidate.per_1000_h / 1000, baseline.per_1000_h / 1000, done, alpha)


def _offsets(drives: Sequence[DrivenTwice], kind: str, side: int) -> tuple[OffsetShare, ...]:
    by_offset: dict[str, list[bool]] = defaultdict(list)
    for d in drives:
        if not d.natural:
            by_offset[d.offset].append(d.happened[side][kind])
    shares = []
    for offset, happened in sorted(by_offset.items()):
        count = sum(happened)
        interval = binomtest(count, len(happened)).proportion_ci(method="exact")
        low, high = float(interval.low), float(interval.high)
        shares.append(OffsetShare(offset=offset, drives=len(happened), with_incident=count, low=low, high=high))
    return tuple(shares)
