"""Operating characteristics of the verdict engine: how often it is wrong, and how soon it is right.

    python -m benchmarks.statistics [--runs 2000] [--seconds 600] [--only NAME ...] [--out FILE]
                                    [--beside CHECKOUT]

One process. What was run is kept in FILE (JSON, counts per scenario), and a later call goes on from
there. Every scenario uses the same registered spending (alpha = .05, rho = 1) and looks (every 20
pairs), B = 999 (9,999 for regressions). The table is printed; results/statistics.md quotes it.
With --beside the runs of benchmarks/failing.py are judged by another checkout of this repository
as well, the same tables pair by pair.
"""

import json
import time
from pathlib import Path

import numpy as np

from benchmarks.drawn_by_cost import BY_COST
from benchmarks.driven_runs import Row, Simulation, stopped
from benchmarks.failing import BESIDE, FAILING
from benchmarks.null_shapes import NULL_SHAPES
from benchmarks.older_checkout import OlderCheckout
from benchmarks.passing import PASSING
from benchmarks.rate_gates import RATES
from benchmarks.result_pages import command_line, share
from benchmarks.simulated_pairs import REAL
from benchmarks.steady_verdicts import STEADY
from benchmarks.verdict_scenarios import SCENARIOS
from suites.vocabulary import RunVerdict

STORED = Path(__file__).parents[1] / "build/statistics.json"
ALL = SCENARIOS | PASSING | FAILING | NULL_SHAPES | STEADY | BY_COST | RATES
THEN = "beside the other checkout"


def simulate(
    name: str, function: Simulation, runs: int, until: float, done: dict[str, list[float]]
) -> None:
    """Goes on where `done` ends; run i has a seed of its own: interruptions change nothing."""
    start = len(next(iter(done.values()), []))
    key = int.from_bytes(name.encode(), "big") % 2**32
    for i in range(start, runs):
        if time.monotonic() > until:
            break
        for what, value in function(np.random.default_rng([key, i]), i).items():
            done.setdefault(what, []).append(round(float(value), 4))


def beside(name: str, older: OlderCheckout) -> Simulation:
    """The same run judged by this engine and by the other one."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        simulated = BESIDE[name](rng, seed)
        now, then = stopped(simulated), older.stopped(simulated)
        return {
            "fail": now[0] is RunVerdict.FAIL,
            "segments": now[1],
            "fail then": then[0] == RunVerdict.FAIL,
            "segments then": then[1],
        }

    return run


def report(results: dict[str, dict[str, list[float]]]) -> str:
    """A table: shares with their 95 % Wilson intervals, and medians of segments."""
    lines = ["| Scenario | Runs | Result |", "|---|---|---|"]
    for name, shown in results.items():
        if shown:
            runs = len(next(iter(shown.values())))
            cells = [_cell(what, values) for what, values in shown.items()]
            if "segments then" in shown:
                cells.append(_ratio(shown["segments"], shown["segments then"]))
            lines.append(f"| {name} | {runs:,} | {'; '.join(cells)} |")
    return "\n".join(lines)


def _cell(what: str, values: list[float]) -> str:
    if set(values) <= {0.0, 1.0}:
        return f"{what} {share(values, digits=1)}"
    middle, late = np.percentile(values, [50, 90])
    low, high = np.percentile(values, [5, 95])
    return f"{what}: median {middle:g} (5–95 %: {low:g}–{high:g}; 90 %: {late:g})"


def _ratio(now: list[float], then: list[float]) -> str:
    """Ratio of the medians with its 95 % interval (percentile bootstrap over runs)."""
    both = np.array([now, then])
    drawn = np.random.default_rng(0).integers(0, both.shape[1], (2000, both.shape[1]))
    ratio = np.divide(*np.median(both, axis=1))
    low, high = np.percentile(np.divide(*np.median(both[:, drawn], axis=2)), [2.5, 97.5])
    return f"ratio of medians {ratio:.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--runs", type=int, default=2000, help="simulated runs of the main scenarios")
    add("--seconds", type=float, default=600.0, help="stop after so long; a later call goes on")
    add("--only", nargs="*", default=list(ALL), help="scenarios whose names begin so")
    add("--out", type=Path, default=STORED)
    add("--beside", type=Path, help="root of another checkout, whose engine judges as well")
    chosen = parser.parse_args()
    results = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    until = time.monotonic() + chosen.seconds
    older = OlderCheckout(chosen.beside) if chosen.beside else None
    for name, (function, part) in (FAILING if older else ALL).items():
        if not name.startswith(tuple(chosen.only)) or ("real" in name and not REAL.exists()):
            continue
        key = f"{name}, {THEN}" if older else name
        judged = beside(name, older) if older else function
        runs = max(3, round(chosen.runs * part))
        simulate(name, judged, runs, until, results.setdefault(key, {}))
        chosen.out.parent.mkdir(exist_ok=True)
        chosen.out.write_text(json.dumps(results))
    if older:
        older.close()
    print(report(results))


if __name__ == "__main__":
    main()
