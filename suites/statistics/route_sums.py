"""Sums of the evidence by route."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class RouteSums:
    """P_j and Q_j of G contrasts for each route j, in the order in which routes first came."""

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
        """sqrt(sum_j D_j(theta)^2) at thetas [G, U], D_j = P_j - theta * Q_j."""
        p, q = self.p, self.q
        pp, pq, qq = (
            np.einsum("rg,rg->g", one, two)[:, None] for one, two in ((p, p), (p, q), (q, q))
        )
        return np.asarray(np.sqrt(np.maximum(pp - 2 * thetas * pq + thetas**2 * qq, 0.0)))


class RouteShares:
    """What pairs add to the sums of their routes, each weighed by its planned pairs.

    Breadth first weighs routes alike at first. With D_j = n_j times the mean of what was consumed
    of route j, n_j its planned pairs, every look is about the mean over all planned pairs. A change
    that goes with the length of a route is then no surprise at the end.
    """

    def __init__(self, contrasts: int, planned: Mapping[str, int]) -> None:
        """`planned`: the pairs of each route; a route that is not named has those that came."""
        self._planned = planned
        self._sums = RouteSums(contrasts)
        self._counts = RouteSums(contrasts)

    def added(
        self, routes: Sequence[str], p: Floats, q: Floats, valid: NDArray[np.bool_]
    ) -> tuple[Sequence[str], Floats, Floats]:
        """Routes, and what to add to their sums of p and q [k, G], for pairs in their order."""
        if not self._planned:
            return routes, p, q
        touched = list(dict.fromkeys(routes))
        zero = np.zeros((len(touched), p.shape[1]))
        rows = self._sums.consume(touched, zero, zero)
        self._counts.consume(touched, zero, zero)
        sizes = np.array([self._planned[route] for route in touched], dtype=np.float64)
        before = self._shares(rows, sizes)
        self._sums.consume(routes, p, q)
        self._counts.consume(routes, valid.astype(np.float64), np.zeros_like(q))
        after = self._shares(rows, sizes)
        return touched, after[0] - before[0], after[1] - before[1]

    def _shares(self, rows: NDArray[np.int64], sizes: Floats) -> tuple[Floats, Floats]:
        count = self._counts.p[rows]
        weight = np.divide(sizes[:, None], count, out=np.zeros_like(count), where=count > 0)
        return self._sums.p[rows] * weight, self._sums.q[rows] * weight
