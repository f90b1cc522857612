"""Operating characteristics of the verdict engine: how often it is wrong, and how soon it is right.

    python -m benchmarks.statistics [--runs 2000] [--seconds 600] [--only NAME ...] [--out FILE]

One process; what was run is kept in FILE (JSON, counts per scenario) and a later call goes on from there. Every scenario
uses the same registered spending (alpha = .05, rho = 1) and looks (every 20 pairs), B = 999 (9,999 for regressions).
Simulated costs: lognormal difficulty, t4 noise, Pareto spikes; nulls swap the labels of two distinct models by route. Real
costs: ../shared/data/paired_costs.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest
from scipy.stats import t as student

from cli.cost_csv import paired, read_costs
from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Suite
from suites.pair_table import VALUE, PairTable
from suites.statistics.engines import OWN
from suites.statistics.sequential import SequentialJudge
from suites.statistics.signflip import FlipPlan, SignFlips
from suites.verdict.gate_word import GOOD
from suites.verdict.run_judge import RunJudge
from suites.vocabulary import Estimand, MetricVerdict, Outcome, RunVerdict

REAL = Path(__file__).parents[2] / "shared/data/paired_costs/controls_5000.csv.gz"
RESULTS = Path(__file__).parents[1] / "build/statistics.json"
N = 2000
CAP = 1000.0
"""Declared cap of the simulated costs (mean about 60), and of the real ones (mean 52)."""

Floats = np.ndarray[Any, np.dtype[np.float64]]
Row = dict[str, float]
"""What one simulated run showed: names to 0 or 1, or to a number of pairs."""
Simulation = Callable[[np.random.Generator, int], Row]


def table_of(candidate: Floats, baseline: Floats, routes: list[str]) -> PairTable:
    metrics = [f"m{i}" for i in range(candidate.shape[1])]
    return PairTable.completed(candidate, baseline, routes=routes, metrics=metrics)


def suite_of(
    margins: list[float],
    seed: int,
    *,
    flips: int = 999,
    estimand: Estimand = Estimand.TYPICAL,
    cap: float | None = None,
) -> Suite:
    gates = tuple(
        Gate(metric=f"m{i}", margin=m, estimand=estimand, winsor_cap=cap)
        for i, m in enumerate(margins)
    )
    return Suite(
        name="simulated",
        kind="overall",
        select=Selector(),
        gates=gates,
        flips=flips,
        order_seed=seed,
    )


def costs(
    rng: np.random.Generator, n: int, metrics: int = 1, shared: float = 0.0
) -> tuple[Floats, Floats]:
    """Two near-equal models on n segments: difficulty exp(N(0, .6)), own noise exp(.085 t4), spikes x (1 + 2 Pareto(1.5)) on
    0.5 % of segments; `shared` is the correlation of the noise over metrics."""
    difficulty = 50 * np.exp(rng.normal(0, 0.6, (n, 1)))

    def one() -> Floats:
        common, own = rng.standard_t(4, (n, 1)), rng.standard_t(4, (n, metrics))
        spike = np.where(
            rng.random((n, metrics)) < 0.005, 1 + 2 * rng.pareto(1.5, (n, metrics)), 1.0
        )
        return np.asarray(
            difficulty
            * np.exp(0.085 * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own))
            * spike
        )

    return one(), one()


def swapped(rng: np.random.Generator, c: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Labels swapped by a coin for each segment (each its own route): an exact null between distinct models."""
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
    """c with its mean (cut at CAP) or its typical drive made worse by exactly `effect`, evenly or on rare segments."""
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
            low, high = (
                (middle, high)
                if np.minimum(c * middle, CAP).mean() < cut * (1 + effect)
                else (low, middle)
            )
        return c * low
    share = effect * cut / (np.minimum(c * factor, CAP).mean() - cut)
    return np.where(rng.random(c.shape) < share, factor * c, c)


def singles(n: int) -> list[str]:
    return [f"r{i}" for i in range(n)]


