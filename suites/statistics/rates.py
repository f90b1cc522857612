"""Rare incidents and pass/fail: exact intervals, hours still needed, label and McNemar tests."""

from collections.abc import Sequence
from math import exp, fsum, log

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaln
from scipy.stats import binom, chi2

Floats = NDArray[np.float64]


def poisson_interval(
    weights: Sequence[float], largest: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of a rate y = sum w, each event of a Poisson process counting w <= `largest`.

    Fay & Feuer 1997, Statistics in Medicine 16, eq. 2 and 3: chi-square quantiles with 2 y^2 / v
    degrees of freedom, v = sum w^2, and for the upper bound one more event at the largest weight.
    With every w = 1 / exposure it is the exact interval of Garwood (1936).
    """
    tail = (1 - confidence) / 2
    y = fsum(weights)
    v = fsum(w * w for w in weights)
    low = float(chi2.ppf(tail, 2 * y * y / v)) * v / (2 * y) if y else 0.0
    more = y + largest
    spread = v + largest**2
    return low, float(chi2.ppf(1 - tail, 2 * more * more / spread)) * spread / (2 * more)


def zero_event_hours(rate: float, confidence: float = 0.95) -> float:
    """Hours without one event that show a rate below `rate` per hour: -ln(1 - confidence) / rate
    (Kalra & Paddock 2016, "Driving to Safety", RAND RR-1478)."""
    return -log(1 - confidence) / rate


def hours_still_needed(
    candidate: float, baseline: float, done: float, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Hours per model, beyond `done`, that tell two rates (events per hour) apart; inf if equal.

    By the conditional binomial test (Przyborowski & Wilenski 1940): the smallest expected number of
    events n with power at the share p = candidate / (candidate + baseline), over the sum of rates.
    """
    total = candidate + baseline
    if candidate == baseline:
        return float("inf")
    share = max(candidate, baseline) / total

    def enough(n: int) -> bool:
        critical = binom.isf(alpha / 2, n, 0.5)
        return bool(binom.sf(critical, n, share) >= power)

    high = 8
    while not enough(high) and high < 2**30:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return max(0.0, high / total - done)


def log_label_e_value(candidate_only: ArrayLike, baseline_only: ArrayLike) -> Floats:
    """ln of the evidence that places which fail for one model only are no fair coin.

    E = 2^n B(1/2 + k, 1/2 + n - k) / B(1/2, 1/2), the beta-binomial mixture at Jeffreys' prior, may
    be read at any time; P(ever >= 1/alpha) <= alpha (Ville).
    """
    k, others = np.asarray(candidate_only), np.asarray(baseline_only)
    coins = (k + others) * log(2)
    return np.asarray(coins + betaln(0.5 + k, 0.5 + others) - betaln(0.5, 0.5))


def label_e_value(candidate_only: int, baseline_only: int) -> float:
    """The evidence itself; at most e^700, so that it stays finite."""
    return exp(min(float(log_label_e_value(candidate_only, baseline_only)), 700.0))


def log_worse_e_value(candidate_only: ArrayLike, baseline_only: ArrayLike) -> Floats:
    """ln of the evidence that places fail more often for the candidate only.

    E_1 = 2 E (1 - I_1/2(1/2 + k, 1/2 + l)): the same mixture over shares above 1/2 alone.
    """
    k, others = np.asarray(candidate_only), np.asarray(baseline_only)
    with np.errstate(divide="ignore"):
        above = np.log(2 * betainc(0.5 + others, 0.5 + k, 0.5))
    return np.asarray(log_label_e_value(k, others) + above)


def mcnemar_exact(first_only: int, second_only: int) -> float:
    """Two-sided exact p-value: the discordant pairs against a fair coin (fixed N, read once)."""
    n = first_only + second_only
    k = min(first_only, second_only)
    return min(1.0, 2 * float(binom.cdf(k, n, 0.5)))
