"""Scenarios of the verdict engine: each simulates one run and says what was shown of it."""

import time
from dataclasses import replace

import numpy as np
from scipy.stats import t as student

from benchmarks.driven_runs import Row, Simulation
from benchmarks.simulated_pairs import (
    CAP,
    Floats,
    N,
    claim,
    cleared,
    costs,
    decided,
    judged,
    moved,
    planted,
    real_costs,
    suite_of,
    swapped,
    table_of,
)
from benchmarks.stopped_runs import STOPPED, at_the_stop
from suites.run_plan import RunPlan
from suites.statistics.sequential import SequentialJudge
from suites.statistics.signflip import FlipPlan, SignFlips
from suites.verdict.gate_word import GOOD
from suites.verdict.run_judge import RunJudge
from suites.vocabulary import Estimand, MetricVerdict, Outcome, RunVerdict


def peeking(c: Floats, b: Floats) -> bool:
    """The naive control: a paired t-test of the relative difference at every segment from 20."""
    r = 2 * (c - b)[:, 0] / (c + b)[:, 0]
    k = np.arange(1, len(r) + 1)
    mean = np.cumsum(r) / k
    square = np.cumsum(r * r)
    error = np.sqrt(np.maximum(square / k - mean**2, 1e-300) / np.maximum(k - 1, 1))
    return bool((np.abs(mean / error) > student.isf(0.025, np.maximum(k - 1, 1)))[19:].any())


def null(rng: np.random.Generator, seed: int) -> Row:
    c, b = swapped(rng, *costs(rng, N))
    judge = judged(table_of(c, b), suite_of([0.02], seed), moved)
    return {"alarm": moved(judge), "peeking": peeking(c, b)}


def null_easy_first(rng: np.random.Generator, seed: int) -> Row:
    """Easy segments, which favour one model, finish first; the typical drive is equal.

    The judge buffers what comes early and consumes in the registered order; the control consumes
    pairs as they come.
    """
    c, b = costs(rng, N)
    order = np.argsort((c + b)[:, 0])
    tilt = np.empty((N, 1))
    tilt[order, 0] = np.linspace(-0.05, 0.05, N)
    c = c * np.exp(tilt)
    judge = SequentialJudge(suite_of([0.02], seed), RunPlan(N))
    arrived = np.zeros(N, dtype=bool)
    buffer = table_of(c, b)
    for done in np.array_split(order, 50):
        arrived[done] = True
        ready = N if arrived.all() else int(np.argmin(arrived))
        while judge.consumed < ready and not moved(judge):
            stop = min(ready, judge.consumed + judge.room)
            judge.consume(buffer.rows(slice(judge.consumed, stop)))
            if judge.room == 0:
                judge.look()
    naive = judged(table_of(c[order], b[order]), suite_of([0.02], seed), moved)
    return {"alarm": moved(judge), "as completed": moved(naive)}


def regression(effect: float) -> Simulation:
    def run(rng: np.random.Generator, seed: int) -> Row:
        c, b = costs(rng, N)
        c = planted(rng, c, effect, "evenly", Estimand.TYPICAL)
        r = 2 * (c - b)[:, 0] / (c + b)[:, 0]
        judge = judged(table_of(c, b), suite_of([0.02], seed, flips=9_999), moved)
        found = claim(judge).above_zero
        fixed = abs(r.mean()) / (r.std(ddof=1) / np.sqrt(N)) > 1.96
        return {"found": found, "segments": judge.consumed if found else N, "fixed N would": fixed}

    return run


