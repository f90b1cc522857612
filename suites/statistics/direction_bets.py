"""What "worse" and "better" by the typical drive need beside sign flips: that skew is no cause.

Sign flips are exact only where differences are symmetric. Where a few pairs are much better and the
others slightly worse, a change of zero is called worse in every third run. A bet against E[r] <=
theta needs no shape, only a bound: with x = max(r, -1)

    W = sum_l w_l prod_i (1 + lambda_l (x_i - theta) / (1 + theta)),   P(W ever >= 1/alpha) <= alpha

for E[x] <= theta (Ville; Waudby-Smith & Ramdas 2024, section 4). Cut at -1, a pair counts as three
times as cheap at most: the bound of -2 itself asks for far more pairs. "Better" is the mirror
image. A claim needs the flips and the bet, each at the full alpha: it is wrong at most as often as
the better of the two.
"""

import numpy as np
from numpy.typing import NDArray

from suites.statistics.betting import BETS, mixed

Floats = NDArray[np.float64]

STAKES: Floats = np.array([0.6, 0.2, 0.1, 0.05, 0.02, 0.01, 0.01, 0.005, 0.005])
"""Of the bets from the largest down. Changes that are told early are far from theta; two thirds on
the largest bet alone would cost a fifth more pairs where differences spread by 20 %."""

LEAST = 0.05
"""Smallest distance of a theta from the end of the scale that is bet on."""


class DirectionBetting:
    """Incremental: bets that the change of G contrasts lies above thetas [G, U], or below them."""

    def __init__(self, thetas: Floats, side: int, *, alpha: float, joint_alpha: float) -> None:
        """`side` is +1 for above, -1 for below."""
        self._side = side
        self._thetas = side * thetas
        self._room = np.maximum(1 + self._thetas, LEAST)
        self._log = np.zeros((len(BETS), *thetas.shape))
        self._levels = np.log(1 / alpha), np.log(1 / joint_alpha)
        self.alone = np.zeros(thetas.shape, dtype=np.bool_)
        """[G, U] shown, each contrast by itself."""
        self.joint = np.zeros(thetas.shape, dtype=np.bool_)
        """[G, U] shown at `joint_alpha`."""

    def consume(self, r: Floats, valid: NDArray[np.bool_]) -> None:
        """Adds pairs in the registered order: r, valid [k, G]."""
        x = np.maximum(self._side * r, -1.0)[:, :, None]
        d = np.where(valid[:, :, None], (x - self._thetas) / self._room, 0.0)
        for bet, log in zip(BETS, self._log, strict=True):
            log += np.log1p(bet * np.maximum(d, -1.0)).sum(axis=0)

    def wealth(self, stakes: Floats = STAKES) -> Floats:
        """ln W [G, U]."""
        return mixed(self._log, stakes)

    def look(self) -> None:
        """Reads the capital."""
        wealth = self.wealth()
        self.alone |= wealth >= self._levels[0]
        self.joint |= wealth >= self._levels[1]
