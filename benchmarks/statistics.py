"""Operating characteristics of the verdict engine: how often it is wrong, and how soon it is right.

    python -m benchmarks.statistics [--runs 2000] [--seconds 600] [--only NAME ...] [--out FILE]

One process. What was run is kept in FILE (JSON, counts per scenario), and a later call goes on from
there. Every scenario uses the same registered spending (alpha = .05, rho = 1) and looks (every 20
pairs), B = 999 (9,999 for regressions). The table is printed; results/statistics.md quotes it.
"""

import json
import time
from pathlib import Path

import numpy as np

from benchmarks.result_pages import command_line, share
from benchmarks.simulated_pairs import REAL
from benchmarks.verdict_scenarios import SCENARIOS

STORED = Path(__file__).parents[1] / "build/statistics.json"


def simulate(name: str, runs: int, until: float, done: dict[str, list[float]]) -> None:
    """Goes on where `done` ends; run i has a seed of its own: interruptions change nothing."""
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
        shown = results.get(name, {})
        if shown:
            runs = len(next(iter(shown.values())))
            cells = "; ".join(_cell(what, values) for what, values in shown.items())
            lines.append(f"| {name} | {runs:,} | {cells} |")
    return "\n".join(lines)


def _cell(what: str, values: list[float]) -> str:
    if set(values) <= {0.0, 1.0}:
        return f"{what} {share(values, digits=1)}"
    low, high = np.percentile(values, [5, 95])
    return f"{what}: median {np.median(values):g} (5–95 %: {low:g}–{high:g})"


def main() -> None:
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--runs", type=int, default=2000, help="simulated runs of the main scenarios")
    add("--seconds", type=float, default=600.0, help="stop after so long; a later call goes on")
    add("--only", nargs="*", default=list(SCENARIOS), help="scenarios whose names begin so")
    add("--out", type=Path, default=STORED)
    chosen = parser.parse_args()
    results = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    until = time.monotonic() + chosen.seconds
    for name, (_, part) in SCENARIOS.items():
        there = "real" not in name or REAL.exists()
        if there and name.startswith(tuple(chosen.only)):
            simulate(name, max(3, round(chosen.runs * part)), until, results.setdefault(name, {}))
            chosen.out.parent.mkdir(exist_ok=True)
            chosen.out.write_text(json.dumps(results))
    print(report(results))


if __name__ == "__main__":
    main()