def margin(
    how: str, estimand: Estimand, real: bool, effect: float = 0.02, factor: float = 8.0
) -> Simulation:
    """A candidate exactly as much worse as the margin allows must not be called not worse by it."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        c, b = swapped(rng, *(real_costs("ff_a", "ff_b") if real else costs(rng, N)))
        c = planted(rng, c, effect, how, estimand, factor)
        if real:
            chosen = rng.permutation(len(c))[:N]
            c, b = c[chosen], b[chosen]
        cap = CAP if estimand is Estimand.MEAN else None
        suite = suite_of([effect], seed, estimand=estimand, cap=cap)
        row: Row = {"asserted": cleared(judged(table_of(c, b), suite, cleared))}
        if estimand is Estimand.MEAN:
            row["by sign flips"] = _flips_on_the_mean(c, b, effect, seed)
        return row

    return run


def _flips_on_the_mean(c: Floats, b: Floats, effect: float, seed: int) -> bool:
    """The control: sign flips of c - (1 + margin) b, which are not valid under spikes."""
    plan = FlipPlan(alpha=0.05, rho=1.0, flips=999, seed=seed, planned=len(c))
    engine = SignFlips(np.array([[effect]]), plan)
    routes = [f"r{i}" for i in range(len(c))]
    for start in range(0, len(c), 20):
        part = slice(start, start + 20)
        engine.consume(routes[part], (c - b)[part], b[part])
        engine.look()
    return bool(engine.alone[0, 0] < 0)


def equal_mean(effect: float, real: bool) -> Simulation:
    """How often equal models are shown not worse by `effect` on the mean."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        c, b = swapped(rng, *(real_costs("ff_a", "ff_b") if real else costs(rng, N)))
        suite = suite_of([effect], seed, estimand=Estimand.MEAN, cap=CAP)
        judge = judged(table_of(c, b), suite, cleared)
        shown = cleared(judge)
        return {"shown": shown, "segments": judge.consumed if shown else len(c)}

    return run


def shipped(routes: int, effect: float) -> Simulation:
    """The shipped gates, four of 25 %; nine pairs a route, noise .15 between routes, .25 within."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        n = 9 * routes
        index = np.arange(n) % routes
        b = np.exp(rng.normal(0, 0.4, (n, 1)) + rng.normal(0, 0.1, (n, 4)))
        between = rng.normal(0, 0.15, (routes, 4))[index]
        c = b * np.exp(effect + between + rng.normal(0, 0.25, (n, 4)))
        table = table_of(c, b, [f"r{i}" for i in index])
        return _reached(decided(table, suite_of([0.25] * 4, seed)))

    return run


def forty(effect: float) -> Simulation:
    """40 metrics with noise correlated by .5; the first five are planted."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        c, b = swapped(rng, *costs(rng, N, 40, shared=0.5))
        c[:, :5] *= (2 + effect) / (2 - effect)
        judge = judged(table_of(c, b), suite_of([0.02] * 40, seed), lambda _: False)
        own = [claims for claims, _ in judge.claims()]
        wrong = any(o.above_zero or o.below_zero for o in own[0 if effect == 0 else 5 :])
        if effect == 0:
            return {"family-wise alarm": wrong}
        found = [o.above_zero for o in own[:5]]
        each = {f"planted {i}": one for i, one in enumerate(found)}
        return {"family-wise alarm": wrong, "all five": all(found), **each}

    return run


def spiking(smoother: float, share: float, cap: float | None) -> Simulation:
    """Smoother on every segment, but a share of the segments costs twenty times as much."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        c, b = costs(rng, N)
        c = (1 - smoother) * np.where(rng.random(c.shape) < share, 20 * c, c)
        word = decided(table_of(c, b), suite_of([0.02], seed, cap=cap)).words[0]
        better = word is MetricVerdict.BETTER
        return {
            "mixed": word is MetricVerdict.MIXED,
            "better": better,
            "not worse, with the lean of the mean said": word in GOOD and not better,
        }

    return run


def failing_fast(rng: np.random.Generator, seed: int) -> Row:
    """Ten gates that fail fast, noise correlated by .5, equal models."""
    b = rng.lognormal(4, 0.6, (600, 1))
    noise = rng.standard_t(4, (600, 1)) + rng.standard_t(4, (600, 10))
    suite = suite_of([0.05] * 10, seed)
    suite = replace(suite, gates=tuple(replace(gate, fail_fast=True) for gate in suite.gates))
    judge = decided(table_of(b * np.exp(0.07 * noise), b * np.ones((1, 10))), suite)
    return {"fail": judge.reached is RunVerdict.FAIL}


def failing_hard(share: float) -> Simulation:
    """Equal models, but the candidate fails on the hardest segments, where it has no cost."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        b = rng.lognormal(4, 0.6, (600, 1))
        hard = (b >= np.quantile(b, 1 - share))[:, 0]
        c = np.where(hard[:, None], np.nan, b * np.exp(0.07 * rng.standard_t(4, (600, 1))))
        done, failed = Outcome.COMPLETED, Outcome.FAILED
        outcomes = tuple((failed if one else done, done) for one in hard)
        return _reached(decided(replace(table_of(c, b), outcomes=outcomes), suite_of([0.05], seed)))

    return run


