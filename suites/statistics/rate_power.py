"""What a gate that judges a rate can tell at the size of its bank.

Computed by the judge's own evidence (suites.statistics.rate_bets) on runs made up for it, whose
events lie evenly in the order: of a typical run. What is found in a share of the runs allows for
events that come by chance (Poisson).
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import chi2

from suites.statistics.rate_bets import FARTHEST, RateBets


def excluded_difference(routes: int, differing: int, alpha: float) -> float:
    """Smallest difference of the rates below which equal models are shown to stay.

    As many of the routes have an event of one model only as of the other, `differing` of each.
    """
    low, high = 0.0, FARTHEST
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _shown(routes, differing, middle, alpha) else (middle, high)
    return high


def _shown(routes: int, differing: int, margin: float, alpha: float) -> bool:
    bets = RateBets(
        np.array([[margin]]),
        planned=routes,
        baseline_events=np.array([np.nan]),
        repeated=False,
        alpha=alpha,
        joint_alpha=alpha,
    )
    candidate, baseline = np.zeros((2, routes, 1))
    candidate[:differing] = baseline[routes - differing :] = 1.0
    names = [str(i) for i in range(routes)]
    bets.consume(names, candidate, baseline, np.ones_like(candidate, dtype=np.bool_))
    bets.look(complete=True)
    return bool(bets.alone[0, 0] < 0)


def failing_events(
    pairs: int, routes: int, baseline: int, joint_alpha: float, known: bool
) -> int | None:
    """Fewest events of the candidate that are told to be more than the baseline's on the bank.

    None lies on a pair with one of the baseline's; each, where there is room, has a route of its
    own. `known`: what the baseline does is stored, and counts as known (suites.run_plan).
    """

    def told(events: int) -> bool:
        bets = RateBets(
            np.zeros((1, 1)),
            planned=pairs,
            baseline_events=np.array([float(baseline) if known else np.nan]),
            repeated=routes < pairs,
            alpha=joint_alpha,
            joint_alpha=joint_alpha,
        )
        values = np.zeros((2, pairs, 1))
        order = np.argsort(np.arange(pairs) * 0.6180339887 % 1.0, kind="stable")
        values[0, order[:events]] = values[1, order[pairs - baseline :]] = 1.0
        names = [str(i % routes) for i in range(pairs)]
        bets.consume(names, values[0], values[1], np.ones((pairs, 1), dtype=np.bool_))
        bets.look(complete=True)
        return bool(bets.joint[0, 0] > 0)

    return _fewest(told, baseline, pairs - baseline)


def _fewest(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """The smallest number above `low` that is enough; None: not even `high` is."""
    if high <= low or not enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def expected_events(needed: int, power: float) -> float:
    """Events to expect of a candidate that has at least `needed` with the chance `power`."""
    return float(chi2.ppf(power, 2 * needed)) / 2
