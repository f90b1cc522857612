"""Rates of two models on the same pairs: events that are counted, and costs in [0, 1].

d = c - b lies in [-1, 1]; theta is a difference of the rates, positive is worse. Three sources of
evidence, each an e-process (P(ever >= 1/alpha) <= alpha, Ville):

- labels, for 0/1 values: the first pair of each route on which the models differ is a fair coin
  where neither has more events. k and l routes begin with an event of the candidate only and of the
  baseline only: E_1(k, l), and E_1(l, k) for "better" (`log_worse_e_value`). A route counts once,
  however many of its pairs differ: a later pair would be no new coin;
- the bank, for 0/1 values: the baseline's K events on all planned pairs are known, and the order is
  uniform (`KnownEvents`). It says that the candidate has more than K events *on this bank*;
- bets on the mean of d, above theta prod(1 + lambda (d - theta) / (1 + theta)), below theta
  prod(1 - lambda (d - theta) / (1 - theta)) (Waudby-Smith & Ramdas 2024, section 4, with a fixed
  mixture of bets). The unit is the route: its first pair at any time; where routes have several
  pairs, half of the stake is on the routes' means when the bank is complete.

Worse (above 0) is shown by (E_1 + E_K) / 2, or by E_1 alone where K is not known. Every other
theta, and everything of costs that are no events, is up to the bets. "Above" holds at alpha, and
"below" at half of it: where the truth lies at the margin fewer than one run in a hundred then
passes before it fails, at the price of 940 quiet pairs for .5 % instead of 780.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suites.statistics.betting import mixed
from suites.statistics.rates import log_worse_e_value
from suites.statistics.route_sums import RouteSums

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LAMBDAS: Floats = np.array([0.99, 0.9, 0.7, 0.5, 0.25, 0.12, 0.06, 0.03])
WEIGHTS: Floats = np.array([0.2, 0.2, 0.2, 0.2, 0.05, 0.05, 0.05, 0.05])
"""The large bets are best for rare events. The small ones, which pay where the models often differ,
cost 6 % more quiet pairs."""

FARTHEST = 0.999
"""Largest difference of two rates that is tested: there is room on both sides of it."""

RATIOS: Floats = np.array([1.5, 2.0, 3.0, 5.0])[:, None]
"""How many times as many events as the baseline E_K bets on."""

GUARD = 0.35
"""How much of 1/alpha the evidence for a higher rate anywhere must reach for E_K to count.

