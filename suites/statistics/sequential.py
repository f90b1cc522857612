"""All gates of a run judged together as its pairs arrive in the registered order.

Each gate is tested at theta = -margin, 0 and +margin by both estimands, on the evidence at its best and at its worst
for the candidate (they differ only where rollouts were censored). "Worse" and "better" are claims about any of several
gates and are controlled family-wise (maxT); "not worse by the margin" must hold on every gate, so that each is tested
at the full alpha (intersection-union test, Berger 1982).

What the lower bound of the typical drive, and so "worse", takes for granted (benchmarks/results/statistics.md, "stopped"):
differences symmetric about their mean, as exchangeable models have them. Where most pairs are slightly worse and rare ones much
better it speaks of the most; the upper bound and "not worse" need no such thing. And a change that does not go with the length
of a route: the breadth-first order weighs routes alike first and pairs alike at the end.
"""

from dataclasses import dataclass
from math import floor, log

import numpy as np
from numpy.typing import NDArray

from suites.definition.suite_schema import Suite
from suites.judgement import Interval
from suites.pair_table import VALUE, PairTable, concat
from suites.statistics.contrasts import BEST, WORST, GateEvidence, evidence
from suites.statistics.engines import OTHER, OWN, Engines, Shown, estimand_of
from suites.vocabulary import Estimand

Floats = NDArray[np.float64]

STEPS: Floats = np.concatenate(
    [np.arange(0.0, 4.0, 0.25), [4, 4.5, 5, 6, 7, 8, 10, 13, 17, 25, 50, 200, 1000]]
)
"""Grid of an interval's bounds, in standard errors from the estimate; bounds are rounded outwards to it."""

MULTIPLES: Floats = np.array([0.25, 0.5, 0.75, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0])
"""... and in margins, for the upper bounds that spikes not met yet leave."""


def shown_look(number: int) -> bool:
    """Whether a run's n-th look (from 1) also moves the shown intervals: the first eight, then each that is 15 % on."""
    return number <= 8 or floor(log(number) / log(1.15)) > floor(log(number - 1) / log(1.15))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What is shown of one gate's relative change by one estimand, each with its error controlled over the whole run."""

    above_zero: bool
    above_margin: bool
    below_zero: bool
    below_margin: bool
    above_minus_margin: bool
    leaning: bool
    """The estimate is worse by more than the margin, and nothing shows that the change is not."""


@dataclass(slots=True, kw_only=True)
class Totals:
    """What was counted for each gate, [G]."""

    valid: NDArray[np.int64]
    """Pairs that count."""
    lopsided: NDArray[np.int64]
    """Pairs among them where one model lacks the value."""
    negative: NDArray[np.bool_]
    """Some cost was below zero."""
    cut: NDArray[np.int64]
    """Pairs among them where both costs reach the declared cap, so that the mean sees no difference."""
    routes: list[set[str]]
    """Routes with a pair that counts."""
    both: NDArray[np.int64]
    """Pairs where both models have a value ..."""
    sums: Floats
    """... and the sums of their values, [2, G]: candidate, baseline."""

    def means(self, g: int) -> tuple[float, float]:
        """Mean values of candidate and baseline over the pairs where both have one; NaN without any."""
        count = self.both[g]
        return (
            (float(self.sums[0, g] / count), float(self.sums[1, g] / count))
            if count
            else (float("nan"), float("nan"))
        )


