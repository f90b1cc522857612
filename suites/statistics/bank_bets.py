"""Betting on the bank: what the rest of a known bank can still hold, drawn without replacement.

The only randomness is the draw, so that nothing is assumed of routes, shapes or models. With
weights w, W their sum over what remains, S the sum of y seen and T the known sum of q over the
bank,

    Y = y_i W / w_i + S - theta T

has the mean sum(y) - theta T before each draw, whatever was drawn before: the bank's own answer.
It lies in [-Q, U], with Q = W max(-low / w) - S + theta T, U = W max(high / w) + S - theta T and
[low, high] the bounds of each pair's y. So each of the capitals

    above theta: sum_l v_l prod (1 + lambda_l Y / Q)
    below theta: sum_l v_l prod (1 - lambda_l Y / U)

reaches 1 / alpha with probability at most alpha where it is not so; Q or U below 0 is certainty.
Shekhar, Xu, Lipton, Liang & Ramdas (2023), "Risk-limiting financial audits via weighted sampling
without replacement", arXiv 2305.06884, section 2, with a fixed mixture of bets.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suites.statistics.betting import BETS, mixed

Floats = NDArray[np.float64]
Shown = NDArray[np.int8]

ROUNDING = 1e-12
"""Of a sum over the bank, relative: a bound so close to 0 shows nothing."""

BELOW, ABOVE = 0, 1
SIGNS = (1.0, -1.0)


class KnownBank(NamedTuple):
    """What is known before the first draw; the n pairs stand in the registered order."""

    weights: Floats
    """[n]"""
    q: Floats
    """[n, K] of each contrast."""
    low: Floats
    """[n, K]: no y that is tested from above is smaller."""
    high: Floats
    """[n, K]: no y that is tested from below is larger."""


class BankBets:
    """Incremental: K contrasts at thetas [K, U]."""

    def __init__(self, bank: KnownBank, thetas: Floats) -> None:
        self.bank = bank
        self.thetas = thetas
        self.drawn = 0
        weights = bank.weights
        self._remaining = np.append(np.cumsum(weights[::-1])[::-1], 0.0)
        """W before each draw, and after the last, exactly 0."""
        each = weights[:, None]
        self._reach = (bank.high / each).max(axis=0), (-bank.low / each).max(axis=0)
        self._target = thetas * bank.q.sum(axis=0)[:, None]
        self._sums = np.zeros((2, *thetas.shape))
        self._log = np.zeros((2, len(BETS), *thetas.shape))
        self._certain = np.zeros((2, *thetas.shape), dtype=np.bool_)
        scale = bank.q.sum(axis=0) + np.abs(bank.low).sum(axis=0) + bank.high.sum(axis=0)
        self._tiny = ROUNDING * scale[:, None]

    def consume(self, below: Floats, above: Floats, valid: NDArray[np.bool_]) -> None:
        """The next pairs: y as it is tested from each side, [k, K], and whether it counts.

        A pair that does not count leaves the bank: its y is theta q, which moves nothing.
        """
        at = slice(self.drawn, self.drawn + len(valid))
        self.drawn += len(valid)
        nothing = self.thetas * self.bank.q[at, :, None]
        for side, y in ((BELOW, below), (ABOVE, above)):
            self._bet(side, at, np.where(valid[:, :, None], y[:, :, None], nothing))

    def _bet(self, side: int, at: slice, y: Floats) -> None:
        """y [k, K, U]"""
        sign = SIGNS[side]
        bound = (self.bank.high, self.bank.low)[side][at, :, None]
        y = sign * np.minimum(sign * y, sign * bound)
        remaining = self._remaining[at, None, None]
        before = self._sums[side] + np.cumsum(y, axis=0) - y - self._target
        room = remaining * self._reach[side][:, None] + sign * before
        expected = y * (remaining / self.bank.weights[at, None, None]) + before
        bet = room > self._tiny
        share = np.divide(sign * expected, room, out=np.zeros_like(y), where=bet)
        for fraction, log in zip(BETS, self._log[side], strict=True):
            log += np.log1p(-fraction * np.minimum(share, 1.0)).sum(axis=0)
        self._certain[side] |= (room < -self._tiny).any(axis=0)
        self._sums[side] += y.sum(axis=0)

    def wealth(self) -> Floats:
        """ln of the capital [2, K, U] against "not below" and "not above"; inf is certainty."""
        wealth = np.stack([mixed(log) for log in self._log])
        for side, sign in enumerate(SIGNS):
            left = self._remaining[self.drawn] * self._reach[side][:, None]
            room = left + sign * (self._sums[side] - self._target)
            wealth[side][self._certain[side] | (room < -self._tiny)] = np.inf
        return wealth
