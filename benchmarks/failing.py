"""Fails: how soon a true regression fails a run, and what fails wrongly.

Each regression is judged with gates that fail fast (margin 2 %), so that any certain worsening
fails the run; two are judged against the margin as well. `python -m benchmarks.statistics --beside`
has an older checkout judge the same tables.
"""

import numpy as np

from benchmarks.driven_runs import Make, SimulatedRun, Simulation, fail_fast, to_fail
from benchmarks.simulated_pairs import (
    Floats,
    N,
    costs,
    planted,
    real_costs,
    suite_of,
    swapped,
    table_of,
)
from benchmarks.stopped_runs import Differences, clustered, unequal
from suites.vocabulary import Estimand

EFFECTS = (0.02, 0.05, 0.20)


def spread_out(deviation: float) -> Differences:
    """Relative differences of so large a standard deviation, each segment a route of its own."""
    names = [f"r{i}" for i in range(N)]
    return lambda rng: (rng.normal(0, deviation, N), names)


def rarely_better(noise: float, n: int = 600) -> Differences:
    """2 % of pairs at -1, very good, all others a little worse: the typical change is 0."""

    def make(rng: np.random.Generator) -> tuple[Floats, list[str]]:
        r = 0.02 / 0.98 + noise * rng.standard_t(4, n)
        return np.where(rng.random(n) < 0.02, -1.0, r), [f"r{i}" for i in range(n)]

    return make


def pairs_of(differences: Differences, effect: float = 0.0, margin: float = 0.02) -> Make:
    """Pairs whose relative differences are drawn, worse by `effect` on each."""

    def make(rng: np.random.Generator, seed: int) -> SimulatedRun:
        r, routes = differences(rng)
        r = np.clip(r + effect, -1.99, 1.99)[:, None]
        b = rng.lognormal(4, 0.6, r.shape)
        return SimulatedRun(table_of(b * (2 + r) / (2 - r), b, routes), suite_of([margin], seed))

    return make


def worse(kind: str, effect: float) -> Make:
    """Near-equal models, the candidate worse evenly by `effect` in the typical drive."""

    def make(rng: np.random.Generator, seed: int) -> SimulatedRun:
        c, b = swapped(rng, *(real_costs("ff_a", "ff_b") if kind == "real" else costs(rng, N)))
        order = rng.permutation(len(c))
        c = planted(rng, c[order], effect, "evenly", Estimand.TYPICAL)
        return SimulatedRun(table_of(c, b[order]), suite_of([0.02], seed))

    return make


def fast(make: Make) -> Make:
    """The same run, whose gates fail fast."""

    def changed(rng: np.random.Generator, seed: int) -> SimulatedRun:
        simulated = make(rng, seed)
        return SimulatedRun(simulated.table, fail_fast(simulated.suite))

    return changed


def regressions(effect: float) -> dict[str, Make]:
    """By kind of pairs."""
    return {
        "differences of sd .1": pairs_of(spread_out(0.1), effect),
        "differences of sd .2": pairs_of(spread_out(0.2), effect),
        "60 routes of 12": pairs_of(clustered(lambda _: np.full(60, 12)), effect),
        "60 routes of 1 to 200": pairs_of(clustered(unequal), effect),
        "simulated": worse("simulated", effect),
        "real": worse("real", effect),
    }


LONGER_BETTER = pairs_of(clustered(unequal, 0.05), margin=0.05)
WRONG: dict[str, Make] = {
    "2 % of pairs at -1, the rest sd .03": pairs_of(rarely_better(0.02)),
    "2 % of pairs at -1, the rest sd .07": pairs_of(rarely_better(0.05)),
    "2 % of pairs at -1, the rest all alike": pairs_of(rarely_better(0.001)),
    "short routes worse, long ones better": LONGER_BETTER,
}
REGRESSED: dict[str, Make] = {
    f"{effect:.0%} worse: {kind}": fast(make)
    for effect in EFFECTS
    for kind, make in regressions(effect).items()
} | {
    f"{effect:.0%} worse against a margin of 2 %: {kind}": worse(kind, effect)
    for effect in EFFECTS[1:]
    for kind in ("simulated", "real")
}
BESIDE: dict[str, Make] = {
    **{f"wrong fail: {name}": make for name, make in WRONG.items()},
    **{f"wrong fail, fail fast: {name}": fast(make) for name, make in WRONG.items()},
    **REGRESSED,
}
"""Name to a run that an older checkout can judge as well."""

FAILING: dict[str, tuple[Simulation, float]] = {
    name: (to_fail(make), 0.25 if name in REGRESSED else 0.5) for name, make in BESIDE.items()
}
"""Name to (one simulated run, share of --runs)."""
