"""What "not worse by the margin" needs beside sign flips: that rare bad pairs or routes are no
cause.

Sign flips of r - theta are exact only where r is symmetric about theta. Where a true change
consists of rare spikes (a few segments several times as costly) they assert "not worse" far too
often, above all before a spike was met. Betting against E[r] >= theta needs no shape, only a
bound:

    W = prod_i (1 - lambda (r_i - theta) / (bound - theta)),   P(W ever >= 1/alpha) <= alpha

(Ville; Waudby-Smith & Ramdas 2024, section 4, with a fixed mixture of bets). Two bets:

- on pairs: r = 2 (c - b) / (c + b) lies in [-2, 2] whatever happens; pairs are taken to be
  independent. Without one spike in n pairs its bound is still about 7 / n at alpha = .05. Nobody
  can do better than 6 / n: where 3 spikes are expected, none comes in 5 % of the runs;
- on routes, at half of alpha: the mean over a route of r cut at ±50 %; only routes are taken to be
  independent. Without one bad route among n its bound is still about 2 / n.

"Not worse" is claimed where sign flips and both bets show it: it is wrong at most as often as the
best of them. Few pairs, and few routes, cannot exclude what they have not met.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suites.statistics.betting import BETS, mixed
from suites.statistics.direction_bets import STAKES
from suites.statistics.route_sums import RouteSums

Floats = NDArray[np.float64]

ROUTE_BOUND = 0.5
"""Largest change of one route that the bet on routes counts. A choice, not a theorem: some 20
routes can show a margin of 15-25 %, and six cannot. A larger bound asks for more routes, a smaller
one excludes less."""


class PairBetting:
    """Incremental: G contrasts of the typical drive at thetas [G, U], each below 2."""

    def __init__(self, thetas: Floats, alpha: float) -> None:
        self.thetas = thetas
        self._log = np.zeros((len(BETS), *thetas.shape))
        self._threshold = float(np.log(1 / alpha))
        self.below = np.zeros(thetas.shape, dtype=np.bool_)
        """[G, U] the change is shown to be below theta."""

    def consume(self, r: Floats, valid: NDArray[np.bool_]) -> None:
        """Adds pairs in the registered order: r, valid [k, G]."""
        d = np.where(valid[:, :, None], (r[:, :, None] - self.thetas) / (2 - self.thetas), 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):  # negative costs: nothing is shown
            for bet, log in zip(BETS, self._log, strict=True):
                log += np.log1p(-bet * d).sum(axis=0)

    def look(self) -> None:
        """Reads the capital."""
        self.below |= mixed(self._log, STAKES) >= self._threshold


class RouteBetting:
    """Incremental: the same on routes.

    Half of the stake is on the first pair of each route, read at any time. The other half is on the
    means of the routes when the bank is complete: later pairs of a route are no new bets.
    """

    def __init__(self, thetas: Floats, alpha: float) -> None:
        self.thetas = thetas
        self._room = np.maximum(ROUTE_BOUND - thetas, 0.05)
        self._sums = RouteSums(len(thetas))
        self._first = np.zeros((len(BETS), *thetas.shape))
        self._threshold = float(np.log(2 / alpha))
        self.below = np.zeros(thetas.shape, dtype=np.bool_)
        """[G, U] the change is shown to be below theta."""

    def consume(self, routes: Sequence[str], r: Floats, valid: NDArray[np.bool_]) -> None:
        """Adds pairs in the registered order: r, valid [k, G]."""
        cut = np.where(valid, np.clip(r, -ROUTE_BOUND, ROUTE_BOUND), 0.0)
        known = len(self._sums.index)
        rows = self._sums.consume(routes, cut, valid.astype(np.float64))
        fresh = np.zeros(len(rows), dtype=np.bool_)
        fresh[np.unique(rows, return_index=True)[1]] = True
        fresh &= rows >= known
        self._first += self._bets(cut[fresh], valid[fresh])

    def _bets(self, means: Floats, valid: NDArray[np.bool_]) -> Floats:
        """ln of the capital [L, G, U] after units [k, G]."""
        d = np.where(valid[:, :, None], (means[:, :, None] - self.thetas) / self._room, 0.0)
        return np.stack([np.log1p(-bet * d).sum(axis=0) for bet in BETS])

    def look(self, complete: bool) -> None:
        """Reads the capital; `complete` when every planned pair was consumed."""
        wealth = mixed(self._first)
        if complete:
            count = self._sums.q
            means = np.divide(self._sums.p, count, out=np.zeros_like(count), where=count > 0)
            wealth = np.logaddexp(wealth, mixed(self._bets(means, count > 0)))
        self.below |= wealth - np.log(2.0) >= self._threshold
