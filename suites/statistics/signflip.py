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

CACHED = 2**16
"""Statistics that are computed at a time: few enough to stay in a processor's cache."""


def spent(alpha: float, share: float, rho: float) -> float:
    """alpha * t**rho: the false-alarm probability that may be used up to the share t of the planned pairs."""
    return alpha * float(min(share, 1.0) ** rho)


def _kill(statistic: Floats, alive: NDArray[np.bool_], allowed: NDArray[np.int64] | int) -> Floats:
    """One look: kills in `alive` [..., B+1] (in place) the flips above the critical value; returns that value [...].

    `allowed` [...] is floor(alpha(t) (B+1)), cumulative: what was killed before is already used.
    """
    total = alive.shape[-1]
    left = allowed - (total - np.count_nonzero(alive, axis=-1))
    rest = total - 1 - int(left.max())
    largest = np.sort(
        np.partition(np.where(alive, statistic, -np.inf), rest, axis=-1)[..., rest:], axis=-1
    )
    critical: Floats = np.take_along_axis(largest, (total - 1 - rest - left)[..., None], axis=-1)[
        ..., 0
    ]
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
        rows = np.array(
            [self.index.setdefault(route, len(self.index)) for route in routes], dtype=np.int64
        )
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
        pp, pq, qq = (
            np.einsum("rg,rg->g", one, two)[:, None] for one, two in ((p, p), (p, q), (q, q))
        )
        return np.asarray(np.sqrt(np.maximum(pp - 2 * thetas * pq + thetas**2 * qq, 0.0)))


class SignFlips:
    """Incremental engine over G contrasts (metric and estimand), each tested at U values of theta.

    `families` numbers for each contrast the group inside which the maximum is taken, `levels` is the alpha of each group;
    `singly` lists the contrasts that are judged by themselves as well, all if not given.
    """

    def __init__(
        self,
        thetas: Floats,
        *,
        alpha: float,
        rho: float,
        flips: int,
        seed: int,
        planned: int,
        families: Sequence[int] = (),
        levels: Sequence[float] = (),
        singly: Sequence[int] | None = None,
    ) -> None:
        count, values = thetas.shape
        self.thetas = thetas
        self.alpha, self.rho, self.planned = alpha, rho, planned
        self.levels = tuple(levels)
        self._members = (
            np.asarray(families) == np.arange(len(levels))[:, None]
            if levels
            else np.empty((0, count), np.bool_)
        )
        self._row = np.full(count, -1)
        alone = np.arange(count) if singly is None else np.asarray(singly, dtype=np.int64)
        self._row[alone] = np.arange(len(alone))
        self.consumed = 0
        self._generator = np.random.default_rng(seed)
        self._flips = flips
        self._routes = RouteSums(count)
        self._signs = np.empty((0, flips // 8 + 1), dtype=np.uint8)
        """Bit of each vector, 1 for +1, by route: a bank of 100,000 routes fits into memory."""
        self._sum_p = np.zeros((count, flips + 1))
        self._sum_q = np.zeros((count, flips + 1))
        self._alive = np.ones((len(alone), values, flips + 1), dtype=np.bool_)
        self._joint_alive = np.ones((len(self.levels), values, flips + 1), dtype=np.bool_)
        self.alone = np.zeros((count, values), dtype=np.int8)
        """[G, U] +1: the change is above theta; -1: below; 0: open. Each contrast by itself at `alpha`."""
        self.joint = np.zeros((count, values), dtype=np.int8)
        """[G, U] the same, controlled over all contrasts of the family (maxT)."""

    def consume(self, routes: Sequence[str], p: Floats, q: Floats) -> None:
        """Adds pairs in the registered order: p, q are [k, G]; a pair invalid for a contrast is zero in both."""
        rows = self._routes.consume(routes, p, q)
        self._draw(len(self._routes.index))
        signs = 2.0 * np.unpackbits(self._signs[rows], axis=1, count=self._flips + 1) - 1.0
        self._sum_p += p.T @ signs
        self._sum_q += q.T @ signs
        self.consumed += len(rows)

    def _draw(self, routes: int) -> None:
        """Signs of the first `routes` routes (at least) from the registered seed; the first vector is all +1.

        The first few routes, as many as have each of their sign patterns at least eight times among the vectors, get every
        pattern equally often to within one (stratified draws) so that what a handful of routes can show does not hang on the
        seed. Where the number of vectors is no multiple of the patterns, the level is exact to a fortieth of itself.
        """
        strata = int(np.log2((self._flips + 1) / 8))
        vectors = np.arange(self._flips + 1)
        while len(self._signs) < routes:
            start = len(self._signs)
            fresh = np.empty((max(64, start), self._signs.shape[1]), dtype=np.uint8)
            for index, row in enumerate(fresh, start):
                plus = np.concatenate(
                    [[1], self._generator.integers(0, 2, self._flips, dtype=np.int8)]
                )
                row[:] = np.packbits(plus if index >= strata else ~vectors >> index & 1)
            self._signs = np.concatenate([self._signs, fresh])

    def look(self) -> None:
        """Tests what is not shown yet, of every contrast at every theta, with what is consumed so far, and spends."""
        alone = (self._row >= 0)[:, None] & (self.alone == 0)
        joint = self._members[:, :, None] & (self.joint == 0)
        used = np.nonzero((alone | joint.any(axis=0)).any(axis=0))[0]
        if not len(used):
            return
        thetas, alone = self.thetas[:, used], alone[:, used]
        scale = self._routes.scale(thetas)
        scale[scale == 0.0] = np.inf
        observed, critical = np.zeros(thetas.shape), np.full(thetas.shape, np.inf)
        direction = np.zeros(thetas.shape, dtype=np.int8)
        largest = np.zeros((len(self.levels), len(used), self._flips + 1))
        step = max(1, CACHED // (len(used) * (self._flips + 1)))
        for start in range(0, len(thetas), step):
            part = slice(start, start + step)
            sums = self._sum_p[part, None, :] - thetas[part, :, None] * self._sum_q[part, None, :]
            direction[part] = np.sign(sums[:, :, 0])
            statistic = np.abs(sums, out=sums)
            statistic /= scale[part, :, None]
            observed[part] = statistic[:, :, 0]
            for largest_of, members in zip(largest, self._members[:, part], strict=True):
                np.maximum(largest_of, statistic[members].max(axis=0, initial=0.0), out=largest_of)
            g, u = np.nonzero(alone[part])
            if len(g):
                at = self._row[part][g], used[u]
                alive = self._alive[at]
                critical[start + g, u] = _kill(statistic[g, u], alive, self._allowed(self.alpha))
                self._alive[at] = alive
        _show(self.alone, used, observed > critical * (1 + TIE), direction)
        for largest_of, members, all_alive, level in zip(
            largest, self._members, self._joint_alive, self.levels, strict=True
        ):
            alive = all_alive[used]
            exceeded = observed > _kill(largest_of, alive, self._allowed(level)) * (1 + TIE)
            all_alive[used] = alive
            _show(self.joint, used, members[:, None] & exceeded, direction)

    def _allowed(self, level: float) -> int:
        return int(spent(level, self.consumed / self.planned, self.rho) * (self._flips + 1) + TIE)


def _show(
    shown: Signs, thetas: NDArray[np.int64], rejected: NDArray[np.bool_], direction: Signs
) -> None:
    """Records rejections that are new at some of the thetas; the first one stays."""
    before = shown[:, thetas]
    shown[:, thetas] = np.where(rejected & (before == 0), direction, before)
