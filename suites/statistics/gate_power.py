"""What the gates of a suite can tell at the size of its bank, before anything is driven.

Counts give what no spread is needed for: the spikes that a quiet bank excludes, the margins that so
few pairs and routes never show. What will be found also needs how much models differ from route to
route. That comes from stored results of two distinct models, or it is not known; then figures
follow for ASSUMED spreads and are called so.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil, isfinite, sqrt

import numpy as np
from scipy.stats import binom

from suites.definition.suite_schema import Gate, Suite, SuiteVersion
from suites.metrics.registry import METRICS
from suites.pair_table import PairTable
from suites.statistics.chances import Sample, cleared, fails, found, smallest
from suites.statistics.contrasts import BEST, WORST, evidence
from suites.statistics.new_spikes import NewSpikes, allowed, at_most, quiet_pairs
from suites.statistics.rate_power import excluded_difference, expected_events, failing_events
from suites.statistics.sample_size import betting_finds, betting_segments, deciding_segments
from suites.statistics.sequential import tolerated
from suites.vocabulary import Estimand

POWER = 0.8
ASSUMED = (0.1, 0.2)
"""Standard deviations of the relative difference of a route, where none was seen: about those of
two checkpoints of one line, and of two lines."""


@dataclass(frozen=True, slots=True)
class BankSize:
    """The pairs that the gates judge."""

    segments: int
    route_pairs: tuple[int, ...]
    """Pairs of each route."""

    @property
    def pairs(self) -> int:
        return sum(self.route_pairs)

    def sample(self, between: float, within: float) -> Sample:
        """Driven whole, where routes differ by one standard deviation and their pairs by another.

        The variance of a route's sum of n pairs is n^2 between^2 + n within^2."""
        n = np.array(self.route_pairs, dtype=np.float64)
        variance = float((n**2 * between**2 + n * within**2).sum())
        return Sample(self.pairs, len(n), sqrt(variance) / self.pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one gate tells of the whole bank at one spread, with the chance POWER."""

    spread: float | None
    """Standard deviation of the relative difference of a route; None for means."""
    found: float | None
    """Smallest worsening that is told from none; inside the margin it passes as slightly worse."""
    fails: float | None
    """Smallest worsening that fails the gate; None for means."""
    shown: float | None
    """Smallest margin by which equal models are shown to be not worse."""
    needed: int | None
    """Segments, with as many on a route, that show equal models to be inside the gate's margin;
    None where no number does, and for means."""
    passes: float | None
    """Chance that equal models pass the gate at its own margin, with new spikes as often as in the
    results; None where it was not computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPower:
    """Events on the whole bank, for a gate that judges a rate."""

    baseline: int
    """The baseline's, as often as in the results; 0 where there are none."""
    failing: int | None
    """Fewest of the candidate, each on a route of its own, that are more; None: no number is."""
    found: int | None
    """Those to expect of a candidate that is found in POWER of the runs."""
    shown: float
    """Difference of the rates below which equal models are shown to stay, as a share of pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePower:
    """One gate at the bank's size."""

    metric: str
    estimand: Estimand
    margin: float
    critical: bool
    capped: bool
    """The costs of a mean count up to a declared cap: without, it is never shown to be no worse."""
    by_cost: bool
    """In an order that is drawn by cost: it speaks of the bank, and is certain of it at the end."""
    never_below: float | None
    """Margin below which so few pairs and routes show nothing, however alike the models are; None:
    they show no margin."""
    told: tuple[Told, ...] = ()
    """At the spread that was seen, or at each of those assumed."""
    seen: str = ""
    """Whose results gave the spread; empty: it is assumed."""
    spiking: float | None = None
    """Share of pairs in those results where one of the models spikes beside the other, halved: how
    often an equal model newly spikes. None: not known, and counted as never."""
    events: EventPower | None = None
    """Of a rate; None where its values are no events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceCount:
    """A declared slice with fewer pairs than a pass is to have seen."""

    name: str
    pairs: int
    minimum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePower:
    """What a suite version can tell."""

    pairs: int
    segments: int
    routes: int
    alpha: float
    spikes_below: float
    """Share of pairs that new spikes are shown to stay below where none came in the whole bank."""
    new_spikes: float
    """That share as the suite asks for it."""
    quiet_pairs: int
    """Pairs without a new spike that show it: no pass comes before."""
    thin_slices: tuple[SliceCount, ...]
    gates: tuple[GatePower, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Results of two distinct models, and whose they are."""

    table: PairTable
    source: str


def suite_power(version: SuiteVersion, seen: Mapping[str, Seen]) -> SuitePower | None:
    """What each gate tells; `seen` by metric. None without a gate or a pair that it judges."""
    suite = version.suite
    # Must-pass cases come last; the gates of a suite that has nothing else are over them.
    judged = [p for p in version.planned if p.case is None] or version.planned
    if not suite.gates or not judged:
        return None
    segments = [p.scenario.segment_id for p in judged]
    bank = BankSize(len(set(segments)), tuple(Counter(p.route for p in judged).values()))
    alpha = suite.alpha
    return SuitePower(
        pairs=bank.pairs,
        segments=bank.segments,
        routes=len(bank.route_pairs),
        alpha=alpha,
        spikes_below=at_most(0, bank.pairs, alpha),
        new_spikes=tolerated(suite),
        quiet_pairs=quiet_pairs(tolerated(suite), alpha),
        thin_slices=tuple(_thin_slices(version, segments)),
        gates=tuple(_gate_power(gate, bank, suite, seen.get(gate.metric)) for gate in suite.gates),
    )


def _thin_slices(version: SuiteVersion, segments: list[str]) -> Iterator[SliceCount]:
    """Declared slices that the bank cannot fill."""
    for one in version.suite.slices:
        inside = frozenset(version.slices.get(one.name, ()))
        pairs = sum(segment in inside for segment in segments)
        if pairs < one.minimum:
            yield SliceCount(name=one.name, pairs=pairs, minimum=one.minimum)


def _gate_power(gate: Gate, bank: BankSize, suite: Suite, seen: Seen | None) -> GatePower:
    plain = GatePower(
        metric=gate.metric,
        estimand=gate.estimand,
        margin=gate.margin,
        critical=gate.critical,
        capped=gate.winsor_cap is not None or gate.relative_cap is not None,
        by_cost=suite.draw == "cost",
        never_below=None,
    )
    if plain.by_cost:
        return plain
    if gate.estimand is Estimand.TYPICAL:
        return _of_typical(plain, gate, bank, suite, seen)
    if gate.estimand is Estimand.RATE:
        return _of_rate(plain, gate, bank, suite, seen)
    if seen is None or gate.winsor_cap is None:
        return plain
    told = _told_of_mean(gate, gate.winsor_cap, seen.table, len(bank.route_pairs), suite.alpha)
    return replace(plain, told=(told,), seen=seen.source)


def _of_typical(
    plain: GatePower, gate: Gate, bank: BankSize, suite: Suite, seen: Seen | None
) -> GatePower:
    alpha = suite.alpha
    alike = bank.sample(0.0, 0.0)
    never_below = smallest(lambda margin: cleared(margin, alike, alpha), POWER)
    spread = spread_of(gate, seen.table) if seen else None
    spreads = [spread] if spread else [(between, 0.0) for between in ASSUMED]
    told = tuple(told_of(gate, bank, one, alpha, len(suite.gates)) for one in spreads)
    if seen is None or spread is None:
        return replace(plain, never_below=never_below, told=told)
    spiking = spiking_share(gate, seen.table)
    quiet = _allowed_chance(spiking, bank.pairs, suite)
    told = tuple(replace(one, passes=quiet * (one.passes or 0.0)) for one in told)
    return replace(plain, never_below=never_below, told=told, seen=seen.source, spiking=spiking)


def _of_rate(
    plain: GatePower, gate: Gate, bank: BankSize, suite: Suite, seen: Seen | None
) -> GatePower:
    pairs, routes = bank.pairs, len(bank.route_pairs)
    joint_alpha = suite.alpha / len(suite.gates)
    plain = replace(plain, never_below=excluded_difference(routes, 0, suite.alpha))
    counted = _events(gate, seen.table) if seen else None
    if METRICS[gate.metric].kind != "rate" or (seen and counted is None):
        return plain
    baseline, differing = counted or (0.0, 0.0)
    events = round(baseline * pairs)
    failing = failing_events(pairs, routes, events, joint_alpha, bool(counted) and pairs == routes)
    found_at = None if failing is None else ceil(expected_events(failing, POWER))
    shown = excluded_difference(routes, round(differing * routes), suite.alpha)
    return replace(
        plain,
        events=EventPower(baseline=events, failing=failing, found=found_at, shown=shown),
        seen=seen.source if seen and counted else "",
    )


def _events(gate: Gate, table: PairTable) -> tuple[float, float] | None:
    """Share of pairs with an event of the baseline, and half the share of those that differ.

    None where a value is neither 0 nor 1.
    """
    rows = evidence(table, [gate], [Estimand.RATE])
    counts = rows.valid[:, 0] & ~rows.lopsided[:, 0]
    c = rows.rates[WORST, counts, 0]
    b = c - rows.p[WORST, counts, 0]
    if not len(c) or not np.isin(np.stack([c, b]), (0.0, 1.0)).all():
        return None
    return float(b.mean()), float((c != b).mean() / 2)


def spiking_share(gate: Gate, table: PairTable) -> float:
    """How often models as far apart as these, and equal, newly spike: either of them, halved."""
    spikes = NewSpikes((gate,), share=1.0, alpha=1.0)
    spikes.consume(table)
    return float((spikes.new + spikes.mended)[0] / (2 * max(spikes.pairs[0], 1)))


def _allowed_chance(spiking: float, pairs: int, suite: Suite) -> float:
    """Chance that so many pairs hold no more new spikes than a complete pass may."""
    most = allowed(pairs, pairs, tolerated(suite), suite.alpha)
    most = max(most, int((suite.max_failed_share or 0.0) * pairs))
    return float(binom.cdf(most, pairs, spiking))


def told_of(
    gate: Gate, bank: BankSize, spread: tuple[float, float], alpha: float, gates: int
) -> Told:
    between, within = spread
    sample = bank.sample(between, within)
    return Told(
        spread=sqrt(between**2 + within**2 * sample.routes / sample.pairs),
        found=smallest(lambda effect: found(effect, sample, alpha, gates), POWER),
        fails=smallest(lambda effect: fails(effect, gate.margin, sample, alpha, gates), POWER),
        shown=smallest(lambda margin: cleared(margin, sample, alpha), POWER),
        needed=_whole(deciding_segments(sample, bank.segments, gate.margin, alpha, POWER)),
        passes=cleared(gate.margin, sample, alpha),
    )


def _whole(segments: float) -> int | None:
    return ceil(segments) if isfinite(segments) else None


def _told_of_mean(gate: Gate, cap: float, table: PairTable, routes: int, alpha: float) -> Told:
    """The mean of costs cut at `cap`, in a typical run: by betting on the first pair of a route."""
    rows = evidence(table, [gate], [Estimand.MEAN])
    counts = rows.valid[:, 0] & ~rows.lopsided[:, 0]
    p, q = rows.p[BEST, counts, 0], rows.q[BEST, counts, 0]

    def told(segments: Callable[..., int | None]) -> float | None:
        def chance(size: float) -> float:
            needed = segments(p, q, size, cap, alpha)
            return float(needed is not None and needed <= routes)

        return smallest(chance, POWER) if q.sum() > 0 else None

    return Told(
        spread=None,
        found=told(betting_finds),
        fails=None,
        shown=told(betting_segments),
        needed=None,
        passes=None,
    )


def spread_of(gate: Gate, table: PairTable) -> tuple[float, float] | None:
    """Standard deviations of the relative difference between routes and inside them.

    By one-way analysis of variance; where no route has two pairs all of it lies between routes.
    None for fewer than two routes, or where nothing differs.
    """
    rows = evidence(table, [gate], [Estimand.TYPICAL])
    counts = rows.valid[:, 0]
    r = (rows.p[BEST] + rows.p[WORST])[counts, 0] / 2
    names = np.array(table.routes)[counts]
    if not r.any():
        return None
    _, index, sizes = np.unique(names, return_inverse=True, return_counts=True)
    routes = len(sizes)
    if routes < 2:
        return None
    means = np.bincount(index, r) / sizes
    inside = float(((r - means[index]) ** 2).sum() / max(len(r) - routes, 1))
    among = float((sizes * (means - r.mean()) ** 2).sum() / (routes - 1))
    size = (len(r) - float((sizes**2).sum()) / len(r)) / (routes - 1)
    return sqrt(max(among - inside, 0.0) / size), sqrt(inside)
