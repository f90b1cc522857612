"""The chance that the judge tells something, at a number of pairs and a spread known beforehand.

Sign flips tell a distance d from a bound about as often as a t-test with standard error e does that
allows for its looks,

    P = Phi(d / (e sqrt(SEQUENTIAL)) - t),   t the critical value over the routes,

and from no number of routes on that has fewer sign patterns than 2 / alpha. A bet whose units have
drift x and standard deviation y, in stakes, earns in n of them about

    n (ln(1 + lambda x) - v^2 / 2) +- sqrt(n) v,   v = lambda y / (1 + lambda x)

(two terms of the logarithm), and tells as soon as that and the bet's weight reach ln(1 / alpha).
What needs several tests at once is told as often as the rarest of them tells: they rest on the same
pairs. `python -m benchmarks.planning` holds these figures against the judge.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log, log2, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from suites.statistics.betting import BETS, WEIGHTS
from suites.statistics.direction_bets import STAKES
from suites.statistics.spikes import ROUTE_BOUND

Floats = NDArray[np.float64]

SEQUENTIAL = 1.16
"""How many more pairs than at fixed N a test needs that may stop early with linear spending, at
equal power. Measured with the judge itself under five kinds of noise (`python -m
benchmarks.planning`, benchmarks/results/planning.md): 1.10 to 1.22, mean 1.17. The inflation
factors of Jennison & Turnbull 2000, chapter 7, are of the same order."""

FARTHEST = 8.0
"""Standard deviations: beyond lies no chance that is told."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Pairs of the typical drive, and how certain their mean will be."""

    pairs: float
    routes: float
    error: float
    """Route-clustered standard error of the mean relative difference."""

    def times(self, factor: float) -> "Sample":
        """So many times as many pairs on as many more routes."""
        return Sample(self.pairs * factor, self.routes * factor, self.error / sqrt(factor))


def least_routes(alpha: float) -> int:
    """Routes below which no sign-flip test can reject: 2 of 2**n vectors give the largest |S|."""
    return ceil(log2(2 / alpha))


def flips_tell(distance: float, sample: Sample, alpha: float) -> float:
    """Chance that sign flips at two-sided `alpha` tell a change so far from a bound."""
    if distance <= 0:
        return 0.0
    if not sample.error:
        return 1.0
    critical = float(t.isf(alpha / 2, max(sample.routes - 1, 1)))
    return float(norm.cdf(distance / (sample.error * sqrt(SEQUENTIAL)) - critical))


def bets_tell(
    units: float, drift: float, deviation: float, target: float, weights: Floats = WEIGHTS
) -> float:
    """Chance that a mixture of the bets BETS on `units` reaches ln(capital) = `target`.

    `drift` and `deviation` of one unit in stakes. All bets are on the same sum: so many standard
    deviations z from its mean they reach the target together.
    """
    if drift <= 0:
        return 0.0
    gain = 1 + BETS * drift
    noise = BETS * deviation / gain
    middle = units * (np.log(gain) - noise**2 / 2) + np.log(weights)
    low, high = -FARTHEST, FARTHEST
    while high - low > 1e-4:
        z = (low + high) / 2
        reached = np.logaddexp.reduce(middle + z * sqrt(units) * noise) >= target
        low, high = (low, z) if reached else (z, high)
    return float(norm.sf(high))


def cleared(margin: float, sample: Sample, alpha: float, change: float = 0.0) -> float:
    """Chance that a `change` of the typical drive (0: equal models) is shown below `margin`.

    By sign flips, by the bet on pairs and by the bet on routes, when all are driven. Half of the
    latter's stake is on the first pair of each route, and counts where it earns as the other half.
    """
    if sample.routes < least_routes(alpha):
        return 0.0
    both_alike = sample.pairs == sample.routes or not sample.error
    distance = margin - change
    room = max(2 - margin, 0.05)
    deviation = sample.error * sqrt(sample.pairs) / room
    on_pairs = bets_tell(sample.pairs, distance / room, deviation, log(1 / alpha), STAKES)
    room = max(ROUTE_BOUND - margin, 0.05)
    deviation = _cut(sample.error * sqrt(sample.routes), ROUTE_BOUND) / room
    target = log(2 / alpha) + (0.0 if both_alike else log(2))
    on_routes = bets_tell(sample.routes, distance / room, deviation, target)
    return min(flips_tell(distance, sample, alpha), on_pairs, on_routes)


def _cut(deviation: float, bound: float) -> float:
    """Standard deviation of a normal variable of mean zero that is cut at ±bound."""
    if not deviation:
        return 0.0
    a = bound / deviation
    outside = float(norm.sf(a))
    density = float(norm.pdf(a))
    return deviation * sqrt(1 - 2 * outside - 2 * a * density + 2 * a * a * outside)


def found(effect: float, sample: Sample, alpha: float, gates: int = 1) -> float:
    """Chance that a typical drive worse by `effect` is told to be worse, by one of several gates.

    By sign flips, where Bonferroni's share of alpha stands for the maximum over gates, and by the
    bet on the direction.
    """
    if sample.routes < least_routes(alpha):
        return 0.0
    deviation = sample.error * sqrt(sample.pairs)
    bet = bets_tell(sample.pairs, effect, deviation, log(gates / alpha), STAKES)
    return min(flips_tell(effect, sample, alpha / gates), bet)


def fails(effect: float, margin: float, sample: Sample, alpha: float, gates: int = 1) -> float:
    """Chance that such a worsening fails its gate: found, and not shown to lie inside the margin.

    Both hang on how bad the pairs that came look, so that the rarer one holds.
    """
    inside = cleared(margin, sample, alpha, change=effect)
    return min(found(effect, sample, alpha, gates), 1 - inside)


def smallest(chance: Callable[[float], float], power: float, most: float = 2.0) -> float | None:
    """Smallest size, to 0.1 %, whose chance is `power`; None: none up to `most`."""
    low, high = 1e-5, most
    if chance(high) < power:
        return None
    while high > 1.001 * low:
        middle = sqrt(low * high)
        low, high = (low, middle) if chance(middle) >= power else (middle, high)
    return high
