"""Sums of the evidence by route."""

from collections.abc import Sequence

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