class SequentialJudge:
    """Consumes pairs in the registered order; the caller looks when `room` is zero, and at the end."""

    def __init__(self, suite: Suite, planned: int) -> None:
        self.suite, self.planned = suite, planned
        self.gates = suite.gates
        self.consumed = 0
        self.looked = 0
        """Pairs consumed at the last look."""
        self.contradicted: dict[int, float] = {}
        """Gate to a bound that an earlier look showed, with the estimate on all pairs beyond it; set by `intervals`."""
        count = len(self.gates)
        margins = np.array([gate.margin for gate in self.gates])
        deciding = margins[:, None] * np.array([-1.0, 0.0, 1.0])
        thetas = np.broadcast_to(deciding, (2, 2, count, 3)).copy()
        self._margins = margins
        self._caps = np.array(
            [np.inf if gate.winsor_cap is None else gate.winsor_cap for gate in self.gates]
        )
        self._engines = Engines(suite, planned, thetas)
        self._blocks: list[tuple[tuple[str, ...], tuple[GateEvidence, GateEvidence]]] = []
        self._shown: list[bool] = []
        self._pending: list[PairTable] = []
        self.totals = Totals(
            valid=np.zeros(count, dtype=np.int64),
            lopsided=np.zeros(count, dtype=np.int64),
            negative=np.zeros(count, dtype=np.bool_),
            cut=np.zeros(count, dtype=np.int64),
            routes=[set() for _ in range(count)],
            both=np.zeros(count, dtype=np.int64),
            sums=np.zeros((2, count)),
        )

    @property
    def room(self) -> int:
        """Pairs that may still be consumed before the next look is due."""
        return (
            min((self.looked // self.suite.look_every + 1) * self.suite.look_every, self.planned)
            - self.consumed
        )

    def consume(self, table: PairTable) -> None:
        """Takes the next rows of the registered order, at most `room` of them; they are read at the next look."""
        self._pending.append(table)
        self.consumed += len(table)

    def look(self) -> None:
        """Tests every gate on what was consumed so far, and spends. However the rows came, the sums are the same to the bit."""
        self._read(concat(self._pending))
        self._pending = []
        self._engines.look(self.consumed == self.planned)
        regular = self.consumed % self.suite.look_every == 0 and self.consumed < self.planned
        self._shown.append(not regular or shown_look(self.consumed // self.suite.look_every))
        self.looked = self.consumed

    def _read(self, table: PairTable) -> None:
        own, other = (
            [estimand_of(self.suite, slot, g) for g in range(len(self.gates))]
            for slot in (OWN, OTHER)
        )
        rows = evidence(table, self.gates, own), evidence(table, self.gates, other)
        self._engines.consume(table.routes, rows)
        self._blocks.append((table.routes, rows))
        totals = self.totals
        totals.valid += rows[OWN].valid.sum(axis=0)
        totals.lopsided += rows[OWN].lopsided.sum(axis=0)
        totals.negative |= rows[OWN].negative
        columns = [table.metrics.index(gate.metric) for gate in self.gates]
        values = table.results[VALUE][..., columns]
        both = np.isfinite(values).all(axis=0) & rows[OWN].valid
        totals.cut += (both & (values >= self._caps).all(axis=0)).sum(axis=0)
        totals.both += both.sum(axis=0)
        totals.sums += np.where(both, values, 0.0).sum(axis=1)
        for g, known in enumerate(totals.routes):
            known.update(
                route for route, ok in zip(table.routes, rows[OWN].valid[:, g], strict=True) if ok
            )

    def claims(self) -> list[tuple[Claims, Claims]]:
        """For each gate what is shown by its own estimand and by the other one, after the last look."""
        alone, joint = self._engines.shown()
        over = (self._engines.estimate() > self._margins)[WORST]
        return [
            (self._claim(alone, joint, over, OWN, g), self._claim(alone, joint, over, OTHER, g))
            for g in range(len(self.gates))
        ]

    def _claim(
        self, alone: Shown, joint: Shown, over: NDArray[np.bool_], slot: int, g: int
    ) -> Claims:
        above, below = joint[BEST, slot, g] > 0, joint[WORST, slot, g] < 0
        improvable = self.improvable(slot, g)
        worsened = improvable or (slot == OTHER and self.readable(slot, g))
        within = alone[WORST, slot, g, 2] < 0
        return Claims(
            above_zero=bool(above[1]) and worsened,
            above_margin=bool(above[2]) and worsened,
            below_zero=bool(below[1] and within) and improvable,
            below_margin=bool(within) and improvable,
            above_minus_margin=bool(above[0]) and improvable,
            leaning=bool(over[slot, g] and not (within and improvable)) and self.readable(slot, g),
        )

    def _spiky(self, slot: int, g: int) -> bool:
        """The raw mean without a declared cap, for which no test here holds under rare spikes."""
        return (
            estimand_of(self.suite, slot, g) is Estimand.MEAN and self.gates[g].winsor_cap is None
        )

    def readable(self, slot: int, g: int) -> bool:
        """Whether a gate's change by one estimand can be read at all."""
        if self.totals.negative[g] or not self.totals.valid[g]:
            return False
        if (
            estimand_of(self.suite, slot, g) is Estimand.MEAN
            and self.totals.cut[g] == self.totals.valid[g]
        ):
            return False
        return not (self._spiky(slot, g) and self.totals.lopsided[g])

    def improvable(self, slot: int, g: int) -> bool:
        """Whether it may be called better or not worse."""
        return self.readable(slot, g) and not self._spiky(slot, g)

    def intervals(self) -> list[tuple[Interval | None, Interval | None, float | None]]:
        """For each gate: its interval, the other estimand's, and its standard error (None where nothing can be computed).
        An estimate that lies outside what was shown (`contradicted`) ends its interval.

        By inversion: the thetas that no look rejected (of those that `shown_look` names; of all at the three deciding
        thetas). The lower bound is the family-wise one, from the best case; the upper bound is the gate's own, from the
        worst case: those that decide.
        """
        cases = (
            1
            if all(np.array_equal(e.p[BEST], e.p[WORST]) for _, both in self._blocks for e in both)
            else 2
        )
        estimate, error = self._engines.estimate()[:cases], self._engines.error()[:cases]
        around, step = (
            np.nan_to_num(estimate)[..., None],
            np.maximum(np.nan_to_num(error), 0.05 * self._margins)[..., None],
        )
        deciding = np.broadcast_to(self._engines.thetas[:1], (*estimate.shape, 3))
        near = np.broadcast_to(
            self._margins[:, None] * MULTIPLES, (*estimate.shape, len(MULTIPLES))
        )
        grid = np.concatenate(
            [deciding, around - step * STEPS, around + step * STEPS, near], axis=-1
        )
        engines = Engines(self.suite, self.planned, grid)
        seen = 0
        for (routes, rows), due in zip(self._blocks, self._shown, strict=True):
            engines.consume(routes, rows)
            seen += len(routes)
            if due:
                engines.look(seen == self.planned)
        alone, joint = engines.shown()
        decided_alone, decided_joint = self._engines.shown()
        alone[WORST, ..., :3], joint[BEST, ..., :3] = decided_alone[WORST], decided_joint[BEST]
        lows, highs = self._engines.asymptotic()

        def bounds(slot: int, g: int) -> Interval | None:
            middle = float(estimate[:, slot, g].mean())
            if not self.readable(slot, g) or not np.isfinite(middle):
                return None
            low = _lower(grid[BEST, slot, g], joint[BEST, slot, g])
            high = _upper(grid[WORST, slot, g], alone[WORST, slot, g])
            if self._spiky(slot, g):
                low, high = float(lows[BEST, slot, g]), float(highs[WORST, slot, g])
            bounded = estimand_of(self.suite, slot, g) is Estimand.TYPICAL
            low, high = (max(low, -2.0), min(high, 2.0)) if bounded else (max(low, -1.0), high)
            if slot == OWN and not low <= middle <= high:
                self.contradicted[g] = low if low > middle else high
            return (
                Interval(estimate=middle, low=min(low, middle), high=max(high, middle))
                if np.isfinite(high)
                else None
            )

        spreads = [float(error[:, OWN, g].max()) for g in range(len(self.gates))]
        return [
            (bounds(OWN, g), bounds(OTHER, g), spread if np.isfinite(spread) else None)
            for g, spread in enumerate(spreads)
        ]


def _lower(grid: Floats, shown: Shown) -> float:
    """Largest theta shown to be exceeded, in agreement with the three that decide even where that is not monotone."""
    low = grid[shown > 0].max(initial=-np.inf)
    return float(min(low, grid[:3][shown[:3] <= 0].min(initial=np.inf)))


def _upper(grid: Floats, shown: Shown) -> float:
    high = grid[shown < 0].min(initial=np.inf)
    return float(max(high, grid[:3][shown[:3] >= 0].max(initial=-np.inf)))
