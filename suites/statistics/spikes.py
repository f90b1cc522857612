"""What "not worse by the margin" needs beside sign flips: evidence that rare spikes do not make up the difference.

Sign flips of r - theta are exact only where r is symmetric about theta. Where a true change consists of rare spikes (a few
segments several times as costly) they assert "not worse" far too often, above all before a spike was met. The relative
difference r = 2 (c - b) / (c + b) lies in [-2, 2] whatever happens, so that betting against E[r] >= theta, with capital
prod_i (1 - lambda (r_i - theta) / (2 - theta)), needs nothing else: P(capital ever >= 2/alpha) <= alpha/2 (Ville;
Waudby-Smith & Ramdas 2024, section 4, with a fixed mixture of bets). It takes pairs to be independent; sign flips take
only routes to be. "Not worse" is claimed where both show it: wrong at most as often as the better of the two.

Without one spike in n pairs the bound is still about 9 / n at alpha = .05: few pairs cannot exclude what they would
not have met.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BETS: Floats = 0.99 * 2.0 ** -np.arange(0.0, 9.0)
WEIGHTS: Floats = np.array([0.5, *[0.5 / 8] * 8])
"""Half of the stake on the largest bet, the best one while no spike was met."""


def unseen(pairs: float, alpha: float) -> float:
    """About the bound that so many quiet pairs give: 2 ln(4 / alpha) / n."""
    return 2 * float(np.log(4 / alpha)) / pairs


class PairBetting:
    """Incremental: G contrasts of the typical drive at thetas [G, U], each below 2."""

    def __init__(self, thetas: Floats, alpha: float) -> None:
        self.thetas = thetas
        self._log = np.zeros((len(BETS), *thetas.shape))
        self._threshold = float(np.log(2 / alpha))
        self.below = np.zeros(thetas.shape, dtype=np.bool_)
        """[G, U] the change is shown to be below theta."""

    def consume(self, r: Floats, valid: NDArray[np.bool_]) -> None:
        """Adds pairs in the registered order: r, valid [k, G]."""
        d = np.where(valid[:, :, None], (r[:, :, None] - self.thetas) / (2 - self.thetas), 0.0)
        for bet, log in zip(BETS, self._log, strict=True):
            log += np.log1p(-bet * d).sum(axis=0)

    def look(self) -> None:
        """Reads the capital."""
        top = self._log.max(axis=0)
        self.below |= top + np.log(np.einsum("l,lgu->gu", WEIGHTS, np.exp(self._log - top))) >= self._threshold
