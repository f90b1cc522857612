"""How many segments a margin needs, and what a number of them can see: mutual inverses."""

from collections.abc import Callable
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from suites.statistics.betting import WEIGHTS, log_capital
from suites.statistics.spikes import quiet_routes, unseen

Floats = NDArray[np.float64]

SEQUENTIAL = 1.16
"""How many more pairs than at fixed N a test needs that may stop early with linear spending, at
equal power. Measured with the judge itself under five kinds of noise (`python -m
benchmarks.planning --runs 1000`, benchmarks/results/planning.md): 1.09 to 1.19, mean 1.15. With
this factor the plans for 80 % found the effect in 80 to 84 % of the runs. The inflation factors of
Jennison & Turnbull 2000, chapter 7, are of the same order."""


def _quantiles(routes: int, alpha: float, power: float) -> float:
    return float(t.isf(alpha / 2, max(routes - 1, 1))) + float(norm.ppf(power))


def segments_needed(
    error: float,
    distance: float,
    segments: int,
    routes: int,
    alpha: float,
    power: float = 0.8,
    unseen: float = 0.0,
) -> float:
    """Segments n at which an effect `distance` away from a bound is told with `power`.

    `segments` over `routes` gave the route-clustered standard error `error`. n solves
    distance = a / sqrt(n) + room / n, a = (t + z) error sqrt(k segments), where `room` is what one
    segment without a spike leaves open (suites.statistics.spikes). inf at distance 0.
    """
    if distance <= 0:
        return inf
    a = _quantiles(routes, alpha, power) * error * float(np.sqrt(SEQUENTIAL * segments))
    return float((a + np.sqrt(a * a + 4 * distance * unseen)) / (2 * distance)) ** 2


def visible_effect(
    error: float, segments: int, routes: int, budget: int, alpha: float, power: float = 0.8
) -> float:
    """Smallest effect that `budget` segments tell from zero; the inverse of segments_needed."""
    return float(_quantiles(routes, alpha, power) * error * np.sqrt(SEQUENTIAL * segments / budget))


def clearing_segments(
    error: float,
    margin: float,
    segments: int,
    routes: int,
    alpha: float,
    power: float = 0.8,
    per_segment: float = 1.0,
    change: float = 0.0,
) -> float:
    """Segments at which a `change` (0: equal models) is told from `margin` in the typical drive.

    By sign flips, with the room that `per_segment` pairs of each segment leave for spikes, and by
    as many quiet routes as the bet on routes needs.
    """
    distance = abs(margin - change)
    needed = segments_needed(
        error, distance, segments, routes, alpha, power, unseen(per_segment, alpha)
    )
    return max(needed, quiet_routes(margin, distance, alpha) * segments / routes)


def smallest_margin(needed: Callable[[float], float | None], budget: float) -> float | None:
    """Smallest margin, to 0.1 %, that needs at most `budget` segments; None: none up to 200 %."""

    def enough(margin: float) -> bool:
        count = needed(margin)
        return count is not None and count <= budget

    low, high = 1e-5, 2.0
    if not enough(high):
        return None
    while high > 1.001 * low:
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


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
