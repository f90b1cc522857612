"""How many segments a margin needs, and what a number of them can see: mutual inverses."""

from collections.abc import Callable
from math import ceil, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from suites.statistics.betting import WEIGHTS, log_capital
from suites.statistics.chances import SEQUENTIAL, Sample, cleared, found

Floats = NDArray[np.float64]

MOST_TIMES = 2.0**40
"""Times as many segments as were seen: more are none."""


def segments_needed(
    error: float, distance: float, segments: int, routes: int, alpha: float, power: float = 0.8
) -> float:
    """Segments at which a mean that lies `distance` away from a bound is told with `power`.

    `segments` over `routes` gave the route-clustered standard error `error`; at fixed N, times
    SEQUENTIAL. inf at distance 0.
    """
    if distance <= 0:
        return inf
    return segments * (_quantiles(routes, alpha, power) * error / distance) ** 2


def quietly(needed: float, distance: float, quiet: float) -> float:
    """The segments n where what has not been met yet also leaves quiet / n open.

    n solves distance = a / sqrt(n) + quiet / n, with a / sqrt(`needed`) = distance.
    """
    a = distance * sqrt(needed)
    return ((a + sqrt(a * a + 4 * distance * quiet)) / (2 * distance)) ** 2


def visible_mean(
    error: float, segments: int, routes: int, budget: int, alpha: float, power: float = 0.8
) -> float:
    """Smallest change of the mean that `budget` segments tell; the inverse of segments_needed."""
    return _quantiles(routes, alpha, power) * error * sqrt(segments / budget)


def _quantiles(routes: int, alpha: float, power: float) -> float:
    at_fixed_n = float(t.isf(alpha / 2, max(routes - 1, 1))) + float(norm.ppf(power))
    return at_fixed_n * sqrt(SEQUENTIAL)


def finding_segments(
    sample: Sample, segments: int, effect: float, alpha: float, power: float = 0.8, gates: int = 1
) -> float:
    """Segments at which a typical drive worse by `effect` is told from none by one of the `gates`.

    So many `segments` were seen as `sample`.
    """
    return _needed(lambda more: found(effect, more, alpha, gates), sample, segments, power)


def deciding_segments(
    sample: Sample,
    segments: int,
    margin: float,
    alpha: float,
    power: float = 0.8,
    change: float = 0.0,
) -> float:
    """Segments at which a gate of the typical drive decides on a `change` (0: equal models).

    It is shown to lie inside the margin, or told from none; at the end one of them is enough. So
    many `segments` were seen as `sample`.
    """

    def chance(more: Sample) -> float:
        return max(cleared(margin, more, alpha, change), found(change, more, alpha))

    return _needed(chance, sample, segments, power)


def _needed(
    chance: Callable[[Sample], float], sample: Sample, segments: int, power: float
) -> float:
    """Smallest multiple of `segments`, to 0.1 %, at which so many times the sample has `power`."""
    low, high = 1 / segments, 1.0
    while chance(sample.times(high)) < power:
        low, high = high, 2 * high
        if high > MOST_TIMES:
            return inf
    while high > 1.001 * low:
        middle = sqrt(low * high)
        low, high = (low, middle) if chance(sample.times(middle)) >= power else (middle, high)
    return high * segments


def betting_segments(p: Floats, q: Floats, margin: float, cap: float, alpha: float) -> int | None:
    """Segments at which equal models are typically shown not worse by `margin` on the mean.

    p, q [n]: pairs seen, of costs cut at `cap`. None where no bet grows.
    """
    return _bets_needed(_equal(p, q) - margin * q, (1 + margin) * cap, alpha)


def betting_finds(p: Floats, q: Floats, effect: float, cap: float, alpha: float) -> int | None:
    """Segments at which a mean that is worse by `effect` is typically told to be worse."""
    return _bets_needed(-_equal(p, q) - effect * q, cap, alpha)


def _equal(p: Floats, q: Floats) -> Floats:
    """p centred so that the means agree."""
    return np.asarray(p - q * p.sum() / q.sum())


def _bets_needed(d: Floats, bound: float, alpha: float) -> int | None:
    """Units at which bets against E[d] >= 0 typically tell.

    ln(capital) grows by its mean at the best bet, up to ln(2 * 2 / (weight * alpha)): two sides,
    half the stake, the bet's weight.
    """
    growth = log_capital(d, np.asarray(bound)) / len(d)
    if growth.max() <= 0:
        return None
    grows = growth > 0
    return ceil(float((np.log(4 / (WEIGHTS[grows] * alpha)) / growth[grows]).min()))
