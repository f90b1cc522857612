"""From a paired table to evidence: rows (p, q) with D(theta) = p - theta q, by gate and estimand.

- mean: p = c - b, q = b, so that theta is the relative change of the mean, sum(c) / sum(b) - 1;
- typical: p = 2 (c - b) / (c + b) in [-2, 2] (0 where both are 0), q = 1: the bounded relative
  difference;
- rate: p = c - b, q = 1: the difference of two rates.

Where higher is better p changes its sign: positive always means worse. Missing is never zero, and
leaving early never helps: censored rollouts enter at their best and at their worst for the
candidate, and so does a value that one model lacks. A value that both lack, or invalid data, drops
the pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suites.definition.suite_schema import Gate
from suites.metrics.registry import METRICS
from suites.pair_table import BASELINE, CANDIDATE, HIGH, LOW, PairTable
from suites.vocabulary import NOT_SCORED, Estimand

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BEST = 0
WORST = -1
"""The first and the last of the cases; one case where they agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateEvidence:
    """Rows of one block of pairs for G gates.

    Axes of p, q and rates: case (BEST, WORST), pair, gate.
    """

    p: Floats
    q: Floats
    rates: Floats
    """The candidate's value where a rate is judged, 1 at its worst; else 0."""
    valid: Bools
    """[k, G]: the pair counts."""
    lopsided: Bools
    """[k, G]: one model lacks the value, so that it was counted at its extremes."""
    negative: Bools
    """[G]: some cost is below zero, where a relative change has no meaning."""


def sign_of(metric: str, direction: str | None = None) -> float:
    """+1 where lower is better, -1 where higher is: as stated, else as registered, else +1."""
    known = METRICS.get(metric)
    stated = direction or (known.direction if known is not None else "lower")
    return -1.0 if stated == "higher" else 1.0


def evidence(
    table: PairTable, gates: Sequence[Gate], estimands: Sequence[Estimand]
) -> GateEvidence:
    """Evidence of `table` for each gate by the estimand named beside it."""
    columns = [table.metrics.index(gate.metric) for gate in gates]
    sign = np.array([sign_of(gate.metric, gate.direction) for gate in gates])
    mean = np.array([estimand is Estimand.MEAN for estimand in estimands], dtype=np.bool_)
    caps = np.array([np.inf if gate.winsor_cap is None else gate.winsor_cap for gate in gates])
    caps = np.where(mean, caps, np.inf)  # the typical drive is bounded without one
    rate = np.array([estimand is Estimand.RATE for estimand in estimands], dtype=np.bool_)
    caps = np.where(rate, 1.0, caps)
    results = table.results[..., columns]
    results = np.where(np.isfinite(results), results, np.nan)
    dropped = np.array([bool(NOT_SCORED & {c, b}) for c, b in table.outcomes], dtype=np.bool_)
    lacks: Bools = np.asarray(np.isnan(results[LOW:]).any(axis=0))
    valid = ~dropped[:, None] & ~(lacks[CANDIDATE] & lacks[BASELINE])
    lopsided = valid & (lacks[CANDIDATE] | lacks[BASELINE])
    below_zero: Bools = np.asarray((results[LOW:] < 0).any(axis=(0, 1)))
    p, q, rates = np.zeros((3, 2, *valid.shape))
    for case, of_candidate, of_baseline in ((BEST, LOW, HIGH), (WORST, HIGH, LOW)):
        c, b = results[of_candidate, CANDIDATE], results[of_baseline, BASELINE]
        # What the candidate lacks is 0 at its best and the cap at its worst; what the baseline
        # lacks, and a metric of which more is better: the reverse.
        favourable = (case == BEST) == (sign > 0)
        c = np.minimum(np.where(lacks[CANDIDATE], np.where(favourable, 0.0, caps), c), caps)
        b = np.minimum(np.where(lacks[BASELINE], np.where(favourable, caps, 0.0), b), caps)
        counts = valid & np.isfinite(c) & np.isfinite(b)
        c = np.where(counts, c, 0.0)
        b = np.where(counts, b, 0.0)
        relative = 2 * sign * np.divide(c - b, c + b, out=np.zeros_like(c), where=c + b > 0)
        relative = np.where(lopsided, -2.0 if case == BEST else 2.0, relative)
        p[case] = np.where(mean | rate, sign * (c - b), np.where(valid, relative, 0.0))
        rates[case] = np.where(rate & valid, np.where(sign > 0, c, 1 - c), 0.0)
        q[case] = np.where(mean, b, valid)
    negative = (valid & below_zero).any(axis=0)
    return GateEvidence(p=p, q=q, rates=rates, valid=valid, lopsided=lopsided, negative=negative)
