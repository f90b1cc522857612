"""How many segments a margin needs, and what a given number of them can see."""

from math import ceil, inf

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from suites.statistics.betting import BETS, log_capital

Floats = NDArray[np.float64]

SEQUENTIAL = 1.15
"""Assumed allowance: a test that may stop early with linear spending needs about so many times the pairs of one at fixed N
for equal power (the order of the inflation factors in Jennison & Turnbull 2000, chapter 7). Not measured here."""


def _quantiles(routes: int, alpha: float, power: float) -> float:
    return float(t.isf(alpha / 2, max(routes - 1, 1))) + float(norm.ppf(power))


def segments_needed(
    error: float, distance: float, segments: int, routes: int, alpha: float, power: float = 0.8, unseen: float = 0.0
) -> float:  # fmt: skip
    """Segments n at which an effect `distance` away from a bound is told with `power`, where `segments` over `routes` gave
    the route-clustered standard error `error`: distance = a / sqrt(n) + unseen / n, a = (t + z) error sqrt(k segments).
    `unseen` is the room that one segment without a spike leaves (suites.statistics.spikes). inf at distance 0."""
    if distance <= 0:
        return inf
    a = _quantiles(routes, alpha, power) * error * float(np.sqrt(SEQUENTIAL * segments))
    return float((a + np.sqrt(a * a + 4 * distance * unseen)) / (2 * distance)) ** 2


def visible_effect(error: float, segments: int, routes: int, budget: int, alpha: float, power: float = 0.8) -> float:
    """Smallest relative effect that `budget` segments tell from zero with `power`; the inverse of segments_needed."""
    return float(_quantiles(routes, alpha, power) * error * np.sqrt(SEQUENTIAL * segments / budget))


def betting_segments(p: Floats, q: Floats, margin: float, cap: float, alpha: float) -> int | None:
    """Segments at which equal models would typically be shown not worse by `margin` on the mean of costs cut at `cap`.

    p, q [n]: pairs seen, p centred so that the means agree; ln(capital) grows by its mean at the best bet, up to the
    threshold ln(2 * 2 * bets / alpha) (two sides, half the stake, one of the mixed bets). None where no bet grows.
    """
    centred = p - q * p.sum() / q.sum()
    growth = float((log_capital(centred - margin * q, np.asarray((1 + margin) * cap)) / len(p)).max())
    if growth <= 0:
        return None
    return ceil(float(np.log(4 * len(BETS) / alpha)) / growth)
