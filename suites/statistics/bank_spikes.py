"""New spikes on a bank that is drawn by cost: how rare they are, weighted back.

The counts of a uniform order say nothing here, since what the baseline finds hard comes first. The
same question is a bet on the bank: of each pair s = 1 where the candidate newly spikes, else 0.

That more newly spikes than is mended needs no weights: what the baseline spikes on is drawn earlier
than what only the candidate does, so that labels (suites.statistics.rates) err on the safe side at
every look, and not at all in the end.
"""

import numpy as np
from numpy.typing import NDArray

from suites.statistics.bank_bets import BELOW, BankBets, KnownBank

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SHARES: Floats = np.geomspace(1e-4, 1.0, 121)
"""At which the bound on new spikes is read: it is the next larger one."""


class BankSpikes:
    """Incremental over G gates."""

    def __init__(self, weights: Floats, gates: int, share: float, alpha: float) -> None:
        self._wanted = np.log(1 / alpha)
        one = np.ones((len(weights), gates))
        shares = np.broadcast_to([share, *SHARES], (gates, 1 + len(SHARES)))
        self._bets = BankBets(KnownBank(weights, q=one, low=0 * one, high=one), shares)

    def consume(self, new: Bools, valid: Bools) -> None:
        """The next pairs, [k, G]."""
        spikes = new.astype(np.float64)
        self._bets.consume(spikes, spikes, valid)

    def rare(self, g: int) -> bool:
        """New spikes are shown to be rarer than the share."""
        return bool(self._bets.wealth()[BELOW, g, 0] >= self._wanted)

    def below(self, g: int) -> float:
        """The share that new spikes are shown to stay below; 1 where there is none."""
        shown = self._bets.wealth()[BELOW, g, 1:] >= self._wanted
        return float(SHARES[shown].min(initial=1.0))
