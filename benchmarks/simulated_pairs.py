"""Pairs of two models, simulated or real, and the judge over them.

Simulated costs: lognormal difficulty, t4 noise, Pareto spikes. Real costs:
../shared/data/paired_costs. Nulls swap the labels of two distinct models by route.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cli.cost_csv import paired, read_costs
from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Suite
from suites.pair_table import VALUE, PairTable
from suites.statistics.engines import OWN
from suites.statistics.sequential import Claims, SequentialJudge
from suites.verdict.null_bank import known_plan
from suites.verdict.run_judge import RunJudge
from suites.vocabulary import Estimand

REAL = Path(__file__).parents[2] / "shared/data/paired_costs/controls_5000.csv.gz"
N = 2000
CAP = 1000.0
"""Declared cap of the simulated costs (mean about 60), and of the real ones (mean 52)."""

Floats = np.ndarray[Any, np.dtype[np.float64]]


def costs(
    rng: np.random.Generator,
    n: int,
    metrics: int = 1,
    shared: float = 0.0,
    own_spikes: float = 0.005,
) -> tuple[Floats, Floats]:
    """Two near-equal models on n segments, [n, metrics].

    Difficulty exp(N(0, .6)), own noise exp(.085 t4), each model's own spikes x (1 + 2 Pareto(1.5))
    on 0.5 % of the segments. `shared` is the correlation of the noise over metrics.
    """
    difficulty = 50 * np.exp(rng.normal(0, 0.6, (n, 1)))

    def one() -> Floats:
        common = rng.standard_t(4, (n, 1))
        own = rng.standard_t(4, (n, metrics))
        noise = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
        spikes = rng.random((n, metrics)) < own_spikes
        spike = np.where(spikes, 1 + 2 * rng.pareto(1.5, (n, metrics)), 1.0)
        return np.asarray(difficulty * np.exp(0.085 * noise) * spike)

    return one(), one()


@cache
def real_costs(candidate: str, baseline: str) -> tuple[Floats, Floats]:
    """Costs [n, 1] of two controllers on the same segments."""
    table = paired(read_costs(REAL, ["total_cost"]), candidate, baseline, 0)
    c, b = table.results[VALUE]
    return c, b


def swapped(rng: np.random.Generator, c: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Labels swapped by a coin on each segment, its own route: an exact null."""
    swap = rng.random((len(c), 1)) < 0.5
    return np.where(swap, b, c), np.where(swap, c, b)


def planted(
    rng: np.random.Generator,
    c: Floats,
    effect: float,
    how: str,
    estimand: Estimand,
    factor: float = 8.0,
) -> Floats:
    """c worse by exactly `effect`, evenly or by spikes: its mean cut at CAP, or typical drive."""
    if estimand is Estimand.TYPICAL:
        if how == "evenly":
            return c * (2 + effect) / (2 - effect)
        share = effect / (2 * (factor - 1) / (factor + 1))
        return np.where(rng.random(c.shape) < share, factor * c, c)
    cut = np.minimum(c, CAP).mean()
    if how == "evenly":
        low, high = 1.0, 1.5
        for _ in range(50):
            middle = (low + high) / 2
            below = np.minimum(c * middle, CAP).mean() < cut * (1 + effect)
            low, high = (middle, high) if below else (low, middle)
        return c * low
    share = effect * cut / (np.minimum(c * factor, CAP).mean() - cut)
    return np.where(rng.random(c.shape) < share, factor * c, c)


def table_of(c: Floats, b: Floats, routes: Sequence[str] = ()) -> PairTable:
    """Metrics m0, m1, ...; each segment is a route of its own if none are named."""
    routes = routes or [f"r{i}" for i in range(len(c))]
    metrics = [f"m{i}" for i in range(c.shape[1])]
    return PairTable.completed(c, b, routes=routes, metrics=metrics)


def suite_of(
    margins: list[float],
    seed: int,
    *,
    flips: int = 999,
    estimand: Estimand = Estimand.TYPICAL,
    cap: float | None = None,
) -> Suite:
    gates = tuple(
        Gate(metric=f"m{i}", margin=margin, estimand=estimand, winsor_cap=cap)
        for i, margin in enumerate(margins)
    )
    return Suite(
        name="simulated",
        kind="overall",
        select=Selector(),
        gates=gates,
        flips=flips,
        order_seed=seed,
    )


def judged(
    table: PairTable, suite: Suite, stop: Callable[[SequentialJudge], bool]
) -> SequentialJudge:
    """Consumes a table look by look until `stop`."""
    judge = SequentialJudge(suite, known_plan(table, suite))
    while judge.consumed < len(table):
        judge.consume(table.rows(slice(judge.consumed, judge.consumed + judge.room)))
        judge.look()
        if stop(judge):
            break
    return judge


def decided(table: PairTable, suite: Suite) -> RunJudge:
    """The whole table through the judge of runs."""
    judge = RunJudge(suite, known_plan(table, suite))
    judge.extend(table)
    return judge


def claim(judge: SequentialJudge) -> Claims:
    """What the first gate shows by its own estimand."""
    return judge.claims()[0][OWN]


def moved(judge: SequentialJudge) -> bool:
    """Whether any gate tells its change from zero."""
    return any(own.above_zero or own.below_zero for own, _ in judge.claims())


def cleared(judge: SequentialJudge) -> bool:
    """Whether the first gate is shown not worse by its margin."""
    return claim(judge).below_margin
