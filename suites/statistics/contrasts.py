"""From a paired table to evidence: per gate and estimand the rows (p, q) with D(theta) = p - theta * q.

- mean: p = c - b, q = b, so that theta is the relative change of the mean, sum(c) / sum(b) - 1;
- typical: p = 2 (c - b) / (c + b) in [-2, 2] (0 where both are 0), q = 1: the bounded relative difference.

Where higher is better, p changes its sign: positive always means worse. Censored rollouts enter at their best and at
their worst for the candidate, and so does a value that only one of the two models lacks (a value that both lack, or
invalid data, drops the pair): missing is never zero, and leaving early never helps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from suites.definition.suite_schema import Gate
from suites.judgement import PairTable
from suites.metrics.registry import METRICS
from suites.vocabulary import NOT_SCORED, Estimand

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BEST, WORST = 0, -1
"""The first and the last of the cases; one case where they agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateEvidence:
    """Rows of one block of pairs for G gates; axes of p and q: case (BEST, WORST), pair, gate."""

    p: Floats
    q: Floats
    valid: Bools
    """[k, G]: the pair counts."""
    lopsided: Bools
    """[k, G]: one model lacks the value, so that it was counted at its extremes."""
    negative: Bools
    """[G]: some cost is below zero, where a relative change has no meaning."""


def sign_of(metric: str) -> float:
    """+1 where lower is better (and for metrics that are not registered), -1 where higher is."""
    known = METRICS.get(metric)
    return -1.0 if known is not None and known.direction == "higher" else 1.0


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def rows_of(table: PairTable, start: int, stop: int) -> PairTable:
    """Rows [start, stop) of a table."""
    cut = slice(start, stop)
    return PairTable(
        case_ids=table.case_ids[cut],
        routes=table.routes[cut],
        metrics=table.metrics,
        candidate=table.candidate[cut],
        baseline=table.baseline[cut],
        candidate_low=table.candidate_low[cut],
        candidate_high=table.candidate_high[cut],
        baseline_low=table.baseline_low[cut],
        baseline_high=table.baseline_high[cut],
        candidate_outcome=table.candidate_outcome[cut],
        baseline_outcome=table.baseline_outcome[cut],
    )


def joined(tables: Sequence[PairTable]) -> PairTable:
    """The rows of several tables over the same metrics, one after the other."""
    first = tables[0]
    if len(tables) == 1:
        return first
    return PairTable(
        metrics=first.metrics,
        case_ids=tuple(chain(*(t.case_ids for t in tables))),
        routes=tuple(chain(*(t.routes for t in tables))),
        candidate=np.concatenate([t.candidate for t in tables]),
        baseline=np.concatenate([t.baseline for t in tables]),
        candidate_low=np.concatenate([t.candidate_low for t in tables]),
        candidate_high=np.concatenate([t.candidate_high for t in tables]),
        baseline_low=np.concatenate([t.baseline_low for t in tables]),
        baseline_high=np.concatenate([t.baseline_high for t in tables]),
        candidate_outcome=tuple(chain(*(t.candidate_outcome for t in tables))),
        baseline_outcome=tuple(chain(*(t.baseline_outcome for t in tables))),
    )


def evidence(
    table: PairTable, gates: Sequence[Gate], estimands: Sequence[Estimand]
) -> GateEvidence:
    """Evidence of `table` for each gate by the estimand named beside it."""
    columns = [table.metrics.index(gate.metric) for gate in gates]
    sign = np.array([sign_of(gate.metric) for gate in gates])
    mean = np.array([estimand is Estimand.MEAN for estimand in estimands], dtype=np.bool_)
    caps = np.array([np.inf if gate.winsor_cap is None else gate.winsor_cap for gate in gates])
    caps = np.where(mean, caps, np.inf)
    outcomes = zip(table.candidate_outcome, table.baseline_outcome, strict=True)
    counted = ~np.array([bool(NOT_SCORED & {c, b}) for c, b in outcomes], dtype=np.bool_)[:, None]
    sides = (
        (_finite(table.candidate_low[:, columns]), _finite(table.baseline_high[:, columns])),
        (_finite(table.candidate_high[:, columns]), _finite(table.baseline_low[:, columns])),
    )
    lacks = [np.isnan(sides[0][i]) | np.isnan(sides[1][i]) for i in (0, 1)]
    valid = counted & ~(lacks[0] & lacks[1])
    lopsided = valid & (lacks[0] | lacks[1])
    negative = np.zeros(len(gates), dtype=np.bool_)
    p, q = np.zeros((2, *valid.shape)), np.zeros((2, *valid.shape))
    for case, (c, b) in zip((BEST, WORST), sides, strict=True):
        negative |= (valid & ((c < 0) | (b < 0))).any(axis=0)
        # a cost that the candidate lacks: 0 at its best and the cap at its worst; one that the baseline lacks, the reverse
        favourable = (case == BEST) == (sign > 0)
        c = np.minimum(np.where(lacks[0], np.where(favourable, 0.0, caps), c), caps)
        b = np.minimum(np.where(lacks[1], np.where(favourable, caps, 0.0), b), caps)
        counts = valid & np.isfinite(c) & np.isfinite(b)
        c, b = np.where(counts, c, 0.0), np.where(counts, b, 0.0)
        relative = 2 * sign * np.divide(c - b, c + b, out=np.zeros_like(c), where=c + b > 0)
        relative = np.where(lopsided, -2.0 if case == BEST else 2.0, relative)
        p[case] = np.where(mean, sign * (c - b), np.where(valid, relative, 0.0))
        q[case] = np.where(mean, b, valid)
    return GateEvidence(p=p, q=q, valid=valid, lopsided=lopsided, negative=negative)
