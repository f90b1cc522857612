"""How many more pairs the sequential test needs than one at fixed N.

    python -m benchmarks.planning [--runs 300] [--seconds 500] [--write]

What `suites.statistics.chances` allows for. For each noise and effect a plan for 80 % power at
fixed N gives n = ((t + z) sd / effect)^2 segments (clustered by route). The sign flips that judge
runs then meet k n segments of such models many times, for several k, with a look each 20 pairs.
Their power is that of a test at fixed N with a larger critical value c, Phi(sqrt(k) (t + z) - c).
c is fitted to all runs of a scenario by maximum likelihood; a plan must be longer by
((c + z) / (t + z))^2.

The last columns check the plans that come out, with the shipped factor, at 80 and at 90 % power,
by the judge that decides runs: the effect told from zero, and equal models shown not worse by as
much. Both need bets beside the flips.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from benchmarks.result_pages import can_write, command_line, publish, share
from benchmarks.simulated_pairs import Floats, claim, judged, moved, suite_of, table_of
from benchmarks.simulated_pairs import cleared as shown_not_worse
from suites.statistics.chances import Sample
from suites.statistics.sample_size import deciding_segments, finding_segments
from suites.statistics.signflip import FlipPlan, SignFlips

STORED = Path(__file__).parents[1] / "build/planning.json"
ALPHA, POWER = 0.05, 0.8
T = float(norm.isf(ALPHA / 2))
Z = float(norm.ppf(POWER))
FACTORS = (0.9, 1.0, 1.15, 1.3)
PLANNED_AT = (0.8, 0.9)
LOOK_EVERY = 20


@dataclass(frozen=True, slots=True)
class CostNoise:
    """Of ln(candidate / baseline); `freedom` is that of its t distribution."""

    name: str
    route_sd: float
    segment_sd: float
    freedom: float
    per_route: int
    effect: float


SCENARIOS = (
    CostNoise("t4 noise, one segment a route, 2 %", 0.0, 0.12, 4, 1, 0.02),
    CostNoise("t4 noise, one segment a route, 5 %", 0.0, 0.12, 4, 1, 0.05),
    CostNoise("normal noise, one segment a route, 5 %", 0.0, 0.3, 200, 1, 0.05),
    CostNoise("t4 noise, four segments a route, 5 %", 0.08, 0.12, 4, 4, 0.05),
    CostNoise("normal noise, nine segments a route, 10 %", 0.15, 0.25, 200, 9, 0.10),
)


def pairs(rng: np.random.Generator, noise: CostNoise, n: int) -> tuple[Floats, Floats, list[str]]:
    """n pairs in a run's order, breadth first over routes."""
    routes = max(2, round(n / noise.per_route))
    index = np.arange(n) % routes
    shape = 1.0 if noise.freedom > 100 else np.sqrt((noise.freedom - 2) / noise.freedom)
    between = noise.route_sd * rng.standard_normal(routes)[index]
    within = noise.segment_sd * shape * rng.standard_t(noise.freedom, n)
    b = np.exp(rng.normal(0, 0.6, n))
    c = b * np.exp(noise.effect + (between + within))
    return c[:, None], b[:, None], [f"r{i}" for i in index]


def truth(noise: CostNoise) -> tuple[float, float]:
    """Mean of the relative difference, and sqrt(n) times the standard error of it, clustered."""
    rng = np.random.default_rng(0)
    n = 400_000 // noise.per_route * noise.per_route
    c, b, _ = pairs(rng, noise, n)
    r = (2 * (c - b) / (c + b))[:, 0]
    sums = r.reshape(noise.per_route, -1).sum(axis=0)
    return float(r.mean()), float(sums.std() / np.sqrt(noise.per_route))


def flipped(noise: CostNoise, n: int, seed: int) -> bool:
    """Whether sign flips alone tell the planted effect from zero."""
    c, b, routes = pairs(np.random.default_rng([seed, n, 7]), noise, n)
    p = 2 * (c - b) / (c + b)
    plan = FlipPlan(alpha=ALPHA, rho=1.0, flips=999, seed=seed, planned=n)
    flips = SignFlips(np.zeros((1, 1)), plan)
    for start in range(0, n, LOOK_EVERY):
        seen = slice(start, start + LOOK_EVERY)
        flips.consume(routes[seen], p[seen], np.ones_like(p[seen]))
        flips.look()
    return bool(flips.alone[0, 0])


def found(noise: CostNoise, n: int, seed: int) -> bool:
    """Whether the judge tells the planted effect from zero."""
    table = table_of(*pairs(np.random.default_rng([seed, n, 7]), noise, n))
    return claim(judged(table, suite_of([0.02], seed), moved)).above_zero


def cleared(noise: CostNoise, n: int, seed: int) -> bool:
    """Whether equal models are shown not worse by as much as the effect."""
    equal = replace(noise, effect=0.0)
    table = table_of(*pairs(np.random.default_rng([seed, n, 8]), equal, n))
    return shown_not_worse(judged(table, suite_of([noise.effect], seed), shown_not_worse))


