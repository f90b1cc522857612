"""All gates of a run judged together as its pairs arrive in the registered order.

Each gate is tested at theta = -margin, 0 and +margin by both estimands, on the evidence at its best and at its worst
for the candidate (they differ only where rollouts were censored). "Worse" and "better" are claims about any of several
gates and are controlled family-wise (maxT); "not worse by the margin" must hold on every gate, so that each is tested
at the full alpha (intersection-union test, Berger 1982). The raw mean is judged by betting on winsorised costs where
the gate declares its cap; without one, sign flips can show that it is worse, and nothing shows that it is not.
"""

from dataclasses import dataclass, field
from math import floor, log

import numpy as np
from numpy.typing import NDArray

from suites.judgement import Interval, PairTable
from suites.schema import Gate, Suite
from suites.statistics.betting import Betting
from suites.statistics.contrasts import BEST, WORST, Evidence, evidence
from suites.statistics.signflip import SignFlips
from suites.words import Estimand

Floats = NDArray[np.float64]

OWN, OTHER = 0, 1
STEPS: Floats = np.concatenate([np.arange(0.0, 4.0, 0.25), [4, 4.5, 5, 6, 7, 8, 10, 13, 17, 25, 50, 200, 1000]])
"""Grid of an interval's bounds, in standard errors from the estimate; bounds are rounded outwards to it."""
MULTIPLES: Floats = np.array([0.1, 0.25, 0.5, 0.75, 1.5, 2, 3, 5, 10])
"""... and in margins from zero."""


def other_estimand(estimand: Estimand) -> Estimand:
    return Estimand.MEAN if estimand is Estimand.TYPICAL else Estimand.TYPICAL


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


@dataclass(slots=True)
class Engines:
    """Both engines over the contrasts of a run at the same thetas; axes [case, slot, gate], one case or both."""

    flips: SignFlips
    betting: Betting
    bets: NDArray[np.bool_]
    """[cases, 2, G] judged by betting."""

    def consume(self, routes: tuple[str, ...], rows: tuple[Evidence, Evidence]) -> None:
        cases, n = len(self.bets), len(routes)
        p = np.stack([e.p[:cases] for e in rows], axis=1).transpose(2, 0, 1, 3).reshape(n, -1)
        q = np.stack([e.q[:cases] for e in rows], axis=1).transpose(2, 0, 1, 3).reshape(n, -1)
        valid = np.stack([np.stack([e.valid for e in rows], axis=1)] * cases, axis=1).reshape(n, -1)
        bets = self.bets.reshape(-1)
        self.flips.consume(routes, np.where(bets, 0.0, p), np.where(bets, 0.0, q))
        if bets.any():
            self.betting.consume(routes, p[:, bets], q[:, bets], valid[:, bets])

    def look(self, complete: bool) -> None:
        self.flips.look()
        self.betting.look(complete)

    def signs(self) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """(alone, joint), each [cases, 2, G, U]."""
        result = []
        for flips, bets in ((self.flips.alone, self.betting.alone), (self.flips.joint, self.betting.joint)):
            merged = flips.copy()
            merged[self.bets.reshape(-1)] = bets
            result.append(merged.reshape(*self.bets.shape, -1))
        return result[0], result[1]


@dataclass
class GateEvidence:
    """Running sums of one run's gates, axes [case, slot, gate]."""

    sum_p: Floats
    sum_q: Floats
    valid: NDArray[np.int64]
    lopsided: NDArray[np.int64]
    negative: NDArray[np.bool_]
    routes: list[set[str]] = field(default_factory=list)