def claims(
    table: PairTable, suite: Suite, stop: Callable[[SequentialJudge], bool]
) -> SequentialJudge:
    """Consumes a table look by look until `stop`."""
    n = len(table)
    judge = SequentialJudge(suite, n)
    while judge.consumed < n:
        judge.consume(table.rows(slice(judge.consumed, judge.consumed + judge.room)))
        judge.look()
        if stop(judge):
            break
    return judge


def moved(judge: SequentialJudge) -> bool:
    return any(own.above_zero or own.below_zero for own, _ in judge.claims())


def peeking(c: Floats, b: Floats) -> bool:
    """The naive control: a paired t-test of the relative difference after every segment from the 20th on."""
    r = 2 * (c - b)[:, 0] / (c + b)[:, 0]
    k = np.arange(1, len(r) + 1)
    mean, square = np.cumsum(r) / k, np.cumsum(r * r)
    error = np.sqrt(np.maximum(square / k - mean**2, 1e-300) / np.maximum(k - 1, 1))
    return bool((np.abs(mean / error) > student.isf(0.025, np.maximum(k - 1, 1)))[19:].any())


def null(rng: np.random.Generator, seed: int) -> Row:
    c, b = swapped(rng, *costs(rng, N))
    judge = claims(table_of(c, b, singles(N)), suite_of([0.02], seed), moved)
    return {"alarm": moved(judge), "peeking": peeking(c, b)}


def null_easy_first(rng: np.random.Generator, seed: int) -> Row:
    """Easy segments favour one model, hard ones the other, the typical drive is equal; easy ones finish first. The judge
    buffers what comes early and consumes in the registered order; the control consumes as they come."""
    c, b = costs(rng, N)
    order = np.argsort((c + b)[:, 0])
    tilt = np.empty((N, 1))
    tilt[order, 0] = np.linspace(-0.05, 0.05, N)
    c = c * np.exp(tilt)
    judge, arrived, buffer = (
        SequentialJudge(suite_of([0.02], seed), N),
        np.zeros(N, dtype=bool),
        table_of(c, b, singles(N)),
    )
    for done in np.array_split(order, 50):
        arrived[done] = True
        ready = N if arrived.all() else int(np.argmin(arrived))
        while judge.consumed < ready and not moved(judge):
            judge.consume(
                buffer.rows(slice(judge.consumed, min(ready, judge.consumed + judge.room)))
            )
            if judge.room == 0:
                judge.look()
    naive = claims(table_of(c[order], b[order], singles(N)), suite_of([0.02], seed), moved)
    return {"alarm": moved(judge), "as completed": moved(naive)}


def regression(effect: float) -> Simulation:
    def run(rng: np.random.Generator, seed: int) -> Row:
        c, b = costs(rng, N)
        c = planted(rng, c, effect, "evenly", Estimand.TYPICAL)
        r = 2 * (c - b)[:, 0] / (c + b)[:, 0]
        judge = claims(table_of(c, b, singles(N)), suite_of([0.02], seed, flips=9_999), moved)
        found = judge.claims()[0][OWN].above_zero
        fixed = abs(r.mean()) / (r.std(ddof=1) / np.sqrt(N)) > 1.96
        return {"found": found, "segments": judge.consumed if found else N, "fixed N would": fixed}

    return run


