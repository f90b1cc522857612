"""Betting confidence sequence for the relative change of the mean of bounded (or winsorised) costs.

For 0 <= cost <= cap, D(theta) = p - theta q lies within ±(1 + |theta|) cap. Under E[D(theta)] >= 0
the capital

    W = prod_j (1 - lambda D_j / ((1 + |theta|) cap)),   0 <= lambda < 1,

is a non-negative supermartingale. It reaches 1/alpha with probability at most alpha (Ville),
whatever the shape of D, rare spikes included. The bets lambda are mixed with fixed weights.
Waudby-Smith & Ramdas (2024), "Estimating means of bounded random variables by betting", JRSS-B
86(1), sections 4.2-4.4 (hedged capital), with the mixture in place of their predictable plug-in
bets.

The unit is the route. The first pair of each route makes a martingale that may be read at any
time. Later pairs of the same routes are not a martingale; when the bank is complete the route
means give a second capital, with half of the stake on each:

    before the end ½ W_first,   at the end ½ (W_first + W_means)

is below 1/alpha at all times with probability at least 1 - alpha.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BETS: Floats = 0.99 * 2.0 ** -np.arange(0.0, 9.0)
"""Fractions of the stake, from nearly all to 1/256.

The best one is about mean/variance of D in units of the cap.
"""
WEIGHTS: Floats = np.array([0.5, *[0.5 / 8] * 8])
"""Half on the largest bet: best while no spike was met, and for costs far below the cap."""


def log_capital(d: Floats, bound: Floats, bets: Floats = BETS) -> Floats:
    """Sum over units of ln(1 - lambda d / bound): the bets against E[d] >= 0.

    d [n, ...], bound [...]; returns [L, ...].
    """
    return np.asarray(np.log1p(-bets.reshape(-1, *[1] * d.ndim) * (d / bound)).sum(axis=1))


def mixed(log: Floats, weights: Floats = WEIGHTS) -> Floats:
    """ln of the mean capital over bets, [L, ...] -> [...]."""
    top = log.max(axis=0)
    return np.asarray(top + np.log(np.einsum("l,l...->...", weights, np.exp(log - top))))


class Betting:
    """Incremental over G contrasts of the mean, each tested at thetas [G, U], with caps [G]."""

    def __init__(self, thetas: Floats, caps: Floats, *, alpha: float, joint_alpha: float) -> None:
        self.thetas = thetas
        self.alpha = alpha
        self.joint_alpha = joint_alpha
        self._bound = (1 + np.abs(thetas)) * caps[:, None]
        self._first = np.zeros((2, len(BETS), *thetas.shape))
        self._index: dict[str, int] = {}
        self._sum_p: list[Floats] = []
        self._sum_q: list[Floats] = []
        self._count: list[Floats] = []
        self.alone = np.zeros(thetas.shape, dtype=np.int8)
        """[G, U] +1: the change is above theta; -1: below; 0: open."""
        self.joint = np.zeros(thetas.shape, dtype=np.int8)
        """[G, U] the same at `joint_alpha`."""

    def consume(
        self, routes: Sequence[str], p: Floats, q: Floats, valid: NDArray[np.bool_]
    ) -> None:
        """Adds pairs: p, q, valid are [k, G], from costs already cut at the cap."""
        for route, p_row, q_row, valid_row in zip(routes, p, q, valid, strict=True):
            row = self._index.setdefault(route, len(self._index))
            if row == len(self._sum_p):
                for store in (self._sum_p, self._sum_q, self._count):
                    store.append(np.zeros(len(self.thetas)))
            fresh = valid_row & (self._count[row] == 0)
            d = np.where(fresh[:, None], p_row[:, None] - self.thetas * q_row[:, None], 0.0)[None]
            self._first[0] += log_capital(d, self._bound)
            self._first[1] += log_capital(-d, self._bound)
            self._sum_p[row] += np.where(valid_row, p_row, 0.0)
            self._sum_q[row] += np.where(valid_row, q_row, 0.0)
            self._count[row] += valid_row

    def look(self, complete: bool) -> None:
        """Reads the capital; `complete` when every planned pair was consumed."""
        wealth = np.stack([mixed(self._first[side]) for side in (0, 1)]) - np.log(2.0)
        if complete and self._sum_p:
            count = np.stack(self._count)
            weight = np.divide(1.0, count, out=np.zeros_like(count), where=count > 0)
            d = (np.stack(self._sum_p) * weight)[:, :, None] - self.thetas * (
                np.stack(self._sum_q) * weight
            )[:, :, None]
            means = np.stack(
                [mixed(log_capital(sign * d, self._bound)) for sign in (1.0, -1.0)]
            ) - np.log(2.0)
            wealth = np.logaddexp(wealth, means)
        for verdicts, alpha in ((self.alone, self.alpha), (self.joint, self.joint_alpha)):
            threshold = np.log(2.0 / alpha)
            open_ = verdicts == 0
            verdicts[open_ & (wealth[0] >= threshold)] = -1
            verdicts[open_ & (wealth[1] >= threshold)] = 1
