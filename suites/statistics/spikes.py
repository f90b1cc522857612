"""Upper bound of the typical drive's change that holds under rare spikes ("not worse by the margin").

Sign flips of r - theta are exact only where r is symmetric about theta. With a true change made of rare spikes (a few
segments several times as costly) they assert "not worse" far too often, above all before a spike was seen. So the
relative difference r in [-2, 2] is cut in two: s = clip(r, -1, 1), bounded and little skewed, is judged by sign flips on
routes; the excess e = r - s, which is zero unless one model costs three times as much as the other, is bounded by
betting on pairs (Waudby-Smith & Ramdas 2024, section 4), valid whatever its distribution. Each has half of the error:
E[r] <= U_s + U_e (Bonferroni). No spike in n pairs still leaves U_e of about 5 / n at alpha = .05: few pairs cannot
exclude what they would not have met. Spikes are taken to strike pairs independently; what a whole route shares is in s
up to its bound.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suites.statistics.signflip import SignFlips

Floats = NDArray[np.float64]

SPIKE = 1.0
"""|r| above which a pair is a spike: one cost is three times the other."""
BETS: Floats = 0.99 * 2.0 ** -np.arange(0.0, 9.0)
WEIGHTS: Floats = np.array([0.5, *[0.5 / 8] * 8])
"""Half of the stake on the largest bet, the best one while no spike is seen."""


def unseen(pairs: float, alpha: float) -> float:
    """U_e after so many pairs without a spike, about: ln(2 * 4 / alpha) / n."""
    return (2 - SPIKE) * float(np.log(8 / alpha)) / pairs


class SpikeProof:
    """Incremental: G contrasts, smooth part tested at thetas [G, U], excess at rooms [G, V]."""

    def __init__(
        self, thetas: Floats, rooms: Floats, *, alpha: float, rho: float, flips: int, seed: int, planned: int
    ) -> None:  # fmt: skip
        self._smooth = SignFlips(thetas, alpha=alpha / 2, rho=rho, flips=flips, seed=seed, planned=planned)
        self._rooms = rooms
        self._bound = np.maximum(2 - SPIKE - rooms, 0.1)
        self._log = np.zeros((len(BETS), *rooms.shape))
        self._held = np.zeros(rooms.shape, dtype=np.bool_)
        self._threshold = float(np.log(4 / alpha))

    def consume(self, routes: Sequence[str], r: Floats, valid: NDArray[np.bool_]) -> None:
        """Adds pairs in the registered order: r, valid [k, G]."""
        smooth = np.clip(r, -SPIKE, SPIKE)
        self._smooth.consume(routes, np.where(valid, smooth, 0.0), valid.astype(np.float64))
        spiked = valid & (np.abs(r) > SPIKE)
        calm = (valid & ~spiked).sum(axis=0)
        bets = BETS[:, None, None]
        self._log += calm[:, None] * np.log1p(bets * self._rooms / self._bound)
        for row, g in zip(*np.nonzero(spiked), strict=True):
            excess = r[row, g] - smooth[row, g]
            self._log[:, g] += np.log1p(-bets[:, 0] * (excess - self._rooms[g]) / self._bound[g])

    def look(self) -> None:
        """Tests both parts on what was consumed."""
        self._smooth.look()
        top = self._log.max(axis=0)
        wealth = top + np.log(np.einsum("l,lgv->gv", WEIGHTS, np.exp(self._log - top)))
        self._held |= wealth >= self._threshold

    def upper(self) -> Floats:
        """U_s + U_e, [G]; inf where nothing is bounded yet."""
        smooth = np.where(self._smooth.shown < 0, self._smooth.thetas, np.inf).min(axis=1, initial=np.inf)
        excess = np.where(self._held, self._rooms, np.inf).min(axis=1, initial=np.inf)
        return np.asarray(smooth + excess)