def margin(
    how: str, estimand: Estimand, real: bool, effect: float = 0.02, factor: float = 8.0
) -> Simulation:
    """A candidate exactly as much worse as the margin allows: "not worse by it" must not be asserted."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        pairs = _real("ff_a", "ff_b") if real else costs(rng, N)
        c, b = swapped(rng, *pairs)
        c = planted(rng, c, effect, how, estimand, factor)
        if real:
            chosen = rng.permutation(len(c))[:N]
            c, b = c[chosen], b[chosen]
        cap = CAP if estimand is Estimand.MEAN else None
        suite = suite_of([effect], seed, estimand=estimand, cap=cap)
        judge = claims(table_of(c, b, singles(N)), suite, lambda j: j.claims()[0][OWN].below_margin)
        row = {"asserted": float(judge.claims()[0][OWN].below_margin)}
        if estimand is Estimand.MEAN:
            row["by sign flips"] = _flips_on_the_mean(c[:, 0], b[:, 0], effect, seed)
        return row

    return run


def _flips_on_the_mean(c: Floats, b: Floats, effect: float, seed: int) -> float:
    """The control: sign flips of c - (1 + margin) b, which are not valid under spikes."""
    engine = SignFlips(
        np.array([[effect]]), FlipPlan(alpha=0.05, rho=1.0, flips=999, seed=seed, planned=len(c))
    )
    for start in range(0, len(c), 20):
        part = slice(start, start + 20)
        engine.consume(
            [f"r{i}" for i in range(start, min(start + 20, len(c)))],
            (c - b)[part, None],
            b[part, None],
        )
        engine.look()
    return float(engine.alone[0, 0] < 0)


_CACHE: dict[tuple[str, str], Floats] = {}


def _real(candidate: str, baseline: str) -> Floats:
    """Costs [model, segment, 1]: candidate, baseline."""
    if (candidate, baseline) not in _CACHE:
        table = paired(read_costs(REAL, ["total_cost"]), candidate, baseline, 0)
        _CACHE[candidate, baseline] = table.results[VALUE]
    return _CACHE[candidate, baseline]


def equal_mean(effect: float, real: bool) -> Simulation:
    """Power of the mean's gate: how often equal models are shown not worse by `effect` on the mean."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        c, b = swapped(rng, *(_real("ff_a", "ff_b") if real else costs(rng, N)))
        n = len(c)
        suite = suite_of([effect], seed, estimand=Estimand.MEAN, cap=CAP)
        judge = claims(table_of(c, b, singles(n)), suite, lambda j: j.claims()[0][OWN].below_margin)
        shown = judge.claims()[0][OWN].below_margin
        return {"shown": shown, "segments": judge.consumed if shown else n}

    return run


def demo(routes: int, effect: float) -> Simulation:
    """The shipped suite's four gates of 25 %, nine pairs a route; relative noise .15 between routes and .25 within."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        n, index = 9 * routes, np.arange(9 * routes) % routes
        b = np.exp(rng.normal(0, 0.4, (n, 1)) + rng.normal(0, 0.1, (n, 4)))
        c = b * np.exp(
            effect + rng.normal(0, 0.15, (routes, 4))[index] + rng.normal(0, 0.25, (n, 4))
        )
        judge = RunJudge(suite_of([0.25] * 4, seed), n)
        judge.extend(table_of(c, b, [f"r{i}" for i in index]))
        return {"pass": judge.reached is RunVerdict.PASS, "fail": judge.reached is RunVerdict.FAIL}

    return run


def forty(effect: float) -> Simulation:
    """40 metrics with noise correlated by .5; the first five are planted."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        c, b = swapped(rng, *costs(rng, N, 40, shared=0.5))
        c[:, :5] *= (2 + effect) / (2 - effect)
        judge = claims(table_of(c, b, singles(N)), suite_of([0.02] * 40, seed), lambda _: False)
        own = [o for o, _ in judge.claims()]
        wrong = any(o.above_zero or o.below_zero for o in own[0 if effect == 0 else 5 :])
        if effect == 0:
            return {"family-wise alarm": wrong}
        found = sum(o.above_zero for o in own[:5])
        return {
            "family-wise alarm": wrong,
            "all five": found == 5,
            **{f"planted {i}": own[i].above_zero for i in range(5)},
        }

    return run