Measured, not proven: without it, equal models of which the baseline happened to have few events on
this bank are called worse in 45-49 % of the runs, with it in 1-5 %."""


class KnownEvents:
    """The candidate's events against the baseline's K on the whole bank, for G gates.

    p_0 = (K - seen) / remaining is the largest chance that the next pair of a uniform order has an
    event if the candidate has at most K in all; E_K = mean over ratios of the product of
    p_1 / p_0 or (1 - p_1) / (1 - p_0), p_1 = min(ratio p_0, .99); infinite once seen > K.
    """

    def __init__(self, planned: int, events: Floats) -> None:
        self.planned = planned
        self.events = events
        """K [G]"""
        self.drawn = 0
        self.seen = np.zeros(len(events))
        self._log = np.zeros((len(RATIOS), len(events)))

    def consume(self, happened: Bools) -> None:
        """The next pairs of the order, [k, G]; one that is invalid has no event."""
        before = self.seen + np.cumsum(happened, axis=0) - happened
        left = self.planned - self.drawn - np.arange(len(happened))
        expected = np.clip((self.events - before) / left[:, None], 0.0, 1.0)
        likelier = np.minimum(RATIOS[:, None] * expected, 0.99)
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = np.where(
                happened, np.log(likelier / expected), np.log1p(-likelier) - np.log1p(-expected)
            )
        steps = np.where(expected >= 0.99, 0.0, steps)
        steps = np.where(happened & (expected == 0), np.inf, steps)
        self._log += steps.sum(axis=1)
        self.seen += happened.sum(axis=0)
        self.drawn += len(happened)

    def log_e(self) -> Floats:
        """ln E_K [G]"""
        return np.asarray(np.logaddexp.reduce(self._log, axis=0) - np.log(len(RATIOS)))

    def log_anywhere(self) -> Floats:
        """ln [G] of the mean over ratios of r^n ((N + t) / (N + r t))^(n + K + 1/2).

        The Bayes factor of n events in t pairs at r times the baseline's rate, of which K in N are
        known (gamma prior of Jeffreys, Poisson events): evidence on any bank, not only on this.
        """
        n, t = self.planned, self.drawn
        events = self.seen + self.events + 0.5
        log = self.seen * np.log(RATIOS) + events * np.log((n + t) / (n + RATIOS * t))
        return np.asarray(np.logaddexp.reduce(log, axis=0) - np.log(len(RATIOS)))


class RateBets:
    """Incremental over G rates, each tested at thetas [G, U]."""

    def __init__(
        self,
        thetas: Floats,
        *,
        planned: int,
        baseline_events: Floats,
        repeated: bool,
        alpha: float,
        joint_alpha: float,
    ) -> None:
        """`baseline_events` [G]: K, or NaN where it is not known. `repeated`: a route has several
        planned pairs, whose order is not uniform: breadth first goes route by route."""
        self.thetas = np.clip(thetas, -FARTHEST, FARTHEST)
        self.two_valued = np.ones(len(thetas), dtype=np.bool_)
        """[G] every value so far is 0 or 1."""
        self._alphas = alpha, joint_alpha
        self._repeated = repeated
        self._known = ~np.isnan(baseline_events) & (not repeated)
        self._bank = KnownEvents(planned, baseline_events[self._known])
        self._sums = RouteSums(len(thetas))
        self._first = np.zeros((2, len(LAMBDAS), *thetas.shape))
        self._labelled: set[tuple[str, int]] = set()
        self.labels = np.zeros((2, len(thetas)), dtype=np.int64)
        """[2, G] routes whose first difference is an event of the candidate, of the baseline."""
        self.alone = np.zeros(thetas.shape, dtype=np.int8)
        """[G, U] +1: the difference is above theta; -1: below; 0: open. Each gate by itself."""
        self.joint = np.zeros(thetas.shape, dtype=np.int8)
        """[G, U] the same at `joint_alpha`."""

    def consume(
        self, routes: Sequence[str], candidate: Floats, baseline: Floats, valid: Bools
    ) -> None:
        """Adds pairs: values in [0, 1] and whether they count, [k, G]."""
        candidate, baseline = np.where(valid, candidate, 0.0), np.where(valid, baseline, 0.0)
        for values in (candidate, baseline):
            self.two_valued &= ((values == 0) | (values == 1)).all(axis=0)
        d = candidate - baseline
        self._bank.consume(candidate[:, self._known] == 1)
        for i, g in zip(*np.nonzero(d * self.two_valued), strict=True):
            if (place := (routes[i], int(g))) not in self._labelled:
                self._labelled.add(place)
                self.labels[int(d[i, g] < 0), g] += 1
        seen = len(self._sums.index)
        rows = self._sums.consume(routes, d, valid.astype(np.float64))
        fresh = np.zeros(len(rows), dtype=np.bool_)
        fresh[np.unique(rows, return_index=True)[1]] = True
        fresh &= rows >= seen
        self._first += self._bets(d[fresh], valid[fresh])

    def _bets(self, d: Floats, valid: Bools) -> Floats:
        """ln of the capital [2, L, G, U] below and above theta after units [k, G]."""
        over = np.where(valid[:, :, None], d[:, :, None] - self.thetas, 0.0)
        rooms = -(1 - self.thetas), 1 + self.thetas
        return np.stack(
            [[np.log1p(bet * over / room).sum(axis=0) for bet in LAMBDAS] for room in rooms]
        )

    @staticmethod
    def _wealth(log: Floats) -> Floats:
        """ln of the mean capital over bets, [2, L, G, U] -> [2, G, U]."""
        return np.stack([mixed(side, WEIGHTS) for side in log])

    def look(self, complete: bool) -> None:
        """Reads the capital; `complete` when every planned pair was consumed."""
        wealth = self._wealth(self._first)
        if self._repeated:
            wealth -= np.log(2.0)
            if complete:
                count = self._sums.q
                means = np.divide(self._sums.p, count, out=np.zeros_like(count), where=count > 0)
                paid = self._wealth(self._bets(means, count > 0)) - np.log(2.0)
                wealth = np.logaddexp(wealth, paid)
        for shown, alpha in zip((self.alone, self.joint), self._alphas, strict=True):
            self._show(shown, wealth, alpha)

    def _show(self, shown: NDArray[np.int8], wealth: Floats, alpha: float) -> None:
        """What crosses now and was open; what is beyond 0 is beyond all on the other side of it."""
        at_zero = (self.thetas == 0) & self.two_valued[:, None]
        better = log_worse_e_value(self.labels[1], self.labels[0]) >= np.log(2 / alpha)
        for side, sign, level, events in (
            (0, -1, 2 / alpha, better),
            (1, 1, 1 / alpha, self._worse(alpha)),
        ):
            beyond = np.where(at_zero, events[:, None], wealth[side] >= np.log(level))
            zero = (self.thetas == 0) & (beyond | (shown == sign))
            beyond |= zero.any(axis=1)[:, None] & (sign * self.thetas < 0)
            shown[(shown == 0) & beyond] = sign

    def by_bank(self) -> Bools:
        """[G] K is known, and the labels alone do not show more events at `joint_alpha`."""
        labels = log_worse_e_value(*self.labels)
        return np.asarray(self._known & (labels < np.log(1 / self._alphas[1])))

    def _worse(self, alpha: float) -> Bools:
        """[G] whether the candidate has more events: E_1, and E_K where K is known.

        What happens early to both models is no difference: so far it must have more of its own.
        """
        labels = log_worse_e_value(*self.labels)
        shown = labels >= np.log(1 / alpha)
        both = np.logaddexp(labels[self._known], self._bank.log_e()) - np.log(2.0)
        guarded = self._bank.log_anywhere() >= np.log(GUARD / alpha)
        certain = labels[self._known] >= np.log(2 / alpha)
        more = np.greater(*self.labels)[self._known]
        shown[self._known] = certain | ((both >= np.log(1 / alpha)) & guarded & more)
        return np.asarray(shown)