def _reached(judge: RunJudge) -> Row:
    return {"pass": judge.reached is RunVerdict.PASS, "fail": judge.reached is RunVerdict.FAIL}


def pid(rng: np.random.Generator, seed: int) -> Row:
    c, b = real_costs("pid", "ff_a")
    order = rng.permutation(len(c))
    suite = suite_of([0.02], seed, flips=9_999)
    judge = judged(table_of(c[order], b[order]), suite, lambda j: claim(j).above_margin)
    return {"worse": claim(judge).above_margin, "segments": judge.consumed}


def close_pair(rng: np.random.Generator, seed: int) -> Row:
    """ff_b against ff_a in random orders: 5,000 segments cannot tell the means apart (t = 2)."""
    c, b = real_costs("ff_b", "ff_a")
    order = rng.permutation(len(c))
    suite = suite_of([0.02], seed, cap=CAP)
    own, other = judged(table_of(c[order], b[order]), suite, lambda _: False).claims()[0]
    return {
        "typical worse": own.above_zero,
        "mean worse": other.above_zero,
        "mean better": other.below_zero,
    }


def judging_cost(rng: np.random.Generator, seed: int) -> Row:
    table = table_of(*swapped(rng, *costs(rng, N, 40, shared=0.5)))
    start = time.process_time()
    decided(table, suite_of([0.1] * 40, seed)).verdict()
    return {"CPU s": time.process_time() - start}


SCENARIOS: dict[str, tuple[Simulation, float]] = {
    "null": (null, 1.0),
    "null, easy first": (null_easy_first, 1.0),
    "regression 1 %": (regression(0.01), 0.5),
    "regression 2 %": (regression(0.02), 1.0),
    "regression 5 %": (regression(0.05), 1.0),
    "regression 20 %": (regression(0.20), 1.0),
    **{
        f"at the margin, {estimand}, {how}{', real' * real}": (margin(how, estimand, real), 1.0)
        for estimand in (Estimand.TYPICAL, Estimand.MEAN)
        for real in (False, True)
        for how in ("evenly", "spikes")
    },
    "at the margin, mean, 5 % by spikes x 20, real": (
        margin("spikes", Estimand.MEAN, True, 0.05, 20.0),
        1.0,
    ),
    "equal models, mean within 5 %": (equal_mean(0.05, real=False), 0.1),
    "equal models, mean within 5 %, real": (equal_mean(0.05, real=True), 0.1),
    "shipped gates: equal, 20 routes": (shipped(20, 0.0), 1.0),
    "shipped gates: 60 % worse, 20 routes": (shipped(20, 0.6), 1.0),
    "shipped gates: equal, 6 routes": (shipped(6, 0.0), 1.0),
    "40 null metrics": (forty(0.0), 1.0),
    "40 metrics, 5 worse by 2 %": (forty(0.02), 0.5),
    "spiking on 1.5 % but smoother by 5 %": (spiking(0.05, 0.015, CAP), 0.5),
    "spiking on 1.5 % but smoother by 5 %, no cap": (spiking(0.05, 0.015, None), 0.5),
    "spiking on 3 % but smoother by 10 %": (spiking(0.10, 0.03, CAP), 0.5),
    "spiking on 3 % but smoother by 10 %, no cap": (spiking(0.10, 0.03, None), 0.5),
    "pid against ff_a, real": (pid, 1.0),
    "ff_b against ff_a, real": (close_pair, 0.1),
    **{f"stopped: {name}": (at_the_stop(drawn), 0.5) for name, drawn in STOPPED.items()},
    "ten gates that fail fast": (failing_fast, 0.5),
    "failing on the hardest 1 %": (failing_hard(0.01), 0.5),
    "failing on the hardest 5 %": (failing_hard(0.05), 0.5),
    "judging 2,000 routes x 40 metrics": (judging_cost, 0.0025),
}
"""Name to (one simulated run, share of --runs)."""
