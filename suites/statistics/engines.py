"""The ways in which a gate's change is tested, side by side over all contrasts of a run.

- The typical drive: sign flips. "Not worse" also needs betting on pairs and on routes, which hold
  under rare spikes; "worse" and "better" a bet that skewed differences cannot fool.
- The mean of costs with a declared cap: betting, valid under rare spikes.
- The mean without a cap: an asymptotic confidence sequence. It is shown, and may say that the mean
  is worse where the typical drive is better; it never says that anything is not worse.
- Rates, which have no other estimand: counted events, and bets on the difference. Shares, which
  count none, are called worse or better as the typical drive is, by flips and bets.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suites.definition.suite_schema import Suite
from suites.run_plan import RunPlan
from suites.statistics.betting import Betting
from suites.statistics.contrasts import BEST, WORST, GateEvidence, sign_of
from suites.statistics.direction_bets import DirectionBetting
from suites.statistics.rate_bets import RateBets
from suites.statistics.route_sums import RouteShares, RouteSums
from suites.statistics.sequences import asymptotic_half_width
from suites.statistics.signflip import FlipPlan, SignFlips
from suites.statistics.spikes import PairBetting, RouteBetting
from suites.vocabulary import Estimand

Floats = NDArray[np.float64]
Shown = NDArray[np.int8]

OWN, OTHER = 0, 1
"""Slots: the gate's own estimand, and the other one, which is shown beside it."""


def estimand_of(suite: Suite, slot: int, gate: int) -> Estimand:
    own = suite.gates[gate].estimand
    if slot == OWN or own is Estimand.RATE:
        return own
    return Estimand.MEAN if own is Estimand.TYPICAL else Estimand.TYPICAL


