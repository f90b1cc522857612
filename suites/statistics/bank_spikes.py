"""New spikes on a bank that is drawn by cost: how rare they are, weighted back.

The counts of a uniform order say nothing here, since what the baseline finds hard comes first. The
same questions are bets on the bank: of each pair s = 1 where the candidate newly spikes, and
l = 1, -1 or 0 where it newly spikes, mends or neither.
"""

import numpy as np
from numpy.typing import NDArray

from suites.statistics.bank_bets import ABOVE, BELOW, BankBets, KnownBank

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
        self._new = BankBets(KnownBank(weights, q=one, low=0 * one, high=one), shares)
        self._signed = BankBets(KnownBank(weights, q=one, low=-one, high=one), np.zeros((gates, 1)))

    def consume(self, new: Bools, mended: Bools, valid: Bools) -> None:
        """The next pairs, [k, G]."""
        spikes = new.astype(np.float64)
        self._new.consume(spikes, spikes, valid)
        signed = spikes - mended
        self._signed.consume(signed, signed, valid)

    def rare(self) -> Bools:
        """[G] New spikes are shown to be rarer than the share."""
        return np.asarray(self._new.wealth()[BELOW, :, 0] >= self._wanted)

    def rising(self) -> Bools:
        """[G] More newly spikes than is mended."""
        return np.asarray(self._signed.wealth()[ABOVE, :, 0] >= self._wanted)

    def below(self, g: int) -> float:
        """The share that new spikes are shown to stay below; 1 where there is none."""
        shown = self._new.wealth()[BELOW, g, 1:] >= self._wanted
        return float(SHARES[shown].min(initial=1.0))
