"""False alarms where nothing changed, in shapes that have fooled tests before.

An alarm is any claim that the change lies above or below zero, at any look.
"""

import numpy as np

from benchmarks.driven_runs import Make, Row, SimulatedRun, Simulation
from benchmarks.failing import pairs_of
from benchmarks.simulated_pairs import (
    Floats,
    N,
    costs,
    judged,
    moved,
    real_costs,
    suite_of,
    swapped,
    table_of,
)
from benchmarks.stopped_runs import Differences, spread, tied
from suites.run_plan import RunPlan
from suites.verdict.planted_effects import CLAIMS
from suites.verdict.run_judge import decide
from suites.vocabulary import RunVerdict

GROWING = 500
"""Pairs of a file that is judged while it grows."""
CALLS = range(50, GROWING + 1, 50)


def alike_on_routes(rng: np.random.Generator) -> tuple[Floats, list[str]]:
    """Routes of 1 to 10 segments, breadth first; 70 % of the variance is the route's."""
    sizes = rng.integers(1, 11, N)
    route = np.repeat(np.arange(N), sizes)[:N]
    r = 0.1 * (0.7**0.5 * rng.standard_normal(N)[route] + 0.3**0.5 * rng.standard_normal(N))
    order = np.argsort(np.concatenate([np.arange(size) for size in sizes])[:N], kind="stable")
    return r[order], [f"r{j}" for j in route[order]]


def growing_noise(rng: np.random.Generator, n: int) -> Floats:
    """Five times as noisy at the end of the order as at its beginning."""
    return np.linspace(0.05, 0.25, n) * rng.standard_normal(n)


def alarming(make: Make) -> Simulation:
    """Whether a run ever alarms."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        simulated = make(rng, seed)
        return {"alarm": moved(judged(simulated.table, simulated.suite, moved))}

    return run


def swapped_real(rng: np.random.Generator, seed: int) -> SimulatedRun:
    c, b = swapped(rng, *real_costs("ff_a", "ff_b"))
    order = rng.permutation(len(c))[:N]
    return SimulatedRun(table_of(c[order], b[order]), suite_of([0.02], seed))


def missing_on_the_hardest(rng: np.random.Generator, seed: int) -> SimulatedRun:
    """On the hardest 2 % one of the models, by a coin, has no value."""
    c, b = swapped(rng, *costs(rng, N))
    hard = (c + b >= np.quantile(c + b, 0.98)) & True
    coin = rng.random(c.shape) < 0.5
    c, b = np.where(hard & coin, np.nan, c), np.where(hard & ~coin, np.nan, b)
    return SimulatedRun(table_of(c, b), suite_of([0.02], seed))


def growing_file(rng: np.random.Generator, seed: int) -> Row:
    """The same file judged again after each 50 of its 500 planned pairs."""
    table = table_of(*swapped(rng, *costs(rng, GROWING)))
    suite = suite_of([0.02], seed)
    alarm = peeking = False
    for pairs in CALLS:
        rows = table.rows(slice(0, pairs))
        planned = decide(rows, suite, RunPlan(GROWING), final=pairs == GROWING)
        whole = decide(rows, suite, RunPlan(pairs))
        for verdict, seen in ((planned, "planned"), (whole, "whole")):
            said = verdict.verdict is RunVerdict.FAIL or verdict.gates[0].verdict in CLAIMS
            alarm |= said and seen == "planned"
            peeking |= said and seen == "whole"
    return {"alarm": alarm, "each call as if complete": peeking}


SHAPES: dict[str, Differences] = {
    "routes of 1 to 10, 70 % of the variance theirs": alike_on_routes,
    "noise of t2": spread(lambda rng, n: 0.05 * rng.standard_t(2, n), N),
    "90 % ties": spread(tied, N),
    "noise that grows over the order": spread(growing_noise, N),
}
NULL_SHAPES: dict[str, tuple[Simulation, float]] = {
    **{f"null: {name}": (alarming(pairs_of(r)), 1.0) for name, r in SHAPES.items()},
    "null: real pairs, labels swapped": (alarming(swapped_real), 1.0),
    "null: missing on the hardest 2 %": (alarming(missing_on_the_hardest), 1.0),
    "null: a growing file with its planned pairs": (growing_file, 0.5),
}
"""Name to (one simulated run, share of --runs). 40 metrics are in verdict_scenarios."""
