"""From a paired table to evidence: per gate and estimand the rows (p, q) with D(theta) = p - theta * q.

- mean: p = c - b, q = b, so that theta is the relative change of the mean, sum(c) / sum(b) - 1;
- typical: p = 2 (c - b) / (c + b) in [-2, 2] (0 where both are 0), q = 1: the bounded relative difference.

Where higher is better, p changes its sign: positive always means worse. Censored rollouts enter at their best and at
their worst for the candidate, and so does a value that only one of the two models lacks (a value that both lack, or
invalid data, drops the pair): missing is never zero, and leaving early never helps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suites.judgement import PairTable
from suites.metrics.registry import METRICS
from suites.schema import Gate
from suites.words import Estimand, Outcome

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DROPPED = frozenset({Outcome.DATA_INVALID, Outcome.INFRA_FAILED})
BEST, WORST = 0, -1
"""The first and the last of the cases; one case where they agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
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
        case_ids=table.case_ids[cut], routes=table.routes[cut], metrics=table.metrics,
        candidate=table.candidate[cut], baseline=table.baseline[cut],
        candidate_low=table.candidate_low[cut], candidate_high=table.candidate_high[cut],
        baseline_low=table.baseline_low[cut], baseline_high=table.baseline_high[cut],
        candidate_outcome=table.candidate_outcome[cut], baseline_outcome=table.baseline_outcome[cut],
    )  # fmt: skip


def evidence(table: PairTable, gates: Sequence[Gate], estimands: Sequence[Estimand]) -> Evidence:
    """Evidence of `table` for each gate by the estimand named beside it."""
    n, count = len(table.case_ids), len(gates)
    columns = [table.metrics.index(gate.metric) for gate in gates]
    outcomes = zip(table.candidate_outcome, table.baseline_outcome, strict=True)
    dropped = np.array([bool(DROPPED & {c, b}) for c, b in outcomes], dtype=np.bool_)
    p, q = np.zeros((2, n, count)), np.zeros((2, n, count))
    valid, lopsided = np.zeros((n, count), dtype=np.bool_), np.zeros((n, count), dtype=np.bool_)
    negative = np.zeros(count, dtype=np.bool_)
    for g, (gate, estimand, column) in enumerate(zip(gates, estimands, columns, strict=True)):
        sign, cap = sign_of(gate.metric), gate.winsor_cap if estimand is Estimand.MEAN else None
        sides = (
            (_finite(table.candidate_low[:, column]), _finite(table.baseline_high[:, column])),
            (_finite(table.candidate_high[:, column]), _finite(table.baseline_low[:, column])),
        )
        lacks = [np.isnan(sides[0][i]) | np.isnan(sides[1][i]) for i in (0, 1)]
        valid[:, g] = ~dropped & ~(lacks[0] & lacks[1])
        lopsided[:, g] = valid[:, g] & (lacks[0] | lacks[1])
        for case, (c, b) in zip((BEST, WORST), sides, strict=True):
            negative[g] |= bool(((c < 0) | (b < 0))[valid[:, g]].any())
            # the candidate's cost when it lacks the value: 0 at its best, the cap at its worst; the baseline's the reverse
            low, high = 0.0, np.nan if cap is None else cap
            favourable = (case == BEST) == (sign > 0)
            c = np.where(lacks[0], low if favourable else high, c)
            b = np.where(lacks[1], high if favourable else low, b)
            if cap is not None:
                c, b = np.minimum(c, cap), np.minimum(b, cap)
            if estimand is Estimand.MEAN:
                p[case, :, g], q[case, :, g] = sign * (c - b), b
            else:
                total = c + b
                relative = sign * 2 * np.divide(c - b, total, out=np.zeros(n), where=total > 0)
                p[case, :, g] = np.where(lopsided[:, g], -2.0 if case == BEST else 2.0, relative)
                q[case, :, g] = 1.0
    counts = valid[None] & np.isfinite(p) & np.isfinite(q)
    return Evidence(p=np.where(counts, p, 0.0), q=np.where(counts, q, 0.0), valid=valid, lopsided=lopsided, negative=negative)
