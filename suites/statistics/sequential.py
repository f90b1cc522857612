"""All gates of a run judged together, as its pairs arrive in the registered order.

    axes of a test: [case, slot, gate, theta]

                                gate 0           gate 1
                            -m   0   +m       -m   0   +m      thetas; m is the gate's margin
    case BEST    slot OWN    .   .   .         .   .   .
                 slot OTHER  .   .   .         .   .   .
    case WORST   slot OWN    .   .   .         .   .   .
                 slot OTHER  .   .   .         .   .   .

- case: the evidence at its best and at its worst for the candidate. They differ only where rollouts
  were censored or one model lacks a value.
- slot: the gate's own estimand, and the other one.
- theta: the relative change that is tested. Each test says "above" or "below" it, or stays open.

"Worse" and "better" are claims about any of several gates and are controlled family-wise (maxT).
"Not worse by the margin" must hold on every gate, so that each is tested at the full alpha
(intersection-union test, Berger 1982).

Sign flips take differences to be symmetric. "Worse" and "better" also need a bet on their direction
(suites.statistics.direction_bets), "not worse" bets on spikes and on routes
(suites.statistics.spikes). Routes weigh by their planned pairs at every look, so that a change that
goes with their length is judged by all pairs from the start.
"""

from dataclasses import dataclass
from math import floor, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suites.definition.suite_schema import Suite
from suites.judgement import Interval
from suites.pair_table import PairTable, concat
from suites.run_plan import RunPlan
from suites.statistics.bank_engines import CLEARLY, BankEngines
from suites.statistics.contrasts import BEST, WORST, GateEvidence, evidence
from suites.statistics.engines import OTHER, OWN, Engines, Shown, estimand_of
from suites.statistics.gate_totals import GateTotals
from suites.statistics.new_spikes import NewSpikes
from suites.vocabulary import Estimand

Floats = NDArray[np.float64]

DECIDING = np.array([-1.0, 0.0, 1.0])
"""Thetas that decide, in margins."""

STEPS: Floats = np.concatenate(
    [np.arange(0.0, 4.0, 0.25), [4, 4.5, 5, 6, 7, 8, 10, 13, 17, 25, 50, 200, 1000]]
)
"""Thetas of an interval, in standard errors from the estimate; its bounds are rounded outwards."""

ENDS = {Estimand.TYPICAL: (-2.0, 2.0), Estimand.RATE: (-1.0, 1.0), Estimand.MEAN: (-1.0, np.inf)}
"""Of the scale of each estimand."""

MULTIPLES: Floats = np.array([0.25, 0.5, 0.75, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0])
"""Further thetas, in margins: the upper bounds that spikes not met yet leave."""


def shown_look(number: int) -> bool:
    """Whether the n-th look (from 1) moves the shown intervals: the first eight, then each 15 %."""
    return number <= 8 or floor(log(number) / log(1.15)) > floor(log(number - 1) / log(1.15))