class SequentialJudge:
    """Consumes pairs in the registered order and looks at them where the suite says (`look_every`, and at the end)."""

    def __init__(self, suite: Suite, planned: int) -> None:
        self.suite, self.planned = suite, planned
        self.gates: tuple[Gate, ...] = suite.gates
        self.consumed = 0
        self.looked = 0
        count = len(self.gates)
        margins = np.array([gate.margin for gate in self.gates])
        special = np.stack([-margins, np.zeros(count), margins], axis=1) if count else np.zeros((0, 3))
        self._engines = self._make(np.broadcast_to(special, (2, 2, count, 3)))
        self._blocks: list[tuple[tuple[str, ...], tuple[Evidence, Evidence]]] = []
        self._shown: list[bool] = []
        zeros = np.zeros((2, 2, count))
        self.totals = GateEvidence(
            sum_p=zeros.copy(), sum_q=zeros.copy(), valid=np.zeros(count, dtype=np.int64),
            lopsided=np.zeros(count, dtype=np.int64), negative=np.zeros(count, dtype=np.bool_),
            routes=[set() for _ in range(count)],
        )  # fmt: skip

    def _make(self, thetas: Floats) -> Engines:
        """Engines at thetas [cases, 2, G, U]. A family is all gates in one case by one slot (own estimand, the other)."""
        suite, shape = self.suite, thetas.shape[:3]
        bets = np.zeros(shape, dtype=np.bool_)
        for g, gate in enumerate(self.gates):
            bets[:, OWN if gate.estimand is Estimand.MEAN else OTHER, g] = gate.winsor_cap is not None
        groups = shape[0] * shape[1]
        families = np.broadcast_to(np.arange(groups).reshape(*shape[:2], 1), shape).reshape(-1)
        levels = [suite.alpha * float((~row).mean()) if len(row) else 0.0 for row in bets.reshape(groups, -1)]
        caps = np.broadcast_to(np.array([gate.winsor_cap or 1.0 for gate in self.gates]), shape).reshape(-1)
        flat, chosen = thetas.reshape(groups * shape[2], -1), bets.reshape(-1)
        return Engines(
            flips=SignFlips(
                flat, alpha=suite.alpha, rho=suite.spending_rho, flips=suite.flips, seed=suite.order_seed,
                planned=self.planned, families=families.tolist(), levels=levels,
            ),
            betting=Betting(flat[chosen], caps[chosen], alpha=suite.alpha, joint_alpha=suite.alpha / max(shape[2], 1)),
            bets=bets,
        )  # fmt: skip

    @property
    def room(self) -> int:
        """Pairs that may still be consumed before the next look is due."""
        return min((self.looked // self.suite.look_every + 1) * self.suite.look_every, self.planned) - self.consumed

    def consume(self, table: PairTable) -> None:
        """Takes the next rows of the registered order, at most `room` of them."""
        own = [gate.estimand for gate in self.gates]
        rows = evidence(table, self.gates, own), evidence(table, self.gates, [other_estimand(e) for e in own])
        self._engines.consume(table.routes, rows)
        self._blocks.append((table.routes, rows))
        self._shown.append(False)
        self.consumed += len(table.routes)
        totals = self.totals
        totals.sum_p += np.stack([e.p.sum(axis=1) for e in rows], axis=1)
        totals.sum_q += np.stack([e.q.sum(axis=1) for e in rows], axis=1)
        totals.valid += rows[OWN].valid.sum(axis=0)
        totals.lopsided += rows[OWN].lopsided.sum(axis=0)
        totals.negative |= rows[OWN].negative
        for g, known in enumerate(totals.routes):
            known.update(route for route, ok in zip(table.routes, rows[OWN].valid[:, g], strict=True) if ok)

    def look(self) -> None:
        """Tests every gate on what was consumed so far, and spends."""
        self._engines.look(self.consumed == self.planned)
        regular = self.consumed % self.suite.look_every == 0 and self.consumed < self.planned
        self._shown[-1] = not regular or shown_look(self.consumed // self.suite.look_every)
        self.looked = self.consumed

    def claims(self) -> list[tuple[Claims, Claims]]:
        """For each gate what is shown by its own estimand and by the other one, after the last look."""
        alone, joint = self._engines.signs()
        return [(self._claim(alone, joint, OWN, g), self._claim(alone, joint, OTHER, g)) for g in range(len(self.gates))]

    def _claim(self, alone: NDArray[np.int8], joint: NDArray[np.int8], slot: int, g: int) -> Claims:
        above, below = joint[BEST, slot, g] > 0, joint[WORST, slot, g] < 0
        readable, improvable = self.readable(slot, g)
        return Claims(
            above_zero=bool(above[1]) and readable,
            above_margin=bool(above[2]) and readable,
            below_zero=bool(below[1]) and improvable,
            below_margin=bool(alone[WORST, slot, g, 2] < 0) and improvable,
            above_minus_margin=bool(above[0]) and readable,
        )

    def readable(self, slot: int, g: int) -> tuple[bool, bool]:
        """(whether anything may be claimed, whether "not worse" and "better" may) of a gate by one estimand."""
        gate = self.gates[g]
        estimand = gate.estimand if slot == OWN else other_estimand(gate.estimand)
        if self.totals.negative[g] or not self.totals.valid[g]:
            return False, False
        if estimand is Estimand.TYPICAL or gate.winsor_cap is not None:
            return True, True
        return not self.totals.lopsided[g], False

    def intervals(self) -> list[tuple[Interval | None, Interval | None, float | None]]:
        """For each gate: its interval, the other estimand's, and its standard error (None where nothing can be computed).

        By inversion: the thetas that no look rejected (of those that `shown_look` names; of all at the three deciding
        thetas). The lower bound is the family-wise one, from the best case; the upper bound is the gate's own, from the
        worst case: those that decide.
        """
        totals, count = self.totals, len(self.gates)
        cases = 1 if all(np.array_equal(e.p[BEST], e.p[WORST]) for _, both in self._blocks for e in both) else 2
        weight = np.where(totals.sum_q > 0, totals.sum_q, np.nan)[:cases]
        estimate = totals.sum_p[:cases] / weight
        error = _standard_error(self._blocks, np.nan_to_num(estimate)) / weight
        grid = self._grid(np.nan_to_num(estimate), np.nan_to_num(error))
        engines = self._make(grid)
        seen = 0
        for (routes, rows), due in zip(self._blocks, self._shown, strict=True):
            engines.consume(routes, rows)
            seen += len(routes)
            if due:
                engines.look(seen == self.planned)
        alone, joint = engines.signs()
        decided_alone, decided_joint = self._engines.signs()
        alone[..., :3], joint[..., :3] = decided_alone[:cases], decided_joint[:cases]
        result = []
        for g in range(count):
            bounds = [
                _interval(
                    grid[:, slot, g], joint[BEST, slot, g], alone[WORST, slot, g], estimate[:, slot, g], self._bounded(slot, g)
                )
                if self.readable(slot, g)[0] else None
                for slot in (OWN, OTHER)
            ]  # fmt: skip
            spread = float(error[:, OWN, g].max())
            result.append((bounds[OWN], bounds[OTHER], spread if np.isfinite(spread) else None))
        return result

    def _bounded(self, slot: int, g: int) -> bool:
        own = self.gates[g].estimand
        return (own if slot == OWN else other_estimand(own)) is Estimand.TYPICAL

    def _grid(self, estimate: Floats, error: Floats) -> Floats:
        """[cases, 2, G, U] thetas: first the three that decide, then multiples of the margin and steps around each estimate."""
        margins = np.array([gate.margin for gate in self.gates])
        multiples = np.concatenate([[-1.0, 0.0, 1.0], -MULTIPLES, MULTIPLES])
        near = np.broadcast_to(margins[:, None] * multiples, (*estimate.shape, len(multiples)))
        around = np.concatenate([-STEPS, STEPS]) * error[..., None] + estimate[..., None]
        return np.concatenate([near, around], axis=-1)


def _standard_error(blocks: list[tuple[tuple[str, ...], tuple[Evidence, Evidence]]], estimate: Floats) -> Floats:
    """sqrt(sum_j D_j(estimate)^2 * R / (R - 1)) over the R routes, axes as `estimate` [cases, 2, G]."""
    index: dict[str, int] = {}
    rows = np.array([index.setdefault(route, len(index)) for routes, _ in blocks for route in routes], dtype=np.int64)
    if len(index) < 2:
        return np.full(estimate.shape, np.nan)
    cases = len(estimate)
    p = np.concatenate([np.stack([e.p[:cases] for e in both], axis=1) for _, both in blocks], axis=2)
    q = np.concatenate([np.stack([e.q[:cases] for e in both], axis=1) for _, both in blocks], axis=2)
    d = np.moveaxis(p - estimate[:, :, None, :] * q, 2, 0)
    sums = np.zeros((len(index), *estimate.shape))
    np.add.at(sums, rows, d)
    return np.asarray(np.sqrt((sums**2).sum(axis=0) * len(index) / (len(index) - 1)))


def _interval(grid: Floats, lower: NDArray[np.int8], upper: NDArray[np.int8], estimate: Floats, bounded: bool) -> Interval | None:
    """Interval from the thetas [2, U] rejected from below (`lower` > 0, best case) and from above (`upper` < 0, worst case).

    It agrees with the claims at the three deciding thetas even where rejection is not monotone in theta.
    """
    low = grid[BEST][lower > 0].max(initial=-np.inf)
    low = min(low, grid[BEST, :3][lower[:3] <= 0].min(initial=np.inf))
    high = grid[WORST][upper < 0].min(initial=np.inf)
    high = max(high, grid[WORST, :3][upper[:3] >= 0].max(initial=-np.inf))
    floor, ceiling = (-2.0, 2.0) if bounded else (-1.0, np.inf)
    low, high = max(low, floor), min(high, ceiling)
    middle = float(np.mean(estimate))
    if not np.isfinite([low, high, middle]).all():
        return None
    return Interval(estimate=middle, low=float(min(low, middle)), high=float(max(high, middle)))
