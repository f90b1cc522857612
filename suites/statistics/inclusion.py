"""Estimates from the first pairs of a cost-weighted order, weighted back to the whole bank.

The order is successive sampling: ascending exponential keys of rates w. Of n drawn pairs, pair i
is among them with probability about pi_i = 1 - exp(-w_i tau), where the sum of pi over the bank is
n (Rosen 1997, J. Statist. Plann. Inference 62; the bottom-k estimate of Cohen & Kaplan 2007 has
the next key for tau, which is as right and less steady). Weights of 1 are a uniform order. When
the bank is complete every pi is 1, and estimates are exact.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS = 50
"""Of Newton's method, which stops after some five."""


def inclusion(weights: Floats, drawn: int) -> Floats:
    """Probability [n] of each pair of the bank to be among the first `drawn`."""
    if drawn >= len(weights):
        return np.ones(len(weights))
    tau = drawn / weights.sum()
    for _ in range(STEPS):  # from below, on a concave function: it never overshoots
        left = np.exp(-weights * tau)
        step = (drawn - (1 - left).sum()) / (weights * left).sum()
        tau += step
        if step <= 1e-9 * tau:
            break
    return np.asarray(-np.expm1(-weights * tau))


def weighted_ratio(p: Floats, q: Floats, chance: Floats) -> tuple[Floats, Floats]:
    """Estimate of sum p / sum q over the bank, and its standard error.

    p, q [k, K] of the drawn pairs, `chance` [k] their inclusion probabilities; [K] each. The error
    is that of the draw alone (Rosen 1997, eq. 4.10); NaN for fewer than two pairs, or sum q = 0.
    """
    count = len(p)
    total = (q / chance[:, None]).sum(axis=0)
    total = np.where(total > 0, total, np.nan)
    estimate = (p / chance[:, None]).sum(axis=0) / total
    if count < 2:
        return estimate, np.full(len(estimate), np.nan)
    residual = (p - np.nan_to_num(estimate) * q) / chance[:, None]
    square = ((1 - chance)[:, None] * residual**2).sum(axis=0)
    return estimate, np.sqrt(count / (count - 1) * square) / total


def bank_error(p: Floats, q: Floats, chance: Floats, routes: NDArray[np.int64]) -> Floats:
    """Standard error [K] of the whole bank's own ratio, as one of drives like these.

    Over routes, whose numbers are `routes` [k], estimated from the drawn pairs (Horvitz & Thompson
    1952). It does not vanish at the end, and has nothing of the draw's own error.
    """
    estimate, _ = weighted_ratio(p, q, chance)
    each = chance[:, None]
    weighted = (p - np.nan_to_num(estimate) * q) / each
    sums = np.zeros((int(routes.max(initial=-1)) + 1, p.shape[1]))
    np.add.at(sums, routes, weighted)
    square = (sums**2).sum(axis=0) - ((1 - each) * weighted**2).sum(axis=0)
    total = (q / each).sum(axis=0)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)) / np.where(total > 0, total, np.nan))