def tolerated(suite: Suite) -> float:
    """The share of new spikes that a pass may leave possible: failures that a suite allows too."""
    return max(suite.new_spikes, suite.max_failed_share or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What is shown of one gate's change by one estimand, each with its error held over the run."""

    above_zero: bool
    above_margin: bool
    below_zero: bool
    below_margin: bool
    above_minus_margin: bool
    leaning: bool
    """The estimate is worse by more than the margin, or clearly above zero, and nothing shows that
    the change is not."""
    distance: float
    """From zero in standard errors, whatever the skew; positive is worse."""
    counted: bool = False
    """It is a rate of counted events."""


class GateIntervals(NamedTuple):
    """Of one gate; None where nothing can be computed."""

    own: Interval | None
    other: Interval | None
    """By the other estimand."""
    error: float | None
    """Standard error of its own estimate."""
    other_t: float | None
    """The other estimate in its standard errors."""


class SequentialJudge:
    """Consumes pairs in the registered order; look when `room` is zero, and at the end."""

    def __init__(self, suite: Suite, plan: RunPlan) -> None:
        self.suite = suite
        self.plan = plan
        self.planned = plan.pairs
        self.gates = suite.gates
        self.consumed = 0
        self.looked = 0
        """Pairs consumed at the last look."""
        self.contradicted: dict[int, float] = {}
        """Gate to a bound that an earlier look showed, where the estimate on all pairs lies beyond
        it; set by `intervals`."""
        self.totals = GateTotals(self.gates, plan.stored)
        self.spikes = NewSpikes(self.gates, tolerated(suite), suite.alpha, plan.stored)
        self._margins = np.array([gate.margin for gate in self.gates])
        thetas = self._margins[:, None] * DECIDING
        self._engines = self._tests(np.broadcast_to(thetas, (2, 2, *thetas.shape)))
        self._blocks: list[tuple[tuple[str, ...], tuple[GateEvidence, GateEvidence]]] = []
        """Routes and evidence of each look, kept to invert the tests at other thetas."""
        self._shown: list[bool] = []
        self._pending: list[PairTable] = []

    def _tests(self, thetas: Floats) -> Engines | BankEngines:
        engines = Engines if self.plan.stored is None else BankEngines
        return engines(self.suite, self.plan, thetas)

    @property
    def room(self) -> int:
        """Pairs that may still be consumed before the next look is due."""
        every = self.suite.look_every
        return min((self.looked // every + 1) * every, self.planned) - self.consumed

    def consume(self, table: PairTable) -> None:
        """Takes the next rows, at most `room` of them; they are read at the next look."""
        self._pending.append(table)
        self.consumed += len(table)

    def look(self) -> None:
        """Tests every gate on what was consumed so far, and spends.

        Rows are joined first: however they came, the sums are the same to the bit.
        """
        self._read(concat(self._pending))
        self._pending = []
        self.spikes.look()
        self._engines.look(self.consumed == self.planned)
        regular = self.consumed % self.suite.look_every == 0 and self.consumed < self.planned
        self._shown.append(not regular or shown_look(self.consumed // self.suite.look_every))
        self.looked = self.consumed

    def _read(self, table: PairTable) -> None:
        if self.plan.stored is not None:
            self.plan.stored.check(table, self.looked)
        own, other = (
            [estimand_of(self.suite, slot, g) for g in range(len(self.gates))]
            for slot in (OWN, OTHER)
        )
        rows = evidence(table, self.gates, own), evidence(table, self.gates, other)
        self._engines.consume(table.routes, rows)
        self._blocks.append((table.routes, rows))
        self.totals.consume(table, rows[OWN])
        self.spikes.consume(table)

    def claims(self) -> list[tuple[Claims, Claims]]:
        """For each gate what its own estimand shows, and the other one, after the last look."""
        shown = self._engines.shown()
        over = (self._engines.estimate() > self._margins)[WORST]
        # It is read only where a change is told from zero, and costs most of a look.
        told = (shown[1][:, OWN, :, 1] != 0).any(axis=0)
        far = self._engines.distance(told)
        # At its best where it is worse, at its worst where it is better.
        distance = np.where(far[BEST] > 0, far[BEST], np.minimum(far[WORST], 0.0))

        def claim(slot: int, g: int) -> Claims:
            return self._claim(shown, bool(over[slot, g]), float(distance[slot, g]), slot, g)

        return [(claim(OWN, g), claim(OTHER, g)) for g in range(len(self.gates))]

    def _claim(
        self, shown: tuple[Shown, Shown], over: bool, distance: float, slot: int, g: int
    ) -> Claims:
        # What is above theta must be so even at the candidate's best, what is below at its worst.
        alone, joint = (each[:, slot, g] for each in shown)
        above = joint[BEST] > 0
        below = joint[WORST] < 0
        within = alone[WORST, 2] < 0
        readable, improvable = self.readable(slot, g), self.improvable(slot, g)
        worsened = improvable or (slot == OTHER and readable)
        unexcluded = over and not (within and improvable)
        return Claims(
            above_zero=bool(above[1]) and worsened,
            above_margin=bool(above[2]) and worsened,
            below_zero=bool(below[1] and within) and improvable,
            below_margin=bool(within) and improvable,
            above_minus_margin=bool(above[0]) and improvable,
            leaning=(unexcluded or distance > CLEARLY) and readable,
            distance=distance if readable else 0.0,
            counted=self.is_rate(g) and self.totals.events(g) is not None,
        )

    def by_bank(self, g: int) -> bool:
        """Whether a rate's events would be more on this bank alone, as far as is shown."""
        engines = self._engines
        return isinstance(engines, Engines) and bool(engines.by_bank()[BEST, OWN, g])

    def change(self, g: int) -> float:
        """A gate's own estimate at the candidate's worst; 0 where it can't be read."""
        return float(np.nan_to_num(self._engines.estimate()[WORST, OWN, g]))

    def other_bounds(self, g: int) -> tuple[float, float, float]:
        """A gate's other estimate between its one-sided 95 % bounds, read once: it only guards."""
        middle = float(self._engines.estimate()[WORST, OTHER, g])
        half = CLEARLY * float(self._engines.error()[WORST, OTHER, g])
        known = self.readable(OTHER, g) and np.isfinite(middle + half)
        return (middle - half, middle, middle + half) if known else (-np.inf, np.nan, np.inf)

    def _spiky(self, slot: int, g: int) -> bool:
        """The mean without a declared cap, for which no test here holds under rare spikes."""
        bare = self.gates[g].winsor_cap is None and self.plan.stored is None
        return self._is_mean(slot, g) and bare

    def _is_mean(self, slot: int, g: int) -> bool:
        return estimand_of(self.suite, slot, g) is Estimand.MEAN

    def is_rate(self, g: int) -> bool:
        """Whether a gate judges a rate, which has no other estimand."""
        return self.gates[g].estimand is Estimand.RATE

    def readable(self, slot: int, g: int) -> bool:
        """Whether a gate's change by one estimand can be read at all."""
        totals = self.totals
        if totals.negative[g] or not totals.valid[g] or (slot == OTHER and self.is_rate(g)):
            return False
        if self._is_mean(slot, g) and totals.cut[g] == totals.valid[g]:
            return False
        return not (self._spiky(slot, g) and totals.lopsided[g])

    def improvable(self, slot: int, g: int) -> bool:
        """Whether it may be called better or not worse."""
        return self.readable(slot, g) and not self._spiky(slot, g)

    def intervals(self) -> list[GateIntervals]:
        """The intervals of each gate: the thetas that no look rejected (inversion of the tests).

        The looks are those of `shown_look`; at the deciding thetas, all. The lower bound is the
        family-wise one from the best case, the upper bound the gate's own from the worst case:
        those that decide. An estimate outside them ends its interval (`contradicted`).
        """
        self.contradicted = {}  # whoever asked earlier changes no word
        # Without censoring both cases are one, and half of the work is saved.
        agree = self.plan.stored is None and all(
            np.array_equal(rows.p[BEST], rows.p[WORST]) for _, both in self._blocks for rows in both
        )
        cases = 1 if agree else 2
        estimate, error = self._engines.estimate()[:cases], self._engines.error()[:cases]
        grid = self._grid(estimate, error)
        alone, joint = self._replayed(grid).shown()
        decided_alone, decided_joint = self._engines.shown()
        alone[WORST, ..., :3] = decided_alone[WORST]
        joint[BEST, ..., :3] = decided_joint[BEST]
        lows, highs = self._engines.asymptotic()

        def interval(slot: int, g: int) -> Interval | None:
            if self._spiky(slot, g):
                low, high = float(lows[BEST, slot, g]), float(highs[WORST, slot, g])
            else:
                low = _lower(grid[BEST, slot, g], joint[BEST, slot, g])
                high = _upper(grid[WORST, slot, g], alone[WORST, slot, g])
            return self._interval(slot, g, float(estimate[:, slot, g].mean()), low, high)

        with np.errstate(divide="ignore", invalid="ignore"):
            t = estimate[:, OTHER].mean(axis=0) / error[:, OTHER].max(axis=0)
        if self.plan.stored is not None:  # on the bank alone the end is certain
            every = np.ones(len(self.gates), dtype=np.bool_)
            t = self._engines.distance(every)[:, OTHER].mean(axis=0)
        t[[self.is_rate(g) for g in range(len(self.gates))]] = np.nan
        spreads = error[:, OWN].max(axis=0)
        return [
            GateIntervals(interval(OWN, g), interval(OTHER, g), _finite(spreads[g]), _finite(t[g]))
            for g in range(len(self.gates))
        ]

    def _grid(self, estimate: Floats, error: Floats) -> Floats:
        """Thetas [case, slot, gate, U] at which the tests are inverted; the deciding ones first."""
        around = np.nan_to_num(estimate)[..., None]
        step = np.maximum(np.nan_to_num(error), 0.05 * self._margins)[..., None]
        margins = self._margins[:, None]
        deciding = np.broadcast_to(margins * DECIDING, (*estimate.shape, len(DECIDING)))
        near = np.broadcast_to(margins * MULTIPLES, (*estimate.shape, len(MULTIPLES)))
        return np.concatenate(
            [deciding, around - step * STEPS, around + step * STEPS, near], axis=-1
        )

    def _replayed(self, grid: Floats) -> Engines | BankEngines:
        """The tests at other thetas, with the looks that count for what is shown."""
        engines = self._tests(grid)
        seen = 0
        for (routes, rows), due in zip(self._blocks, self._shown, strict=True):
            engines.consume(routes, rows)
            seen += len(routes)
            if due:
                engines.look(seen == self.planned)
        return engines

    def _interval(
        self, slot: int, g: int, estimate: float, low: float, high: float
    ) -> Interval | None:
        if not self.readable(slot, g) or not np.isfinite(estimate):
            return None
        # A typical drive lies in [-2, 2], the difference of two rates in [-1, 1]; the mean of costs
        # cannot fall by more than all of it.
        least, most = ENDS[estimand_of(self.suite, slot, g)]
        low, high = max(low, least), min(high, most)
        if slot == OWN and not low <= estimate <= high:
            self.contradicted[g] = low if low > estimate else high
        if not np.isfinite(high):
            return None
        return Interval(estimate=estimate, low=min(low, estimate), high=max(high, estimate))


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _lower(grid: Floats, shown: Shown) -> float:
    """Largest theta shown to be exceeded.

    Never beyond a deciding theta that is not: what is shown need not be monotone in theta.
    """
    low = grid[shown > 0].max(initial=-np.inf)
    return float(min(low, grid[:3][shown[:3] <= 0].min(initial=np.inf)))


def _upper(grid: Floats, shown: Shown) -> float:
    """Smallest theta shown not to be reached; the mirror image of `_lower`."""
    high = grid[shown < 0].min(initial=np.inf)
    return float(max(high, grid[:3][shown[:3] >= 0].max(initial=-np.inf)))
