"""One bad worker among good ones: its rollouts lie differently among those of all.

Each rollout of a pair has a residual: how much worse it is than the other model's rollout of the
same scenario, less the median of its population (one pair of models, one metric; candidates and
baselines apart). The residuals of a population are cut into five bins of equal size. For each
worker the counts in the bins are compared with those of all other workers by the chi-square test
of homogeneity (Pearson 1900; a 2 x 5 table, 4 degrees of freedom). Bonferroni over workers and
populations.

Who drives what is decided by who asks first, not by the scenario. Whatever routes have in common, a
worker's counts then vary as a random draw's do: rollouts may be counted singly.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency

BINS = 5
LEAST_EXPECTED = 5.0
"""Smallest expected count of a cell at which the chi-square distribution holds (Cochran 1954)."""


@dataclass(frozen=True, slots=True)
class DrivenPair:
    """A scenario as driven by two models, each by some worker."""

    population: str
    """Models and metric: residuals of different populations are never compared."""
    change: float
    """Relative difference 2 (c - b) / (c + b), positive where the candidate is worse."""
    candidate_worker: str
    baseline_worker: str


@dataclass(frozen=True, slots=True)
class WorkerResidual:
    """How differently one worker's rollouts lie."""

    worker: str
    population: str
    """With the role in which the worker drove."""
    rollouts: int
    chi_square: float
    p: float
    """Adjusted for all workers and populations that were looked at (Bonferroni)."""
    shift: float
    """Median residual of the worker's rollouts: positive where they are worse."""


def worker_residuals(pairs: Sequence[DrivenPair]) -> list[WorkerResidual]:
    """The residual of each worker in each population, worst first.

    A worker with too few rollouts for the test is left out, and so are pairs that one worker drove
    alone: what it does to one rollout it may do to both.
    """
    found: list[WorkerResidual] = []
    populations: dict[str, list[DrivenPair]] = defaultdict(list)
    for pair in pairs:
        if pair.candidate_worker != pair.baseline_worker and np.isfinite(pair.change):
            populations[pair.population].append(pair)
    for name, members in sorted(populations.items()):
        found += _of_population(name, members)
    adjusted = [replace(r, p=min(1.0, r.p * len(found))) for r in found]
    return sorted(adjusted, key=lambda r: (r.p, -r.chi_square, r.worker))


def _of_population(name: str, pairs: Sequence[DrivenPair]) -> list[WorkerResidual]:
    """Candidates and baselines apart: otherwise a pair would be counted twice."""
    changes = np.array([pair.change for pair in pairs])
    changes = changes - np.median(changes)
    candidates = np.array([pair.candidate_worker for pair in pairs])
    baselines = np.array([pair.baseline_worker for pair in pairs])
    return [
        *_of_role(f"{name}, candidate", candidates, changes),
        *_of_role(f"{name}, baseline", baselines, -changes),
    ]


def _of_role(
    name: str, workers: NDArray[np.str_], residuals: NDArray[np.float64]
) -> list[WorkerResidual]:
    edges = np.unique(np.quantile(residuals, np.arange(1, BINS) / BINS))
    used, bins = np.unique(np.searchsorted(edges, residuals, side="right"), return_inverse=True)
    found: list[WorkerResidual] = []
    for worker in np.unique(workers):
        own = workers == worker
        table = np.stack([np.bincount(bins[which], minlength=len(used)) for which in (own, ~own)])
        if len(used) < 2 or not table.sum(axis=1).all():
            continue
        test = chi2_contingency(table, correction=False)
        if test.expected_freq.min() >= LEAST_EXPECTED:
            shift = float(np.median(residuals[own]))
            chi_square, p = float(test.statistic), float(test.pvalue)
            rollouts = int(own.sum())
            found.append(WorkerResidual(str(worker), name, rollouts, chi_square, p, shift))
    return found
