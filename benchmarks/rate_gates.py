"""Rates: events of a set of 5,000 segments, 20 of the baseline, judged by a gate of 0.5 %."""

import numpy as np

from benchmarks.driven_runs import Make, Row, SimulatedRun, Simulation, stopped
from benchmarks.simulated_pairs import Floats, suite_of, table_of
from suites.vocabulary import Estimand, RunVerdict

SET = 5000
MARGIN = 0.005


def happened(both: int, candidate: int, baseline: int) -> Make:
    """Events on random segments: of both models, of the candidate only, of the baseline only."""

    def make(rng: np.random.Generator, seed: int) -> SimulatedRun:
        places = rng.permutation(SET)
        c, b = np.zeros((2, SET, 1))
        c[places[: both + candidate]] = 1
        b[places[:both]] = b[places[both + candidate : both + candidate + baseline]] = 1
        return _judged(c, b, seed)

    return make


def swapped_events(rng: np.random.Generator, seed: int) -> SimulatedRun:
    """Ten events of both, twenty of one of them, by a coin each."""
    c, b = np.zeros((2, SET, 1))
    places = rng.permutation(SET)
    c[places[:10]] = b[places[:10]] = 1
    coin = rng.random((20, 1)) < 0.5
    c[places[10:30]], b[places[10:30]] = coin, ~coin
    return _judged(c, b, seed)


def _judged(c: Floats, b: Floats, seed: int) -> SimulatedRun:
    return SimulatedRun(table_of(c, b), suite_of([MARGIN], seed, estimand=Estimand.RATE))


def verdict(make: Make) -> Simulation:
    def run(rng: np.random.Generator, seed: int) -> Row:
        reached, pairs = stopped(make(rng, seed))
        return {
            "fail": reached is RunVerdict.FAIL,
            "pass": reached is RunVerdict.PASS,
            "segments": pairs,
        }

    return run


RATES: dict[str, tuple[Simulation, float]] = {
    "events 20 -> 45 of 5,000": (verdict(happened(15, 30, 5)), 0.5),
    "events 20 -> 45 of 5,000, all on other segments": (verdict(happened(0, 45, 20)), 0.5),
    "null: events of one model or the other": (verdict(swapped_events), 0.5),
    "events 20 -> 46 of 5,000, worse by more than the margin": (verdict(happened(15, 31, 5)), 0.25),
}
"""Name to (one simulated run, share of --runs)."""
