"""Sequential sign-flip test on route sums, with alpha spending and maxT over metrics (engine A).

Evidence is linear in the hypothesised relative change theta: pair i of route j adds p_i - theta * q_i, so
D_j(theta) = P_j - theta * Q_j is the route's partial sum. Under the hypothesis the sign of each D_j is a coin toss
(exact for exchangeable pairs), so |sum_j s_j D_j| over random signs s is the null distribution of |sum_j D_j|; the
statistic T = |sum D| / sqrt(sum D^2) makes metrics comparable, and one set of signs shared by all metrics keeps their
correlation (Westfall & Young 1993, maxT; Winkler et al. 2014 for sign flips).

Sequential: cumulative spend alpha(t) = alpha * t**rho (Lan & DeMets 1983; Kim & DeMets 1987), with the boundary found
from the flips themselves: at a look, m = floor(alpha(t) (B+1)) - used; the critical value is the (m+1)-th largest T
among the flips not yet killed; a T strictly greater rejects; flips strictly greater are killed and counted as used.
The data as observed are one of the B+1 vectors, which is what makes the test exact: P(reject) <= alpha at any B
(Hemerik & Goeman 2018, "Exact testing with random permutations", TEST 27).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Signs = NDArray[np.int8]

TIE = 1e-9
"""Relative tolerance below which two statistics are tied: sums of the same signs may differ in their last bits."""


def spent(alpha: float, share: float, rho: float) -> float:
    """alpha * t**rho: the false-alarm probability that may be used up to the share t of the planned pairs."""
    return alpha * float(min(share, 1.0) ** rho)


def _kill(statistic: Floats, alive: NDArray[np.bool_], allowed: NDArray[np.int64]) -> Floats:
    """One look: kills in `alive` [..., B+1] (in place) the flips above the critical value; returns that value [...].

    `allowed` [...] is floor(alpha(t) (B+1)), cumulative: what was killed before is already used.
    """
    total = alive.shape[-1]
    left = allowed - (total - alive.sum(axis=-1))
    ordered = np.sort(np.where(alive, statistic, -np.inf), axis=-1)
    critical: Floats = np.take_along_axis(ordered, (total - 1 - left)[..., None], axis=-1)[..., 0]
    alive &= ~(statistic > (critical * (1 + TIE))[..., None])
    return critical


class RouteSums:
    """Sums of the evidence (p, q) of G contrasts by route, in the order in which routes first came."""

    def __init__(self, contrasts: int) -> None:
        self.index: dict[str, int] = {}
        self._p = np.zeros((64, contrasts))
        self._q = np.zeros((64, contrasts))

    def consume(self, routes: Sequence[str], p: Floats, q: Floats) -> NDArray[np.int64]:
        """Adds pairs, p and q [k, G]; returns the rows of their routes."""
        rows = np.array([self.index.setdefault(route, len(self.index)) for route in routes], dtype=np.int64)
        while len(self.index) > len(self._p):
            self._p = np.concatenate([self._p, np.zeros_like(self._p)])
            self._q = np.concatenate([self._q, np.zeros_like(self._q)])
        np.add.at(self._p, rows, p)
        np.add.at(self._q, rows, q)
        return rows

    @property
    def p(self) -> Floats:
        """[R, G]"""
        return self._p[: len(self.index)]

    @property
    def q(self) -> Floats:
        """[R, G]"""
        return self._q[: len(self.index)]

    def scale(self, thetas: Floats) -> Floats:
        """sqrt(sum_j D_j(theta)^2) at thetas [G, U]."""
        p, q = self.p, self.q
        pp, pq, qq = (np.einsum("rg,rg->g", one, two)[:, None] for one, two in ((p, p), (p, q), (q, q)))
        return np.asarray(np.sqrt(np.maximum(pp - 2 * thetas * pq + thetas**2 * qq, 0.0)))


class SignFlips:
    """Incremental engine over G contrasts (metric and estimand), each tested at U values of theta.

    `families` numbers for each contrast the group inside which the maximum is taken, `levels` is the alpha of each group;
    `singly` lists the contrasts that are judged by themselves as well, all if not given.
    """

    def __init__(
        self, thetas: Floats, *, alpha: float, rho: float, flips: int, seed: int, planned: int,
        families: Sequence[int] = (), levels: Sequence[float] = (), singly: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        count, values = thetas.shape
        self.thetas = thetas
        self.alpha, self.rho, self.planned = alpha, rho, planned
        self.families = np.asarray(families, dtype=np.int64)
        self.levels = tuple(levels)
        self._singly = np.arange(count) if singly is None else np.asarray(singly, dtype=np.int64)
        self.consumed = 0
        self._generator = np.random.default_rng(seed)
        self._flips = flips
        self._routes = RouteSums(count)
        self._signs = np.empty((0, flips + 1), dtype=np.int8)
        self._sum_p = np.zeros((count, flips + 1))
        self._sum_q = np.zeros((count, flips + 1))
        self._alive = np.ones((len(self._singly), values, flips + 1), dtype=np.bool_)
        self._joint_alive = np.ones((len(self.levels), values, flips + 1), dtype=np.bool_)
        self.alone = np.zeros((count, values), dtype=np.int8)
        """[G, U] +1: the change is above theta; -1: below; 0: open. Each contrast by itself at `alpha`."""
        self.joint = np.zeros((count, values), dtype=np.int8)
        """[G, U] the same, controlled over all contrasts of the family (maxT)."""

    def consume(self, routes: Sequence[str], p: Floats, q: Floats) -> None:
        """Adds pairs in the registered order: p, q are [k, G]; a pair invalid for a contrast is zero in both."""
        rows = self._routes.consume(routes, p, q)
        self._draw(len(self._routes.index))
        signs = self._signs[rows].astype(np.float64)
        self._sum_p += p.T @ signs
        self._sum_q += q.T @ signs
        self.consumed += len(rows)

    def _draw(self, routes: int) -> None:
        """Signs of the first `routes` routes (at least) from the registered seed; the first vector is all +1.

        The first few routes, as many as have each of their sign patterns at least eight times among the vectors, get every
        pattern equally often (stratified draws) so that what a handful of routes can show does not hang on the seed.
        """
        strata = int(np.log2((self._flips + 1) / 8))
        vectors = np.arange(self._flips + 1)
        while len(self._signs) < routes:
            start = len(self._signs)
            fresh = np.empty((max(64, start), self._flips + 1), dtype=np.int8)
            fresh[:, 0] = 1
            for index, row in enumerate(fresh, start):
                row[1:] = 2 * self._generator.integers(0, 2, self._flips, dtype=np.int8) - 1
                if index < strata:
                    row[:] = 1 - 2 * (vectors >> index & 1)
            self._signs = np.concatenate([self._signs, fresh])

    def look(self) -> None:
        """Tests every contrast at every theta with what is consumed so far, and spends."""
        sums = self._sum_p[:, None, :] - self.thetas[:, :, None] * self._sum_q[:, None, :]
        direction = np.sign(sums[:, :, 0]).astype(np.int8)
        scale = self._routes.scale(self.thetas)
        scale[scale == 0.0] = np.inf
        statistic = np.abs(sums, out=sums)
        statistic /= scale[:, :, None]

        critical = np.full(self.alone.shape, np.inf)
        critical[self._singly] = self._spend(statistic[self._singly], self._alive, self.alpha)
        _show(self.alone, statistic[:, :, 0] > critical * (1 + TIE), direction)
        for family, level in enumerate(self.levels):
            members = self.families == family
            if members.any():
                largest = self._spend(statistic[members].max(axis=0), self._joint_alive[family], level)
                _show(self.joint, members[:, None] & (statistic[:, :, 0] > largest * (1 + TIE)), direction)

    def _spend(self, statistic: Floats, alive: NDArray[np.bool_], level: float) -> Floats:
        share = self.consumed / self.planned
        allowed = np.int64(spent(level, share, self.rho) * (self._flips + 1) + TIE)
        return _kill(statistic, alive, np.full(alive.shape[:-1], allowed))


def _show(shown: Signs, rejected: NDArray[np.bool_], direction: Signs) -> None:
    """Records rejections that are new; the first one stays."""
    fresh = rejected & (shown == 0)
    shown[fresh] = direction[fresh]
