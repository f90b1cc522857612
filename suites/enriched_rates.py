"""Enriched replay: hard scenarios are drawn more often than they occur, and weighted back.

A scenario is drawn from m p + (1 - m) q: p is the stated natural distribution, q favours hard
scenarios, m >= 0.1 is the natural share. With the weight w = 1 / (m + (1 - m) q / p), at most 1 /
m, mean(w f) estimates E_p[f] without bias (defensive mixture, Hesterberg 1995, Technometrics
37(2); Owen & Zhou 2000, JASA 95). Drawn without replacement, each scenario by itself with a known
probability, sum(w f) / n does (Horvitz & Thompson 1952).
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]

Start = TypeVar("Start", bound=Hashable)

LEAST_NATURAL = 0.1
"""Smallest share that is drawn from the natural distribution: no weight exceeds ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """Estimate of a natural mean from enriched replays."""

    estimate: float
    standard_error: float
    low: float
    high: float
    effective: float
    """`effective_sample` of the weights."""


def mixture(natural: Floats, hard: Floats, natural_share: float) -> Floats:
    """Probabilities [n] of n scenarios to be drawn. ValueError where no weight leads back."""
    if not LEAST_NATURAL <= natural_share <= 1:
        raise ValueError(f"the natural share must lie in [{LEAST_NATURAL}, 1], not {natural_share}")
    if (hard[natural == 0] > 0).any():
        raise ValueError(
            "a scenario that never occurs naturally cannot be weighted back: "
            "its natural probability is 0"
        )
    return np.asarray(
        natural_share * natural / natural.sum() + (1 - natural_share) * hard / hard.sum()
    )


def weights(natural: Floats, drawn: Floats) -> Floats:
    """w = p / (m p + (1 - m) q): natural probability over that of being drawn."""
    return np.asarray(natural / drawn)


def poisson_sample(
    natural: Floats, hard: Floats, natural_share: float, expected: float
) -> tuple[Floats, Floats]:
    """Probability [n] of each scenario to be driven, independently, and its weight [n] if it is.

    pi = min(1, E (m p + (1 - m) q)) at `expected` drives E (fewer where the minimum binds), p and q
    normalised over the n. The weight w = E p / pi counts natural drives (Horvitz & Thompson 1952,
    JASA 47): sum(w f) / E over the drives estimates E_p[f] without bias, a ratio of two such sums
    with one of order 1 / E. w is at most 1 / m where pi < 1, and E p of a certain scenario.
    ValueError as `mixture`.
    """
    probability = np.minimum(1.0, expected * mixture(natural, hard, natural_share))
    often = expected * natural / natural.sum()
    return probability, np.divide(
        often, probability, out=np.zeros_like(often), where=probability > 0
    )


def effective_sample(weight: Floats) -> float:
    """(sum w)^2 / sum w^2 (Kish 1965): how many natural drives the weights are worth."""
    return float(weight.sum() ** 2 / (weight**2).sum())


def natural_weights(
    driven: Sequence[Start | None],
    stated: Mapping[Start, float],
    stands_for: Sequence[float] | None = None,
) -> list[float]:
    """w = p / q of drives by their start: natural probability over the share that began so.

    Of drives that `stands_for` so many each (a cost-weighted draw), over their share. Zero for a
    start that is not stated, or None. All zero while a start that does occur was not driven at all.
    """
    each = stands_for or [1.0] * len(driven)
    counts: dict[Start, float] = defaultdict(float)
    for start, count in zip(driven, each, strict=True):
        if start is not None:
            counts[start] += count
    if any(p > 0 and not counts[start] for start, p in stated.items()):
        return [0.0] * len(driven)
    weight = {start: p * len(driven) / counts[start] for start, p in stated.items() if p > 0}
    return [
        0.0 if start is None else weight.get(start, 0.0) * count
        for start, count in zip(driven, each, strict=True)
    ]


def weighted_mean(values: Floats, weight: Floats, confidence: float = 0.95) -> Weighted:
    """Unbiased estimate mean(w f) with its normal interval over the draws [n]."""
    products = values * weight
    estimate = float(products.mean())
    error = float(products.std(ddof=1) / np.sqrt(len(values)))
    half = float(norm.isf((1 - confidence) / 2)) * error
    return Weighted(
        estimate=estimate,
        standard_error=error,
        low=estimate - half,
        high=estimate + half,
        effective=effective_sample(weight),
    )
