"""Runs that stop at their gate's first word though nothing changed: where their interval lies."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.simulated_pairs import Floats, suite_of, table_of
from suites.verdict.null_bank import known_plan
from suites.verdict.run_judge import RunJudge
from suites.vocabulary import MetricVerdict

Differences = Callable[[np.random.Generator], tuple[Floats, list[str]]]
"""Relative differences 2 (c - b) / (c + b) [n] with mean zero, in a run's order; their routes."""


def spread(draw: Callable[[np.random.Generator, int], Floats], n: int = 600) -> Differences:
    """Independent segments, each a route of its own."""
    return lambda rng: (draw(rng, n), [f"r{i}" for i in range(n)])


def skewed(rng: np.random.Generator, n: int) -> Floats:
    return 0.08 * (rng.exponential(1, n) - 1)


def tied(rng: np.random.Generator, n: int) -> Floats:
    return np.where(rng.random(n) < 0.9, 0.0, 0.2 * rng.standard_t(4, n))


def rare(share: float, factor: float) -> Differences:
    """A share costs `factor` times as much, all others less (or more): the mean is zero."""
    far = 2 * (factor - 1) / (factor + 1)
    near = -share * far / (1 - share)
    return spread(
        lambda rng, n: np.where(rng.random(n) < share, far, near + 0.02 * rng.standard_t(4, n))
    )


def clustered(sizes: Callable[[np.random.Generator], Any], with_length: float = 0.0) -> Differences:
    """Routes of unequal length with a common part each, breadth first; long ones may be better."""

    def make(rng: np.random.Generator) -> tuple[Floats, list[str]]:
        size = sizes(rng)
        longer = np.where(size > np.median(size), -1.0, 1.0)
        part = 0.06 * rng.standard_normal(len(size)) + with_length * longer
        route = np.repeat(np.arange(len(size)), size)
        r = part[route] + 0.05 * rng.standard_t(4, len(route))
        if with_length:
            r -= r.mean()
        order = np.argsort(np.concatenate([np.arange(n) for n in size]), kind="stable")
        return r[order], [f"r{j}" for j in route[order]]

    return make


def unequal(rng: np.random.Generator) -> Any:
    """Segments of 60 routes."""
    return np.clip((3 * rng.pareto(1.0, 60)).astype(int), 1, 200)


def at_the_stop(differences: Differences) -> Callable[[np.random.Generator, int], dict[str, float]]:
    """A run that is stopped at its gate's first word, the change being zero."""

    def run(rng: np.random.Generator, seed: int) -> dict[str, float]:
        r, routes = differences(rng)
        b = rng.lognormal(4, 0.6, (len(r), 1))
        r = np.clip(r, -1.99, 1.99)[:, None]
        table = table_of(b * (2 + r) / (2 - r), b, routes)
        suite = suite_of([0.05], seed)
        judge = RunJudge(suite, known_plan(table, suite))
        start = 0
        while start < len(r) and judge.words[0] is MetricVerdict.CANNOT_TELL:
            block = table.rows(slice(start, start + judge.room))
            judge.extend(block)
            start += len(block)
        interval = judge.verdict(final=start == len(r)).gates[0].interval
        low, high = (interval.low, interval.high) if interval else (-2.0, 2.0)
        return {
            "all above zero": low > 1e-9,
            "all below zero": high < -1e-9,
            "worse": judge.words[0] is MetricVerdict.WORSE,
            "segments": start,
        }

    return run


STOPPED: dict[str, Differences] = {
    "skewed": spread(skewed),
    "skewed the other way": spread(lambda rng, n: -skewed(rng, n)),
    "1 % cost 20 times as much, the others less": rare(0.01, 20),
    "1 % cost a 20th, the others more": rare(0.01, 1 / 20),
    "90 % ties": spread(tied),
    "60 routes of 12": clustered(lambda _: np.full(60, 12)),
    "60 routes of 1 to 200": clustered(unequal),
    "60 routes of 1 to 200, long ones better": clustered(unequal, 0.05),
}
