"""How many more pairs the sequential test needs than one at fixed N: what `suites.statistics.sample_size` allows for.

    python -m benchmarks.planning [--runs 300] [--seconds 500]

For each noise and effect a plan for 80 % power at fixed N gives n = ((t + z) sd / effect)^2 segments (clustered by route). The
judge that decides runs then meets k n segments of such models, many times over, for several k; every time it may look each 20
pairs. Its power is that of a test at fixed N with the critical value c, Phi(sqrt(k) (t + z) - c); c is fitted to all runs
of a scenario by maximum likelihood, and ((c + z) / (t + z))^2 is the factor by which a plan must be longer. The last
columns check the plans that come out, with the shipped factor, at 80 and at 90 % power: the effect told from zero, and equal
models shown not worse by as much (which needs the bets on pairs and on routes as well).
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm

from benchmarks.statistics import claims, moved, suite_of, table_of
from suites.statistics.engines import OWN
from suites.statistics.sample_size import clearing_segments, segments_needed

STORED = Path(__file__).parents[1] / "build/planning.json"
REPORT = Path(__file__).parent / "results/planning.md"
ALPHA, POWER = 0.05, 0.8
Z = float(norm.ppf(POWER))
FACTORS = (0.9, 1.0, 1.15, 1.3)
PLANNED_AT = (0.8, 0.9)

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Noise:
    """Of ln(candidate / baseline): between routes and within, and the degrees of freedom of its t distribution."""

    name: str
    route_sd: float
    segment_sd: float
    freedom: float
    per_route: int
    effect: float


SCENARIOS = (
    Noise("t4 noise, one segment a route, 2 %", 0.0, 0.12, 4, 1, 0.02),
    Noise("t4 noise, one segment a route, 5 %", 0.0, 0.12, 4, 1, 0.05),
    Noise("normal noise, one segment a route, 5 %", 0.0, 0.3, 200, 1, 0.05),
    Noise("t4 noise, four segments a route, 5 %", 0.08, 0.12, 4, 4, 0.05),
    Noise("normal noise, nine segments a route, 10 %", 0.15, 0.25, 200, 9, 0.10),
)


def pairs(rng: np.random.Generator, noise: Noise, n: int) -> tuple[Floats, Floats, list[str]]:
    """n pairs in a run's order, breadth first over routes."""
    routes = max(2, round(n / noise.per_route))
    index = np.arange(n) % routes
    shape = 1.0 if noise.freedom > 100 else np.sqrt((noise.freedom - 2) / noise.freedom)
    apart = noise.route_sd * rng.standard_normal(routes)[
        index
    ] + noise.segment_sd * shape * rng.standard_t(noise.freedom, n)
    baseline = np.exp(rng.normal(0, 0.6, n))
    return (
        (baseline * np.exp(noise.effect + apart))[:, None],
        baseline[:, None],
        [f"r{i}" for i in index],
    )


def truth(noise: Noise) -> tuple[float, float]:
    """Mean of the relative difference, and standard deviation of its mean over n segments times sqrt(n), clustered."""
    rng = np.random.default_rng(0)
    n = 400_000 // noise.per_route * noise.per_route
    c, b, _ = pairs(rng, noise, n)
    r = (2 * (c - b) / (c + b))[:, 0]
    sums = r.reshape(noise.per_route, -1).sum(axis=0)
    return float(r.mean()), float(sums.std() / np.sqrt(noise.per_route))


def found(noise: Noise, n: int, seed: int) -> bool:
    """Whether the planted effect is told from zero."""
    rng = np.random.default_rng([seed, n, 7])
    c, b, routes = pairs(rng, noise, n)
    judge = claims(table_of(c, b, routes), suite_of([0.02], seed), moved)
    return bool(judge.claims()[0][OWN].above_zero)


def cleared(noise: Noise, n: int, seed: int) -> bool:
    """Whether equal models are shown not worse by as much as the effect."""
    rng = np.random.default_rng([seed, n, 8])
    c, b, routes = pairs(rng, replace(noise, effect=0.0), n)
    judge = claims(
        table_of(c, b, routes),
        suite_of([noise.effect], seed),
        lambda j: j.claims()[0][OWN].below_margin,
    )
    return bool(judge.claims()[0][OWN].below_margin)


def planned(noise: Noise, power: float, distance: float, deviation: float, clear: bool) -> int:
    """Segments by the shipped plan, from the true spread as if seen on 1,000 routes: to tell an effect, or to `clear` equals."""
    seen = 1000 * noise.per_route
    error = deviation / np.sqrt(seen)
    return ceil(
        (clearing_segments if clear else segments_needed)(error, distance, seen, 1000, ALPHA, power)
    )


