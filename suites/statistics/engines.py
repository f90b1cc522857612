"""The ways in which a gate's change is tested, side by side over all contrasts of a run.

- the typical drive: sign flips, and for "not worse" also betting on pairs and on routes, which holds under rare spikes;
- the mean of costs with a declared cap: betting (valid under rare spikes);
- the mean without a cap: an asymptotic confidence sequence. It is shown, and may say that the mean is worse where the
  typical drive is better; it never says that anything is not worse.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suites.definition.suite_schema import Suite
from suites.statistics.betting import Betting
from suites.statistics.contrasts import WORST, GateEvidence
from suites.statistics.sequences import asymptotic_half_width
from suites.statistics.signflip import RouteSums, SignFlips
from suites.statistics.spikes import PairBetting, RouteBetting
from suites.vocabulary import Estimand

Floats = NDArray[np.float64]
Shown = NDArray[np.int8]

OWN, OTHER = 0, 1
"""Slots: the gate's own estimand, and the other one, which is shown beside it."""


def estimand_of(suite: Suite, slot: int, gate: int) -> Estimand:
    own = suite.gates[gate].estimand
    return own if slot == OWN else Estimand.MEAN if own is Estimand.TYPICAL else Estimand.TYPICAL


class Engines:
    """Contrasts [cases, 2 slots, G gates], each tested at U thetas [cases, 2, G, U]; one case, or best and worst."""

    def __init__(self, suite: Suite, planned: int, thetas: Floats) -> None:
        self.thetas = thetas
        self.shape = cases, slots, count = thetas.shape[:3]
        capped = np.array([gate.winsor_cap is not None for gate in suite.gates], dtype=np.bool_)
        mean = np.array(
            [
                [estimand_of(suite, slot, g) is Estimand.MEAN for g in range(count)]
                for slot in (OWN, OTHER)
            ],
            dtype=np.bool_,
        ).reshape(slots, count)
        self._bets = np.broadcast_to(mean & capped, self.shape).reshape(-1)
        self._bare = np.broadcast_to(mean & ~capped, self.shape).reshape(-1)
        self.sums = RouteSums(cases * slots * count)
        self._moments: tuple[Floats, Floats, Floats] | None = None
        self._flat = thetas.reshape(cases * slots * count, thetas.shape[3])
        self._alpha, self._joint_alpha = suite.alpha, suite.alpha / max(count, 1)
        families = np.broadcast_to(
            np.arange(cases * slots).reshape(cases, slots, 1), self.shape
        ).reshape(-1)
        flipped = self._flipped = ~(self._bets | self._bare)
        shares = (
            flipped.reshape(cases * slots, count).mean(axis=1) if count else np.zeros(cases * slots)
        )
        worst = np.zeros(self.shape, dtype=np.bool_)
        worst[WORST] = True
        self._worst = flipped & worst.reshape(-1)
        singly = np.nonzero(self._worst[flipped])[0].tolist()
        bounded = np.minimum(self._flat[self._worst], 1.99)
        self._pairs, self._routes = (
            PairBetting(bounded, suite.alpha),
            RouteBetting(bounded, suite.alpha),
        )
        caps = np.broadcast_to(
            np.array([gate.winsor_cap or 1.0 for gate in suite.gates]), self.shape
        ).reshape(-1)
        self._flips = SignFlips(
            self._flat[flipped],
            alpha=suite.alpha,
            rho=suite.spending_rho,
            flips=suite.flips,
            seed=suite.order_seed,
            planned=planned,
            families=families[flipped].tolist(),
            levels=(suite.alpha * shares).tolist(),
            singly=singly,
        )
        self._betting = Betting(
            self._flat[self._bets],
            caps[self._bets],
            alpha=self._alpha,
            joint_alpha=self._joint_alpha,
        )

    def consume(self, routes: Sequence[str], rows: tuple[GateEvidence, GateEvidence]) -> None:
        """Adds pairs with their evidence by the gates' own estimand and by the other."""
        cases, n = self.shape[0], len(routes)
        p = np.stack([e.p[:cases] for e in rows], axis=1).transpose(2, 0, 1, 3).reshape(n, -1)
        q = np.stack([e.q[:cases] for e in rows], axis=1).transpose(2, 0, 1, 3).reshape(n, -1)
        self.sums.consume(routes, p, q)
        self._moments = None
        self._flips.consume(routes, p[:, self._flipped], q[:, self._flipped])
        valid = np.broadcast_to(rows[0].valid[:, None, None, :], (n, *self.shape)).reshape(n, -1)
        self._pairs.consume(p[:, self._worst], valid[:, self._worst])
        self._routes.consume(routes, p[:, self._worst], valid[:, self._worst])
        if self._bets.any():
            bets = self._bets
            self._betting.consume(routes, p[:, bets], q[:, bets], valid[:, bets])

    def look(self, complete: bool) -> None:
        """Tests everything on what was consumed; `complete` when that is the whole bank."""
        self._flips.look()
        self._pairs.look()
        self._routes.look(complete)
        self._betting.look(complete)

    def shown(self) -> tuple[Shown, Shown]:
        """(alone, joint) [cases, 2, G, U]: +1 the change is above theta, -1 below, 0 open; by itself, and over all gates.

        `alone` of the typical drive is about the worst case and says "below" only where both bets agree.
        """
        alone, joint = (
            np.zeros(self._flat.shape, dtype=np.int8),
            np.zeros(self._flat.shape, dtype=np.int8),
        )
        alone[self._flipped], joint[self._flipped] = self._flips.alone, self._flips.joint
        unsure = ~(self._pairs.below & self._routes.below)
        alone[self._worst] = np.where((alone[self._worst] < 0) & unsure, 0, alone[self._worst])
        result = []
        for merged, bets, alpha in (
            (alone, self._betting.alone, self._alpha),
            (joint, self._betting.joint, self._joint_alpha),
        ):
            merged[self._bets] = bets
            low, high = (bound[self._bare][:, None] for bound in self._asymptotic(alpha))
            bare = self._flat[self._bare]
            merged[self._bare] = (low > bare).astype(np.int8) - (high < bare).astype(np.int8)
            result.append(merged.reshape(*self.thetas.shape))
        return result[0], result[1]

    def estimate(self) -> Floats:
        """Relative change, sum p / sum q, [cases, 2, G]; NaN where the baseline is zero throughout."""
        return self._summed()[0].reshape(self.shape)

    def error(self) -> Floats:
        """Its standard error over routes, [cases, 2, G]; NaN for fewer than two."""
        _, weight, deviation = self._summed()
        return np.asarray(deviation * np.sqrt(max(len(self.sums.index), 1)) / weight).reshape(
            self.shape
        )

    def asymptotic(self) -> tuple[Floats, Floats]:
        """Bounds [cases, 2, G] of the asymptotic confidence sequence, each contrast by itself."""
        low, high = self._asymptotic(self._alpha)
        return low.reshape(self.shape), high.reshape(self.shape)

    def _summed(self) -> tuple[Floats, Floats, Floats]:
        """Of each contrast the estimate, its denominator and the standard deviation over routes of D_j at the estimate; once
        for what was consumed."""
        if self._moments is None:
            total, routes = self.sums.q.sum(axis=0), len(self.sums.index)
            weight = np.where(total > 0, total, np.nan)
            estimate = np.asarray(self.sums.p.sum(axis=0) / weight)
            deviation = np.full(len(self._flat), np.nan)
            if routes >= 2:
                deviation = self.sums.scale(np.nan_to_num(estimate)[:, None])[:, 0] / np.sqrt(
                    routes - 1
                )
            self._moments = estimate, weight, deviation
        return self._moments

    def _asymptotic(self, alpha: float) -> tuple[Floats, Floats]:
        middle, weight, deviation = self._summed()
        half = asymptotic_half_width(deviation, len(self.sums.index), alpha) / weight
        return middle - half, middle + half
