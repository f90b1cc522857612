"""Whether a verdict hangs on the order's seed: the same pairs judged in five orders."""

from itertools import permutations

import numpy as np

from benchmarks.driven_runs import Row, SimulatedRun, Simulation, stopped
from benchmarks.simulated_pairs import REAL, Floats, N, costs, decided, planted, suite_of, table_of
from cli.cost_csv import paired, read_costs
from suites.pair_table import VALUE
from suites.vocabulary import Estimand, MetricVerdict

SEEDS = 5
METRICS = ("lataccel_cost", "jerk_cost", "total_cost")
EFFECTS = (-0.02, 0.0, 0.0, 0.005, 0.01, 0.02, 0.03, 0.05)
"""True changes of the simulated pairs, taken in turn."""


def verdicts(rng: np.random.Generator, c: Floats, b: Floats, seed: int) -> set[str]:
    """What a run says of pairs [n, 1] in five orders."""
    said = set()
    for one in range(SEEDS):
        order = rng.permutation(len(c))
        suite = suite_of([0.02], SEEDS * seed + one)
        said.add(str(stopped(SimulatedRun(table_of(c[order], b[order]), suite))[0]))
    return said


def real_pairs(rng: np.random.Generator, seed: int) -> Row:
    """The six directed pairs of three controllers, each by three metrics, in turn."""
    costs_of = read_costs(REAL, METRICS)
    cases = [(pair, m) for pair in permutations(("ff_a", "ff_b", "pid"), 2) for m in range(3)]
    (candidate, baseline), metric = cases[seed % len(cases)]
    c, b = paired(costs_of, candidate, baseline, 0).results[VALUE][..., [metric]]
    return {"one verdict": len(verdicts(rng, c, b, seed)) == 1}


def simulated_pairs(rng: np.random.Generator, seed: int) -> Row:
    c, b = costs(rng, N)
    effect = EFFECTS[seed % len(EFFECTS)]
    c = planted(rng, c, effect, "evenly", Estimand.TYPICAL)
    return {"one verdict": len(verdicts(rng, c, b, seed)) == 1}


def hardly_better(rng: np.random.Generator, seed: int) -> Row:
    """A typical drive whose change is exactly 0.7 standard errors below zero, in five orders."""
    c, b = costs(rng, N)
    r = 2 * (c - b) / (c + b)
    r += -r.mean() - 0.7 * r.std(ddof=1) / N**0.5
    r = np.clip(r, -1.99, 1.99)
    better = 0
    for one in range(SEEDS):
        order = rng.permutation(N)
        table = table_of((b * (2 + r) / (2 - r))[order], b[order])
        judge = decided(table, suite_of([0.02], SEEDS * seed + one))
        better += judge.words[0] is MetricVerdict.BETTER
    return {"better in any order": better > 0, "orders that say better": better}


STEADY: dict[str, tuple[Simulation, float]] = {
    "one verdict in five orders, real": (real_pairs, 0.09),
    "one verdict in five orders, simulated": (simulated_pairs, 0.25),
    "a change of t = -0.7 in five orders": (hardly_better, 0.25),
}
"""Name to (one simulated run, share of --runs)."""