def spiking(smoother: float, share: float, cap: float | None) -> Simulation:
    """Smoother by so much on every segment, but a share of the segments costs twenty times as much."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        c, b = costs(rng, N)
        c = (1 - smoother) * np.where(rng.random(c.shape) < share, 20 * c, c)
        judge = RunJudge(suite_of([0.02], seed, cap=cap), N)
        judge.extend(table_of(c, b, singles(N)))
        return _words(judge)

    return run


Differences = Callable[[np.random.Generator], tuple[Floats, list[str]]]
"""Relative differences 2 (c - b) / (c + b) [n] whose mean is zero, in the order of a run, and their routes."""


def spread(draw: Callable[[np.random.Generator, int], Floats], n: int = 600) -> Differences:
    return lambda rng: (draw(rng, n), singles(n))


def rare(share: float, factor: float) -> Differences:
    """That share costs `factor` times as much, all others just so much the other way that the mean is zero."""
    far = 2 * (factor - 1) / (factor + 1)
    near = -share * far / (1 - share)
    return spread(
        lambda rng, n: np.where(rng.random(n) < share, far, near + 0.02 * rng.standard_t(4, n))
    )


def clustered(sizes: Callable[[np.random.Generator], Any], with_length: float = 0.0) -> Differences:
    """Routes of unequal length with a common part each, breadth first; long ones may be better than short ones."""

    def make(rng: np.random.Generator) -> tuple[Floats, list[str]]:
        size = sizes(rng)
        part = 0.06 * rng.standard_normal(len(size)) + with_length * np.where(
            size > np.median(size), -1.0, 1.0
        )
        route = np.repeat(np.arange(len(size)), size)
        r = part[route] + 0.05 * rng.standard_t(4, len(route))
        if with_length:
            r -= r.mean()
        order = np.argsort(np.concatenate([np.arange(n) for n in size]), kind="stable")
        return r[order], [f"r{j}" for j in route[order]]

    return make


def unequal(rng: np.random.Generator) -> Any:
    return np.clip((3 * rng.pareto(1.0, 60)).astype(int), 1, 200)


def at_the_stop(differences: Differences) -> Simulation:
    """A run that is stopped at its gate's first word: where its interval for the typical drive lies, the change being zero."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        r, routes = differences(rng)
        b = rng.lognormal(4, 0.6, (len(r), 1))
        r = np.clip(r, -1.99, 1.99)[:, None]
        table, judge, start = (
            table_of(b * (2 + r) / (2 - r), b, routes),
            RunJudge(suite_of([0.05], seed), len(r)),
            0,
        )
        while start < len(r) and judge.words[0] is MetricVerdict.CANNOT_TELL:
            block = table.rows(slice(start, start + judge.room))
            judge.extend(block)
            start += len(block)
        interval = judge.verdict(final=start == len(r)).gates[0].interval
        low, high = (interval.low, interval.high) if interval else (-2.0, 2.0)
        worse = judge.words[0] is MetricVerdict.WORSE
        return {
            "all above zero": low > 1e-9,
            "all below zero": high < -1e-9,
            "worse": worse,
            "segments": start,
        }

    return run


def failing_fast(rng: np.random.Generator, seed: int) -> Row:
    """Ten gates that fail fast, noise correlated by .5, equal models."""
    b = rng.lognormal(4, 0.6, (600, 1))
    noise = rng.standard_t(4, (600, 1)) + rng.standard_t(4, (600, 10))
    suite = suite_of([0.05] * 10, seed)
    judge = RunJudge(
        replace(suite, gates=tuple(replace(gate, fail_fast=True) for gate in suite.gates)), 600
    )
    judge.extend(table_of(b * np.exp(0.07 * noise), b * np.ones((1, 10)), singles(600)))
    return {"fail": judge.reached is RunVerdict.FAIL}