def critical(counts: dict[float, tuple[int, int]], head: float) -> float:
    """The critical value that makes the runs most likely: factor k to (found, runs); head = t + z."""

    def loss(c: float) -> float:
        p = np.clip([norm.cdf(np.sqrt(k) * head - c) for k in counts], 1e-9, 1 - 1e-9)
        hits, runs = np.array(list(counts.values())).T
        return -float((hits * np.log(p) + (runs - hits) * np.log1p(-p)).sum())

    return float(minimize_scalar(loss, bounds=(1.5, 4.0), method="bounded").x)


def simulate(runs: int, until: float, stored: dict[str, list[int]]) -> None:
    """`stored`: "scenario/what" to one 0 or 1 for each run; goes on where it ended."""
    work = []
    for noise in SCENARIOS:
        mean, deviation = truth(noise)
        fixed = ((norm.isf(ALPHA / 2) + Z) * deviation / mean) ** 2
        work += [(found, noise, f"{noise.name}/k={k}", ceil(k * fixed)) for k in FACTORS]
        work += [
            (found, noise, f"{noise.name}/plan={p}", planned(noise, p, mean, deviation, False))
            for p in PLANNED_AT
        ]
        work += [
            (
                cleared,
                noise,
                f"{noise.name}/clear={p}",
                planned(noise, p, noise.effect, deviation, True),
            )
            for p in PLANNED_AT
        ]
    for i in range(runs):
        for experiment, noise, key, n in work:
            done = stored.setdefault(f"{key}/n={n}", [])
            if len(done) == i:
                if time.monotonic() > until:
                    return
                done.append(int(experiment(noise, n, i)))


def report(stored: dict[str, list[int]]) -> str:
    lines = [
        "# What a plan must allow for the sequential test",
        "",
        f"`python -m benchmarks.planning`: power of the judge (alpha {ALPHA}, linear spending, looks every 20 pairs, B = 999) "
        f"at k times the segments of a test at fixed N with {100 * POWER:g} % power, and at the segments of `redrive plan`.",
        "",
        "| Noise and effect | "
        + " | ".join(f"k = {k:g}" for k in FACTORS)
        + " | critical value | factor for 80 % "
        "| "
        + " | ".join(
            f"{what} at the plan for {100 * p:g} %"
            for what in ("found", "equal models cleared")
            for p in PLANNED_AT
        )
        + " |",
        "|" + "---|" * (len(FACTORS) + 3 + 2 * len(PLANNED_AT)),
    ]
    factors = []
    for noise in SCENARIOS:
        shown = {
            key.removeprefix(f"{noise.name}/"): values
            for key, values in stored.items()
            if key.startswith(noise.name)
        }
        by_k = {
            k: next(v for key, v in shown.items() if key.startswith(f"k={k}/")) for k in FACTORS
        }
        head = float(norm.isf(ALPHA / 2)) + Z
        c = critical({k: (sum(v), len(v)) for k, v in by_k.items()}, head)
        factors.append(((c + Z) / head) ** 2)
        plans = [
            next((key, v) for key, v in shown.items() if key.startswith(f"{what}={p}/"))
            for what in ("plan", "clear")
            for p in PLANNED_AT
        ]
        cells = [_rate(v) for v in by_k.values()] + [f"{c:.2f}", f"{factors[-1]:.2f}"]
        cells += [f"{_rate(v)} at {int(key.rpartition('n=')[2]):,}" for key, v in plans]
        lines.append(f"| {noise.name} | {' | '.join(cells)} |")
    runs = len(next(iter(stored.values())))
    lines += [
        "",
        f"{runs} runs a cell, 95 % Wilson intervals. Factors from {min(factors):.2f} to {max(factors):.2f}, mean "
        f"{np.mean(factors):.2f}.",
        "",
    ]
    return "\n".join(lines)


def _rate(values: list[int]) -> str:
    interval = binomtest(sum(values), len(values)).proportion_ci(method="wilson")
    return f"{100 * np.mean(values):.0f} % [{100 * interval.low:.0f}, {100 * interval.high:.0f}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=300, help="simulated runs of each cell")
    parser.add_argument(
        "--seconds", type=float, default=500.0, help="stop after so long; a later call goes on"
    )
    chosen = parser.parse_args()
    stored: dict[str, list[int]] = json.loads(STORED.read_text()) if STORED.exists() else {}
    simulate(chosen.runs, time.monotonic() + chosen.seconds, stored)
    STORED.parent.mkdir(exist_ok=True)
    STORED.write_text(json.dumps(stored))
    text = report(stored)
    REPORT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