class Engines:
    """Contrasts [case, slot, gate] at thetas [case, slot, gate, U]: one case, or best and worst.

    Inside they are flat, [contrast, U], and each engine takes those that are its own:

        typical drive           _flipped   sign flips
          at its best           _best      ... and a bet that the change is above theta
          at its worst          _worst     ... and bets that it is below, on pairs and on routes
        mean with a cap         _bets      betting
        mean without            _bare      asymptotic confidence sequence
        rate                    _rates     events and bets, beside those of _flipped for a share
    """

    def __init__(self, suite: Suite, plan: RunPlan, thetas: Floats) -> None:
        self.thetas = thetas
        self.shape = cases, slots, count = thetas.shape[:3]
        self._flat = thetas.reshape(cases * slots * count, thetas.shape[3])
        self._alpha = suite.alpha
        self._joint_alpha = suite.alpha / max(count, 1)
        of = [[estimand_of(suite, slot, g) for g in range(count)] for slot in (OWN, OTHER)]
        estimand = np.array(of, dtype=object).reshape(slots, count)
        mean, rate = estimand == Estimand.MEAN, estimand == Estimand.RATE
        capped = np.array([gate.winsor_cap is not None for gate in suite.gates], dtype=np.bool_)
        self._bets = self._each(mean & capped)
        self._bare = self._each(mean & ~capped)
        own = (np.arange(slots) == OWN)[:, None]
        self._rates = self._each(rate & own)
        self._flipped = flipped = self._each(~mean & (own | ~rate))
        worst = np.zeros(self.shape, dtype=np.bool_)
        worst[WORST] = True
        self._worst = flipped & worst.reshape(-1)
        best = np.zeros(self.shape, dtype=np.bool_)
        best[BEST] = True
        self._best = flipped & best.reshape(-1)
        self._shares = RouteShares(len(self._flat), plan.route_pairs)
        self.sums = RouteSums(len(self._flat))
        self._moments: tuple[Floats, Floats, Floats] | None = None
        bounded = np.minimum(self._flat[self._worst], 1.99)  # the typical drive never exceeds 2
        self._pairs = PairBetting(bounded, suite.alpha)
        self._routes = RouteBetting(bounded, suite.alpha)
        levels = {"alpha": self._alpha, "joint_alpha": self._joint_alpha}
        self._above = DirectionBetting(self._flat[self._best], +1, **levels)
        self._below = DirectionBetting(self._flat[self._worst], -1, **levels)
        # One family for each case and slot, at the share of alpha of the gates that are flipped in
        # it: the others are tested at their own share.
        families = self._each(np.arange(cases * slots).reshape(cases, slots, 1))
        shares = (
            flipped.reshape(cases * slots, count).mean(axis=1) if count else np.zeros(cases * slots)
        )
        self._flips = SignFlips(
            self._flat[flipped],
            FlipPlan(
                alpha=suite.alpha,
                rho=suite.spending_rho,
                flips=suite.flips,
                seed=suite.order_seed or 0,
                planned=plan.pairs,
            ),
            families=families[flipped].tolist(),
            levels=(suite.alpha * shares).tolist(),
            singly=np.nonzero(self._worst[flipped])[0].tolist(),
        )
        caps = self._each([gate.winsor_cap or 1.0 for gate in suite.gates])[self._bets]
        bets = self._flat[self._bets]
        self._betting = Betting(bets, caps, **levels)
        gates = self._each(np.arange(count))[self._rates]
        self._events = rate_bets(suite, plan, self._flat[self._rates], gates.tolist())

    def _each(self, values: ArrayLike) -> NDArray[Any]:
        """Values for gates, or for what else broadcasts to all axes, of each contrast."""
        return np.broadcast_to(np.asarray(values), self.shape).reshape(-1)

    def consume(self, routes: Sequence[str], rows: tuple[GateEvidence, GateEvidence]) -> None:
        """Adds pairs with their evidence by the gates' own estimand and by the other."""
        cases = self.shape[0]
        n = len(routes)
        p = _by_pair([e.p[:cases] for e in rows])
        q = _by_pair([e.q[:cases] for e in rows])
        valid = np.broadcast_to(rows[OWN].valid[:, None, None, :], (n, *self.shape)).reshape(n, -1)
        self._moments = None
        came, more_p, more_q = self._shares.added(routes, p, q, valid)
        self.sums.consume(came, more_p, more_q)
        flipped = self._flipped
        self._flips.consume(came, more_p[:, flipped], more_q[:, flipped], pairs=n)
        self._above.consume(p[:, self._best], valid[:, self._best])
        self._below.consume(p[:, self._worst], valid[:, self._worst])
        self._pairs.consume(p[:, self._worst], valid[:, self._worst])
        self._routes.consume(routes, p[:, self._worst], valid[:, self._worst])
        bets = self._bets
        if bets.any():
            self._betting.consume(routes, p[:, bets], q[:, bets], valid[:, bets])
        if (rates := self._rates).any():
            c = _by_pair([e.rates[:cases] for e in rows])[:, rates]
            self._events.consume(routes, c, c - p[:, rates], valid[:, rates])

    def look(self, complete: bool) -> None:
        """Tests everything on what was consumed; `complete` when that is the whole bank."""
        self._flips.look()
        self._above.look()
        self._below.look()
        self._pairs.look()
        self._routes.look(complete)
        self._betting.look(complete)
        self._events.look(complete)

    def shown(self) -> tuple[Shown, Shown]:
        """(alone, joint) [case, slot, gate, U]: each contrast by itself, and over all gates.

        +1 the change is above theta, -1 below, 0 open. `alone` of the typical drive is about the
        worst case and says "below" only where both bets on spikes agree; `joint` says "above" of
        the best case, and "below" of the worst, only where the bet on that direction agrees.
        """
        alone = np.zeros(self._flat.shape, dtype=np.int8)
        alone[self._flipped] = self._flips.alone
        unsure = ~(self._pairs.below & self._routes.below)
        alone[self._worst] = np.where((alone[self._worst] < 0) & unsure, 0, alone[self._worst])
        joint = np.zeros(self._flat.shape, dtype=np.int8)
        joint[self._flipped] = self._flips.joint
        unsure = (joint[self._best] > 0) & ~self._above.joint
        joint[self._best] = np.where(unsure, 0, joint[self._best])
        unsure = (joint[self._worst] < 0) & ~self._below.joint
        joint[self._worst] = np.where(unsure, 0, joint[self._worst])
        rates, counted = self._rates, self._events.two_valued[:, None]
        alone[rates] = self._events.alone
        joint[rates] = np.where(counted, self._events.joint, joint[rates])
        return (
            self._with_means(alone, self._betting.alone, self._alpha),
            self._with_means(joint, self._betting.joint, self._joint_alpha),
        )

    def _with_means(self, shown: Shown, bets: Shown, alpha: float) -> Shown:
        """The contrasts of the mean filled in, and all in their shape."""
        shown[self._bets] = bets
        low, high = (bound[self._bare][:, None] for bound in self._asymptotic(alpha))
        bare = self._flat[self._bare]
        shown[self._bare] = (low > bare).astype(np.int8) - (high < bare).astype(np.int8)
        return shown.reshape(self.thetas.shape)

    def estimate(self) -> Floats:
        """Relative change sum p / sum q [case, slot, gate]; NaN where the baseline is all zero."""
        return self._summed()[0].reshape(self.shape)

    def error(self) -> Floats:
        """Its standard error over routes, [case, slot, gate]; NaN for fewer than two."""
        _, weight, deviation = self._summed()
        total = deviation * np.sqrt(max(len(self.sums.index), 1))
        return np.asarray(total / weight).reshape(self.shape)

    def by_bank(self) -> NDArray[np.bool_]:
        """[case, slot, gate] rates where more events would be a statement on this bank alone."""
        told = np.zeros(len(self._flat), dtype=np.bool_)
        told[self._rates] = self._events.by_bank()
        return told.reshape(self.shape)

    def distance(self, gates: NDArray[np.bool_]) -> Floats:
        """How far the changes of some gates [gate] lie from zero, in standard errors; 0 of others.

        The smallest in size of sum D / sqrt(sum D^2), of Student's t and of t with Johnson's
        correction for skew, t + g (1 + 2 t^2) / (6 sqrt(R)) (Johnson 1978, JASA 73); 0 where they
        differ in sign or nothing is known. [case, slot, gate]
        """
        asked = self._each(gates)
        distance = np.zeros(len(self._flat))
        if asked.any():
            distance[asked] = student(self.sums.p[:, asked])
        return distance.reshape(self.shape)

    def asymptotic(self) -> tuple[Floats, Floats]:
        """Bounds [case, slot, gate] of the asymptotic sequence, each contrast by itself."""
        low, high = self._asymptotic(self._alpha)
        return low.reshape(self.shape), high.reshape(self.shape)

    def _summed(self) -> tuple[Floats, Floats, Floats]:
        """Of each contrast: estimate, its denominator, standard deviation over routes of D_j at it.

        Computed once for what was consumed.
        """
        if self._moments is None:
            total = self.sums.q.sum(axis=0)
            routes = len(self.sums.index)
            weight = np.where(total > 0, total, np.nan)
            estimate = np.asarray(self.sums.p.sum(axis=0) / weight)
            deviation = np.full(len(self._flat), np.nan)
            if routes >= 2:
                scale = self.sums.scale(np.nan_to_num(estimate)[:, None])[:, 0]
                deviation = scale / np.sqrt(routes - 1)
            self._moments = estimate, weight, deviation
        return self._moments

    def _asymptotic(self, alpha: float) -> tuple[Floats, Floats]:
        middle, weight, deviation = self._summed()
        half = asymptotic_half_width(deviation, len(self.sums.index), alpha) / weight
        return middle - half, middle + half