def failing_hard(share: float) -> Simulation:
    """Equal models, but the candidate crashes on the hardest segments, where it has no cost; one route each."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        b = rng.lognormal(4, 0.6, (600, 1))
        hard = (b >= np.quantile(b, 1 - share))[:, 0]
        c = np.where(hard[:, None], np.nan, b * np.exp(0.07 * rng.standard_t(4, (600, 1))))
        done, crashed = Outcome.COMPLETED, Outcome.POLICY_FAILED
        outcomes = tuple((crashed if one else done, done) for one in hard)
        judge = RunJudge(suite_of([0.05], seed), 600)
        judge.extend(replace(table_of(c, b, singles(600)), outcomes=outcomes))
        return {"pass": judge.reached is RunVerdict.PASS, "fail": judge.reached is RunVerdict.FAIL}

    return run


def _words(judge: RunJudge) -> Row:
    word = judge.words[0]
    better, other = word is MetricVerdict.BETTER, word in GOOD and word is not MetricVerdict.BETTER
    return {
        "mixed": word is MetricVerdict.MIXED,
        "better": better,
        "not worse, with the lean of the mean said": other,
    }


def pid(rng: np.random.Generator, seed: int) -> Row:
    c, b = _real("pid", "ff_a")
    order = rng.permutation(len(c))
    table = table_of(c[order], b[order], singles(len(c)))
    judge = claims(
        table, suite_of([0.02], seed, flips=9_999), lambda j: j.claims()[0][OWN].above_margin
    )
    return {"worse": judge.claims()[0][OWN].above_margin, "segments": judge.consumed}


def close_pair(rng: np.random.Generator, seed: int) -> Row:
    """ff_b against ff_a in random orders: the mean's interval must not exclude what 5,000 segments cannot tell (t = 2.0)."""
    c, b = _real("ff_b", "ff_a")
    order = rng.permutation(len(c))
    judge = claims(
        table_of(c[order], b[order], singles(len(c))),
        suite_of([0.02], seed, cap=CAP),
        lambda _: False,
    )
    own, other = judge.claims()[0]
    return {
        "typical worse": own.above_zero,
        "mean worse": other.above_zero,
        "mean better": other.below_zero,
    }


def judging_cost(rng: np.random.Generator, seed: int) -> Row:
    c, b = swapped(rng, *costs(rng, N, 40, shared=0.5))
    table = table_of(c, b, singles(N))
    start = time.process_time()
    judge = RunJudge(suite_of([0.1] * 40, seed), N)
    judge.extend(table)
    judge.verdict()
    return {"CPU s": time.process_time() - start}


SCENARIOS: dict[str, tuple[Simulation, float]] = {
    "null": (null, 1.0),
    "null, easy first": (null_easy_first, 1.0),
    "regression 1 %": (regression(0.01), 0.5),
    "regression 2 %": (regression(0.02), 1.0),
    "regression 5 %": (regression(0.05), 1.0),
    "regression 20 %": (regression(0.20), 1.0),
    "at the margin, typical, evenly": (margin("evenly", Estimand.TYPICAL, real=False), 1.0),
    "at the margin, typical, spikes": (margin("spikes", Estimand.TYPICAL, real=False), 1.0),
    "at the margin, typical, evenly, real": (margin("evenly", Estimand.TYPICAL, real=True), 1.0),
    "at the margin, typical, spikes, real": (margin("spikes", Estimand.TYPICAL, real=True), 1.0),
    "at the margin, mean, evenly": (margin("evenly", Estimand.MEAN, real=False), 1.0),
    "at the margin, mean, spikes": (margin("spikes", Estimand.MEAN, real=False), 1.0),
    "at the margin, mean, evenly, real": (margin("evenly", Estimand.MEAN, real=True), 1.0),
    "at the margin, mean, spikes, real": (margin("spikes", Estimand.MEAN, real=True), 1.0),
    "at the margin, mean, 5 % by spikes x 20, real": (
        margin("spikes", Estimand.MEAN, True, 0.05, 20.0),
        1.0,
    ),
    "equal models, mean within 5 %": (equal_mean(0.05, real=False), 0.1),
    "equal models, mean within 5 %, real": (equal_mean(0.05, real=True), 0.1),
    "shipped gates: equal, 20 routes": (demo(20, 0.0), 1.0),
    "shipped gates: 60 % worse, 20 routes": (demo(20, 0.6), 1.0),
    "shipped gates: equal, 6 routes": (demo(6, 0.0), 1.0),
    "40 null metrics": (forty(0.0), 1.0),
    "40 metrics, 5 worse by 2 %": (forty(0.02), 0.5),
    "spiking on 1.5 % but smoother by 5 %": (spiking(0.05, 0.015, CAP), 0.5),
    "spiking on 1.5 % but smoother by 5 %, no cap": (spiking(0.05, 0.015, None), 0.5),
    "spiking on 3 % but smoother by 10 %": (spiking(0.10, 0.03, CAP), 0.5),
    "spiking on 3 % but smoother by 10 %, no cap": (spiking(0.10, 0.03, None), 0.5),
    "pid against ff_a, real": (pid, 1.0),
    "ff_b against ff_a, real": (close_pair, 0.1),
    "stopped: skewed": (
        at_the_stop(spread(lambda rng, n: 0.08 * (rng.exponential(1, n) - 1))),
        0.5,
    ),
    "stopped: skewed the other way": (
        at_the_stop(spread(lambda rng, n: 0.08 * (1 - rng.exponential(1, n)))),
        0.5,
    ),
    "stopped: 1 % cost 20 times as much, the others less": (at_the_stop(rare(0.01, 20)), 0.5),
    "stopped: 1 % cost a 20th, the others more": (at_the_stop(rare(0.01, 1 / 20)), 0.5),
    "stopped: 90 % ties": (
        at_the_stop(
            spread(lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, 0.2 * rng.standard_t(4, n)))
        ),
        0.5,
    ),
    "stopped: 60 routes of 12": (at_the_stop(clustered(lambda _: np.full(60, 12))), 0.5),
    "stopped: 60 routes of 1 to 200": (at_the_stop(clustered(unequal)), 0.5),
    "stopped: 60 routes of 1 to 200, long ones better": (
        at_the_stop(clustered(unequal, 0.05)),
        0.5,
    ),
    "ten gates that fail fast": (failing_fast, 0.5),
    "crashing on the hardest 1 %": (failing_hard(0.01), 0.5),
    "crashing on the hardest 5 %": (failing_hard(0.05), 0.5),
    "judging 2,000 routes x 40 metrics": (judging_cost, 0.0025),
}
"""Name to (one simulated run, share of --runs)."""


