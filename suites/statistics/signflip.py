"""Sequential sign-flip test on route sums, with alpha spending and maxT over metrics.

Evidence is linear in the hypothesised relative change theta. Pair i of route j adds p_i - theta
q_i, D_j(theta) = P_j - theta Q_j is the sum over the route. Under the hypothesis the sign of each
D_j is a coin toss (exact for exchangeable pairs):

                     vector 0    1    2   ...   B
    route 0      s =     +       +    -         +      vector 0 is the data as observed; the others
    route 1              +       -    -         +      are tossed from the registered seed, one
      ...                                              toss a route, shared by all contrasts
    S(theta) = sum_j s_j D_j(theta)
    T(theta) = |S(theta)| / sqrt(sum_j D_j(theta)^2)   [contrast, theta, vector]

The scale makes metrics comparable; shared signs keep their correlation, so that the largest T of a
family controls all of its contrasts together (maxT, Westfall & Young 1993; Winkler et al. 2014 for
sign flips).

Sequential: alpha(t) = alpha t^rho may be spent up to the share t of the planned pairs (Lan & DeMets
1983; Kim & DeMets 1987). The boundary comes from the flips themselves. At a look

    m = floor(alpha(t) (B + 1)) - used

vectors may be killed. The critical value is the (m+1)-th largest T among those alive. A greater T
of vector 0 rejects; vectors with a greater T are killed and count as used. The observed data are
one of the B + 1 vectors, which makes the test exact at any B (Hemerik & Goeman 2018, "Exact testing
with random permutations", TEST 27).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suites.statistics.route_sums import RouteSums

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Signs = NDArray[np.int8]

TIE = 1e-9
"""Relative difference below which statistics are tied: equal sums differ in their last bits."""

STREAM = 3
"""Of the signs, apart from the order that the same seed draws."""

CACHED = 2**16
"""Statistics that are computed at a time: few enough to stay in a processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipPlan:
    """What is registered before the first pair."""

    alpha: float
    """For each contrast by itself."""
    rho: float
    """Exponent of the spending."""
    flips: int
    """B."""
    seed: int
    planned: int
    """Pairs."""


def spent(alpha: float, share: float, rho: float) -> float:
    """alpha t^rho: the false-alarm probability that may be used up to the share t of the pairs."""
    return alpha * float(min(share, 1.0) ** rho)


def _kill(statistic: Floats, alive: Bools, allowed: NDArray[np.int64] | int) -> Floats:
    """One look: kills in `alive` [..., B+1], in place; returns the critical value [...].

    `allowed` [...] is floor(alpha(t) (B+1)), cumulative: what was killed before is already used.
    """
    total = alive.shape[-1]
    used = total - np.count_nonzero(alive, axis=-1)
    m = allowed - used
    # Only the largest max(m) + 1 statistics need an order among themselves.
    rest = total - 1 - int(m.max())
    among = np.where(alive, statistic, -np.inf)
    largest = np.sort(np.partition(among, rest, axis=-1)[..., rest:], axis=-1)
    at = (total - 1 - rest - m)[..., None]
    critical: Floats = np.take_along_axis(largest, at, axis=-1)[..., 0]
    alive &= ~(statistic > (critical * (1 + TIE))[..., None])
    return critical