def rate_bets(suite: Suite, plan: RunPlan, thetas: Floats, gates: Sequence[int]) -> RateBets:
    """Of contrasts [K, U] that belong to `gates`. The baseline's events count as known where the
    order is uniform over pairs: it is so over routes, and each must have one. They are what a
    candidate should have less of."""
    sizes = set(plan.route_pairs.values())
    uniform = suite.draw == "uniform" and sizes == {1}
    bad = {gate.metric for gate in suite.gates if sign_of(gate.metric, gate.direction) > 0}
    known = {m: count for m, count in plan.baseline_events.items() if uniform and m in bad}
    return RateBets(
        thetas,
        planned=plan.pairs,
        baseline_events=np.array([known.get(suite.gates[g].metric, np.nan) for g in gates]),
        repeated=max(sizes, default=1) > 1,
        alpha=suite.alpha,
        joint_alpha=suite.alpha / max(len(suite.gates), 1),
    )


def student(sums: Floats) -> Floats:
    """`Engines.distance` of route sums [R, G]."""
    routes = len(sums)
    if routes < 2:
        return np.zeros(sums.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        total = sums.sum(axis=0)
        plain = total / np.sqrt((sums**2).sum(axis=0))
        deviation = sums.std(axis=0, ddof=1)
        t = total / (deviation * np.sqrt(routes))
        skewness = ((sums - sums.mean(axis=0)) ** 3).mean(axis=0) / deviation**3
        skewness = np.nan_to_num(skewness)
        corrected = t + skewness * (1 + 2 * np.minimum(t**2, 1e12)) / (6 * np.sqrt(routes))
    each = np.nan_to_num(np.stack([plain, t, corrected]), posinf=1e6, neginf=-1e6)
    agree = (each > 0).all(axis=0) | (each < 0).all(axis=0)
    return np.where(agree, np.sign(each[0]) * np.abs(each).min(axis=0), 0.0)


def _by_pair(slots: Sequence[Floats]) -> Floats:
    """[case, pair, gate] of each slot -> [pair, contrast]."""
    stacked = np.stack(slots, axis=1).transpose(2, 0, 1, 3)
    return stacked.reshape(len(stacked), -1)