def load(path: Path) -> dict[str, dict[str, list[float]]]:
    return json.loads(path.read_text()) if path.exists() else {}


def simulate(name: str, runs: int, until: float, done: dict[str, list[float]]) -> None:
    """Runs from where `done` ends; run i has its own seed, so an interrupted benchmark goes on as if it had not been."""
    function, _ = SCENARIOS[name]
    start = len(next(iter(done.values()), []))
    key = int.from_bytes(name.encode(), "big") % 2**32
    for i in range(start, runs):
        if time.monotonic() > until:
            break
        for what, value in function(np.random.default_rng([key, i]), i).items():
            done.setdefault(what, []).append(round(float(value), 4))


def report(results: dict[str, dict[str, list[float]]]) -> str:
    """A table: shares with their 95 % Wilson intervals, and medians of segments."""
    lines = ["| Scenario | Runs | Result |", "|---|---|---|"]
    for name in SCENARIOS:
        cells = []
        for what, values in results.get(name, {}).items():
            if set(values) <= {0.0, 1.0}:
                interval = binomtest(int(sum(values)), len(values)).proportion_ci(method="wilson")
                cells.append(
                    f"{what} {100 * np.mean(values):.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
                )
            else:
                low, high = np.percentile(values, [5, 95])
                cells.append(f"{what}: median {np.median(values):g} (5–95 %: {low:g}–{high:g})")
        if cells:
            lines.append(
                f"| {name} | {len(next(iter(results[name].values()))):,} | {'; '.join(cells)} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=2000, help="simulated runs of the main scenarios"
    )
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="stop after so long; a later call goes on"
    )
    parser.add_argument(
        "--only", nargs="*", default=list(SCENARIOS), help="scenarios whose names begin so"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    results = load(chosen.out)
    until = time.monotonic() + chosen.seconds
    for name, (_, share) in SCENARIOS.items():
        if any(name.startswith(prefix) for prefix in chosen.only) and (
            "real" not in name or REAL.exists()
        ):
            simulate(name, max(3, round(chosen.runs * share)), until, results.setdefault(name, {}))
            chosen.out.parent.mkdir(exist_ok=True)
            chosen.out.write_text(json.dumps(results))
    print(report(results))


if __name__ == "__main__":
    main()
