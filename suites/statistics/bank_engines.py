"""All contrasts of a cost-weighted run: each is bet on, on the bank alone.

The order depends on the baseline's costs, so that nothing may be taken for exchangeable: sign flips
and labels have no meaning here. What is tested of a pair with baseline cost b, candidate cost c
and C = kappa w mean(b), so many times the cost that is expected of it:

                      from above           from below                       q
    mean              c - b                min(c, C) - min(b, C)            b
    typical drive     max(r, -1)           r = 2 (c - b) / (c + b)          1
    rate              c - b                c - b, both in [0, 1]            1

Where higher is better, the signs change and the caps their side. A pair of which one model has no
value counts at the bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from suites.definition.cost_draw import pair_caps
from suites.definition.suite_schema import Gate, Suite
from suites.errors import Finding, SubmitterError
from suites.run_plan import RunPlan, StoredCosts
from suites.statistics.bank_bets import ABOVE, BELOW, BankBets, KnownBank
from suites.statistics.contrasts import BEST, GateEvidence, sign_of
from suites.statistics.engines import Shown, estimand_of
from suites.statistics.inclusion import bank_error, inclusion, weighted_ratio
from suites.vocabulary import Estimand

Floats = NDArray[np.float64]

CLEARLY = float(norm.ppf(0.95))
"""Standard errors beyond which all pairs together lie one way: 1.645."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """One gate by one estimand, at its best or at its worst: what is known of each pair, [n]."""

    sign: float
    estimand: Estimand
    b: Floats
    cap: Floats
    q: Floats
    low: Floats
    high: Floats

    def tested(self, p: Floats, at: slice) -> tuple[Floats, Floats]:
        """(from below, from above) of pairs with the evidence p [k]."""
        if self.estimand is Estimand.TYPICAL:
            return p, np.maximum(p, -1.0)
        if self.estimand is Estimand.RATE:
            return p, p
        b, cap = self.b[at], self.cap[at]
        cut = self.sign * (np.minimum(b + self.sign * p, cap) - np.minimum(b, cap))
        return (cut, p) if self.sign > 0 else (p, cut)


def _contrast(gate: Gate, estimand: Estimand, case: int, stored: StoredCosts) -> Contrast:
    """The evidence at its best has the baseline at its worst."""
    sign = sign_of(gate.metric, gate.direction)
    costs = stored.costs[gate.metric][1 if case == BEST else 0]
    known = ~np.isnan(costs)
    b = np.where(known, costs, 0.0)
    one = np.ones_like(b)
    if estimand is Estimand.TYPICAL:
        return Contrast(sign, estimand, b, one, one, -one, 2 * one)
    if estimand is Estimand.RATE:
        low = np.where(known, -b if sign > 0 else b - 1, -1.0)
        return Contrast(sign, estimand, b, one, one, low, np.where(known, low + 1, 1.0))
    cap = pair_caps(gate, stored)
    above = np.where(known, cap - np.minimum(b, cap), cap)
    below = np.where(known, b, cap)
    low, high = (-below, above) if sign > 0 else (-above, below)
    return Contrast(sign, estimand, b, cap, b, low, high)


class BankEngines:
    """Contrasts [case, slot, gate] at thetas [case, slot, gate, U], as `Engines` has them."""

    def __init__(self, suite: Suite, plan: RunPlan, thetas: Floats) -> None:
        stored = checked(plan)
        self.thetas = thetas
        self.shape = cases, slots, count = thetas.shape[:3]
        self._contrasts = [
            _contrast(suite.gates[g], estimand_of(suite, slot, g), case, stored)
            for case in range(cases)
            for slot in range(slots)
            for g in range(count)
        ]
        q, low, high = (self._known(name, plan.pairs) for name in ("q", "low", "high"))
        self._bank = KnownBank(stored.weights, q, low, high)
        self._bets = BankBets(self._bank, thetas.reshape(len(self._contrasts), thetas.shape[3]))
        self._alone = np.zeros(self._bets.thetas.shape, dtype=np.int8)
        self._joint = np.zeros_like(self._alone)
        self._thresholds = -np.log(suite.alpha), np.log(max(count, 1) / suite.alpha)
        self._p: list[Floats] = []
        self._valid: list[NDArray[np.bool_]] = []
        self._index: dict[str, int] = {}
        self._routes: list[int] = []
        """Of each pair."""
        self._estimate: tuple[int, tuple[Floats, Floats, Floats]] | None = None
        """Of so many pairs, with the errors of the draw and of the bank itself."""

    def _known(self, name: str, pairs: int) -> Floats:
        columns = [getattr(contrast, name) for contrast in self._contrasts]
        return np.array(columns).reshape(len(columns), pairs).T

    def consume(self, routes: Sequence[str], rows: tuple[GateEvidence, GateEvidence]) -> None:
        """Adds pairs with their evidence, without caps, by the gates' own estimand and by the
        other. Bets know no routes: the draw is of pairs."""
        at = slice(self._bets.drawn, self._bets.drawn + len(routes))
        valid = self._by_pair(np.stack([e.valid for e in rows], axis=1)[:, None])
        lopsided = self._by_pair(np.stack([e.lopsided for e in rows], axis=1)[:, None])
        cases = self.shape[0]
        p = self._by_pair(np.stack([e.p[:cases] for e in rows], axis=1).transpose(2, 0, 1, 3))
        best = self._each(np.arange(cases)[:, None, None] == BEST)
        bound = np.where(best, self._bank.low[at], self._bank.high[at])
        p = np.where(lopsided, bound, p)
        tested = [c.tested(p[:, i], at) for i, c in enumerate(self._contrasts)]
        below, above = (
            np.array([both[side] for both in tested]).reshape(p.T.shape).T
            for side in (BELOW, ABOVE)
        )
        self._bets.consume(below, above, valid)
        self._routes += [self._index.setdefault(route, len(self._index)) for route in routes]
        self._p.append(p)
        self._valid.append(valid)

    def _by_pair(self, values: NDArray[Any]) -> NDArray[Any]:
        """[pair, case, slot, gate], or what broadcasts to it, -> [pair, contrast]."""
        return np.broadcast_to(values, (len(values), *self.shape)).reshape(len(values), -1)

    def _each(self, values: ArrayLike) -> NDArray[Any]:
        return np.broadcast_to(np.asarray(values), self.shape).reshape(-1)

    def look(self, complete: bool) -> None:
        """Tests everything on what was consumed; certainty comes by itself at the bank's end."""
        wealth = self._bets.wealth()
        for shown, threshold in zip((self._alone, self._joint), self._thresholds, strict=True):
            open_ = shown == 0
            shown[open_ & (wealth[BELOW] >= threshold)] = -1
            shown[open_ & (wealth[ABOVE] >= threshold)] = 1
            for side, sign in ((BELOW, -1), (ABOVE, 1)):
                shown[np.isinf(wealth[side])] = sign

    def shown(self) -> tuple[Shown, Shown]:
        """(alone, joint) [case, slot, gate, U]: +1 the change is above theta, -1 below, 0 open.

        At the bank's end every change is certain, that of equal models too. So what is said must
        also be clear for drives like these: below theta, or above it (above 0 where theta is more),
        by 1.645 standard errors of the bank itself. Those of the draw are the bets' affair.
        """
        estimate, _, error = (each[:, None] for each in self._weighted())
        thetas = self._bets.thetas
        below = estimate + CLEARLY * error < thetas
        above = estimate - CLEARLY * error > np.minimum(thetas, 0.0)
        exact = error == 0  # all differences are the same

        def clear(shown: Shown) -> Shown:
            said = np.where(exact | np.where(shown < 0, below, above), shown, 0)
            return said.astype(np.int8).reshape(self.thetas.shape)

        return clear(self._alone), clear(self._joint)

    def estimate(self) -> Floats:
        """Relative change [case, slot, gate], weighted back to the bank and without caps."""
        return self._weighted()[0].reshape(self.shape)

    def error(self) -> Floats:
        """Its standard error over draws, [case, slot, gate]; NaN for fewer than two pairs."""
        return self._weighted()[1].reshape(self.shape)

    def by_bank(self) -> NDArray[np.bool_]:
        """[case, slot, gate] No rate needs to say by itself that it is of this bank: all are."""
        return np.zeros(self.shape, dtype=np.bool_)

    def asymptotic(self) -> tuple[Floats, Floats]:
        """Nothing is asymptotic here: no bounds, [case, slot, gate]."""
        open_ = np.full(self.shape, np.inf)
        return -open_, open_

    def distance(self, gates: NDArray[np.bool_]) -> Floats:
        """How far each change lies from zero, in standard errors over drives like these and not on
        the bank alone, [case, slot, gate]; 0 where nothing is known, and of other gates."""
        estimate, *errors = self._weighted()
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.nan_to_num(estimate / np.hypot(*errors), posinf=1e6, neginf=-1e6)
        return np.where(gates, distance.reshape(self.shape), 0.0)

    def _weighted(self) -> tuple[Floats, Floats, Floats]:
        drawn = self._bets.drawn
        if not drawn:
            nothing = np.full(len(self._contrasts), np.nan)
            return nothing, nothing, nothing
        if self._estimate is None or self._estimate[0] != drawn:
            valid = np.concatenate(self._valid)
            p = np.where(valid, np.concatenate(self._p), 0.0)
            q = np.where(valid, self._bank.q[:drawn], 0.0)
            chance = inclusion(self._bank.weights, drawn)[:drawn]
            own = bank_error(p, q, chance, np.array(self._routes))
            self._estimate = drawn, (*weighted_ratio(p, q, chance), own)
        return self._estimate[1]


def checked(plan: RunPlan) -> StoredCosts:
    """The stored costs of a plan. Raises SubmitterError unless they fit its pairs."""
    stored = plan.stored
    remedy = "take the weights that were fixed with the run's order"
    if stored is None:
        finding = Finding("weights", "the plan has none", remedy)
        raise SubmitterError("a cost-weighted suite is judged with its weights", finding)
    weights = stored.weights
    if len(weights) != plan.pairs or any(c.shape[1] != plan.pairs for c in stored.costs.values()):
        problem = f"{len(weights)} weights for {plan.pairs} planned pairs"
    elif not (np.isfinite(weights) & (weights > 0)).all():
        problem = "some weights are not above zero"
    else:
        return stored
    raise SubmitterError(
        "the weights do not belong to the order", Finding("weights", problem, remedy)
    )