class SignFlips:
    """Incremental over G contrasts (metric and estimand), each tested at thetas [G, U].

    `families` numbers for each contrast the group inside which the maximum is taken, `levels` is
    the alpha of each group. `singly` lists the contrasts that are judged by themselves as well, all
    if not given.
    """

    def __init__(
        self,
        thetas: Floats,
        plan: FlipPlan,
        *,
        families: Sequence[int] = (),
        levels: Sequence[float] = (),
        singly: Sequence[int] | None = None,
    ) -> None:
        count, values = thetas.shape
        self.thetas = thetas
        self.plan = plan
        self.levels = tuple(levels)
        self._members = np.empty((0, count), np.bool_)
        """[family, contrast]"""
        if levels:
            self._members = np.asarray(families) == np.arange(len(levels))[:, None]
        alone = np.arange(count) if singly is None else np.asarray(singly, dtype=np.int64)
        self._row = np.full(count, -1)
        """Of each contrast its row in `_alive`; -1 where it is not judged by itself."""
        self._row[alone] = np.arange(len(alone))
        self.consumed = 0
        self._generator = np.random.default_rng([plan.seed, STREAM])
        self._routes = RouteSums(count)
        vectors = plan.flips + 1
        self._signs = np.empty((0, plan.flips // 8 + 1), dtype=np.uint8)
        """[route, vector / 8], a bit each, 1 for +1: 100,000 routes fit into memory."""
        self._sum_p = np.zeros((count, vectors))
        """sum_j s_j P_j, [contrast, vector]."""
        self._sum_q = np.zeros((count, vectors))
        self._alive = np.ones((len(alone), values, vectors), dtype=np.bool_)
        self._joint_alive = np.ones((len(self.levels), values, vectors), dtype=np.bool_)
        self.alone = np.zeros((count, values), dtype=np.int8)
        """[G, U] +1: the change is above theta; -1: below; 0: open. Each contrast by itself."""
        self.joint = np.zeros((count, values), dtype=np.int8)
        """[G, U] the same, controlled over all contrasts of the family (maxT)."""

    def consume(
        self, routes: Sequence[str], p: Floats, q: Floats, pairs: int | None = None
    ) -> None:
        """Adds to the sums of routes, p and q [k, G]; zero in both where a contrast has nothing.

        `pairs` is how many pairs that is: k, unless they were joined by route.
        """
        rows = self._routes.consume(routes, p, q)
        self._draw(len(self._routes.index))
        bits = np.unpackbits(self._signs[rows], axis=1, count=self.plan.flips + 1)
        signs = 2.0 * bits - 1.0
        self._sum_p += p.T @ signs
        self._sum_q += q.T @ signs
        self.consumed += len(rows) if pairs is None else pairs

    def _draw(self, routes: int) -> None:
        """Signs of at least the first `routes` routes.

        Stratified draws: the first few routes, as many as have each of their sign patterns at
        least eight times among the vectors, get every pattern equally often, to within one. What a
        handful of routes can show then does not hang on the seed. Where the number of vectors is
        no multiple of the patterns, the level is exact to a fortieth of itself.
        """
        flips = self.plan.flips
        strata = int(np.log2((flips + 1) / 8))
        vectors = np.arange(flips + 1)
        while len(self._signs) < routes:
            start = len(self._signs)
            fresh = np.empty((max(64, start), self._signs.shape[1]), dtype=np.uint8)
            for index, row in enumerate(fresh, start):
                tossed = self._generator.integers(0, 2, flips, dtype=np.int8)
                plus = np.concatenate([[1], tossed])
                row[:] = np.packbits(plus if index >= strata else ~vectors >> index & 1)
            self._signs = np.concatenate([self._signs, fresh])

    def look(self) -> None:
        """Tests every contrast at every theta that is open, on what is consumed so far; spends."""
        alone = (self._row >= 0)[:, None] & (self.alone == 0)
        joint = self._members[:, :, None] & (self.joint == 0)
        used = np.nonzero((alone | joint.any(axis=0)).any(axis=0))[0]
        if not len(used):
            return
        alone = alone[:, used]
        shape = alone.shape
        observed = np.zeros(shape)
        critical = np.full(shape, np.inf)
        direction = np.zeros(shape, dtype=np.int8)
        largest = np.zeros((len(self.levels), len(used), self.plan.flips + 1))
        for part, statistic, signs in self._statistics(used):
            observed[part] = statistic[:, :, 0]
            direction[part] = signs
            for largest_of, members in zip(largest, self._members[:, part], strict=True):
                np.maximum(largest_of, statistic[members].max(axis=0, initial=0.0), out=largest_of)
            g, u = np.nonzero(alone[part])
            if len(g):
                at = self._row[part][g], used[u]
                alive = self._alive[at]
                allowed = self._allowed(self.plan.alpha)
                critical[part][g, u] = _kill(statistic[g, u], alive, allowed)
                self._alive[at] = alive
        _show(self.alone, used, observed > critical * (1 + TIE), direction)
        families = zip(largest, self._members, self._joint_alive, self.levels, strict=True)
        for largest_of, members, all_alive, level in families:
            alive = all_alive[used]
            exceeded = observed > _kill(largest_of, alive, self._allowed(level)) * (1 + TIE)
            all_alive[used] = alive
            _show(self.joint, used, members[:, None] & exceeded, direction)

    def _statistics(self, used: NDArray[np.int64]) -> Iterator[tuple[slice, Floats, Floats]]:
        """T [k, U, B+1] at the thetas `used`, k contrasts at a time, and the signs of S."""
        thetas = self.thetas[:, used]
        scale = self._routes.scale(thetas)
        scale[scale == 0.0] = np.inf
        step = max(1, CACHED // (len(used) * (self.plan.flips + 1)))
        for start in range(0, len(thetas), step):
            part = slice(start, start + step)
            sums = self._sum_p[part, None, :] - thetas[part, :, None] * self._sum_q[part, None, :]
            signs = np.sign(sums[:, :, 0])
            statistic = np.abs(sums, out=sums)
            statistic /= scale[part, :, None]
            yield part, statistic, signs

    def _allowed(self, level: float) -> int:
        """floor(alpha(t) (B + 1)); a product just below an integer is that integer."""
        share = self.consumed / self.plan.planned
        return int(spent(level, share, self.plan.rho) * (self.plan.flips + 1) + TIE)


def _show(shown: Signs, thetas: NDArray[np.int64], rejected: Bools, direction: Signs) -> None:
    """Records rejections that are new at some of the thetas; the first one stays."""
    before = shown[:, thetas]
    shown[:, thetas] = np.where(rejected & (before == 0), direction, before)