def planned(
    plan: Callable[..., float], noise: CostNoise, power: float, distance: float, deviation: float
) -> int:
    """Segments by a shipped plan, from the true spread as if seen on 1,000 routes."""
    seen = 1000 * noise.per_route
    sample = Sample(seen, 1000, deviation / float(np.sqrt(seen)))
    return ceil(plan(sample, seen, distance, ALPHA, power))


def critical(counts: dict[float, tuple[int, int]], head: float) -> float:
    """Critical value that makes the runs most likely: k to (found, runs); head = t + z."""

    def loss(c: float) -> float:
        p = np.clip([norm.cdf(np.sqrt(k) * head - c) for k in counts], 1e-9, 1 - 1e-9)
        hits, runs = np.array(list(counts.values())).T
        return -float((hits * np.log(p) + (runs - hits) * np.log1p(-p)).sum())

    return float(minimize_scalar(loss, bounds=(1.5, 4.0), method="bounded").x)


class Experiment(NamedTuple):
    """Simulated runs of one cell of the table."""

    run: Callable[[CostNoise, int, int], bool]
    noise: CostNoise
    what: str
    n: int


def experiments() -> list[Experiment]:
    work = []
    for noise in SCENARIOS:
        mean, deviation = truth(noise)
        fixed = ((T + Z) * deviation / mean) ** 2
        work += [Experiment(flipped, noise, f"k={k}", ceil(k * fixed)) for k in FACTORS]
        for p in PLANNED_AT:
            n = planned(finding_segments, noise, p, mean, deviation)
            work.append(Experiment(found, noise, f"plan={p}", n))
        for p in PLANNED_AT:
            n = planned(deciding_segments, noise, p, noise.effect, deviation)
            work.append(Experiment(cleared, noise, f"clear={p}", n))
    return work


def simulate(runs: int, until: float, stored: dict[str, list[int]]) -> None:
    """`stored`: "scenario/what/n" to one 0 or 1 for each run; goes on where it ended."""
    work = experiments()
    for i in range(runs):
        for one in work:
            done = stored.setdefault(f"{one.noise.name}/{one.what}/n={one.n}", [])
            if len(done) == i:
                if time.monotonic() > until:
                    return
                done.append(int(one.run(one.noise, one.n, i)))


def report(stored: dict[str, list[int]]) -> str:
    kinds = ("found", "equal models cleared")
    checked = [f"{what} at the plan for {100 * p:g} %" for what in kinds for p in PLANNED_AT]
    by_k = [f"k = {k:g}" for k in FACTORS]
    columns = ["CostNoise and effect", *by_k, "critical value", "factor for 80 %", *checked]
    factors, rows = [], []
    for noise in SCENARIOS:
        cells, factor = _row(noise, stored)
        factors.append(factor)
        rows.append(f"| {' | '.join([noise.name, *cells])} |")
    lines = [
        "# What a plan must allow for the sequential test",
        "",
        f"`python -m benchmarks.planning`: power of sign flips (alpha {ALPHA}, linear spending, "
        f"looks every {LOOK_EVERY} pairs, B = 999) at k times the segments of a test at fixed N "
        f"with {100 * POWER:g} % power, and of the judge at the segments of `redrive plan`.",
        "",
        f"| {' | '.join(columns)} |",
        "|" + "---|" * len(columns),
        *rows,
        "",
        f"{len(next(iter(stored.values())))} runs a cell, 95 % Wilson intervals. Factors from "
        f"{min(factors):.2f} to {max(factors):.2f}, mean {np.mean(factors):.2f}.",
        "",
    ]
    return "\n".join(lines)


def _row(noise: CostNoise, stored: dict[str, list[int]]) -> tuple[list[str], float]:
    """Cells of one scenario, and the factor by which its plan must be longer."""

    def of(what: str) -> tuple[str, list[int]]:
        start = f"{noise.name}/{what}/n="
        key = next(key for key in stored if key.startswith(start))
        return f"{int(key.removeprefix(start)):,}", stored[key]

    by_k = {k: of(f"k={k}")[1] for k in FACTORS}
    c = critical({k: (sum(hits), len(hits)) for k, hits in by_k.items()}, T + Z)
    factor = ((c + Z) / (T + Z)) ** 2
    plans = [of(f"{what}={p}") for what in ("plan", "clear") for p in PLANNED_AT]
    cells = [share(hits) for hits in by_k.values()] + [f"{c:.2f}", f"{factor:.2f}"]
    return cells + [f"{share(hits)} at {n}" for n, hits in plans], factor


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--runs", type=int, default=300, help="simulated runs of each cell")
    later = "stop after so long; a later call goes on"
    parser.add_argument("--seconds", type=float, default=500.0, help=later)
    can_write(parser)
    chosen = parser.parse_args()
    stored: dict[str, list[int]] = json.loads(STORED.read_text()) if STORED.exists() else {}
    simulate(chosen.runs, time.monotonic() + chosen.seconds, stored)
    STORED.parent.mkdir(exist_ok=True)
    STORED.write_text(json.dumps(stored))
    publish(report(stored), "planning.md", chosen.write)


if __name__ == "__main__":
    main()
