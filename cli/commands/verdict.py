"""`redrive verdict`: judge a CSV of paired costs by hand, by the engine that judges runs."""

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.cost_csv import Costs, paired, read_costs
from cli.exit_codes import EXIT_INCONCLUSIVE, EXIT_OURS, EXIT_PASS, EXIT_REGRESSION
from cli.options import AsJson, argument, option
from cli.printing import Columns, print_items, print_json
from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Suite
from suites.errors import SubmitterError
from suites.formatting import plural, share
from suites.judgement import GateVerdict, Interval, Verdict
from suites.run_plan import RunPlan
from suites.verdict.run_judge import decide
from suites.verdict.sentence import span
from suites.vocabulary import Estimand, RunVerdict

app = typer.Typer(context_settings={"allow_interspersed_args": True})
DOZENS = 12
"""From this number of metrics on, fewer sign vectors keep judging cheap.

The first look of 5,000 pairs then spends nothing yet.
"""

EXIT = {
    RunVerdict.PASS: EXIT_PASS,
    RunVerdict.FAIL: EXIT_REGRESSION,
    RunVerdict.INCONCLUSIVE: EXIT_INCONCLUSIVE,
}


@app.callback(invoke_without_command=True)
def verdict(
    costs: Annotated[
        Path, argument("CSV (.gz allowed): segment, controller or model, metrics, maybe route.")
    ],
    baseline: Annotated[
        str, option("Name of the model that is judged against.", "REDRIVE_BASELINE")
    ],
    candidate: Annotated[str, option("Name of the model that is judged.", "REDRIVE_CANDIDATE")],
    metric: Annotated[
        list[str] | None, option("Judge this one; may be repeated.", "REDRIVE_METRIC")
    ] = None,
    route_column: Annotated[
        str | None, option("Column that names the route.", "REDRIVE_ROUTE_COLUMN")
    ] = None,
    margin: Annotated[
        float, option("Largest relative worsening accepted.", "REDRIVE_MARGIN", min=1e-6, max=10)
    ] = 0.02,
    estimand: Annotated[
        Estimand, option("Which one gates: the typical drive or the mean.", "REDRIVE_ESTIMAND")
    ] = Estimand.TYPICAL,
    cap: Annotated[
        list[str] | None,
        option("METRIC=COST: costs above count as this in the mean.", "REDRIVE_CAP"),
    ] = None,
    alpha: Annotated[
        float, option("False alarms accepted over all metrics.", "REDRIVE_ALPHA", min=1e-6, max=0.5)
    ] = 0.05,
    flips: Annotated[
        int | None,
        option(
            "Sign vectors; 9,999, or 999 from 12 metrics on.", "REDRIVE_FLIPS", min=99, max=99_999
        ),
    ] = None,
    look_every: Annotated[
        int, option("Look each time after this number of pairs.", "REDRIVE_LOOK_EVERY", min=1)
    ] = 20,
    order_seed: Annotated[
        int, option("Seed of the order and of the signs.", "REDRIVE_ORDER_SEED", min=0)
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Judge a CSV of paired costs by hand, by the engine that judges runs.

    Every metric is judged by both estimands, then the verdict is said in one sentence.

    Exit code 0: pass, 1: fail, 3: cannot tell.
    """
    read = read_costs(costs, metric or (), route_column)
    table = paired(read, candidate, baseline, order_seed)
    caps = _caps(cap or (), read)
    suite = Suite(
        name="by_hand",
        kind="overall",
        select=Selector(),
        alpha=alpha,
        order_seed=order_seed,
        look_every=look_every,
        flips=flips or (9_999 if len(read.metrics) < DOZENS else 999),
        gates=tuple(
            Gate(metric=m, estimand=estimand, margin=margin, winsor_cap=caps.get(m))
            for m in read.metrics
        ),
    )
    result = decide(table, suite, RunPlan(len(table)))
    missing = {name: len(table.case_ids) - len(read.values[name]) for name in (candidate, baseline)}
    if as_json:
        counts = {"missing": missing, "not_finite": read.not_finite}
        print_json(_plain(asdict(result) | counts))
    else:
        _show(result, read, missing, caps)
    sys.exit(EXIT[result.verdict] if result.verdict else EXIT_OURS)


def _caps(texts: Sequence[str], read: Costs) -> dict[str, float]:
    caps = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            caps[name] = float(value)
        except ValueError:
            raise SubmitterError(f"--cap {text}: write METRIC=COST") from None
        if name not in read.metrics or not 0 < caps[name] < math.inf:
            needed = f"a metric of {', '.join(read.metrics)} and a cost above zero are needed"
            raise SubmitterError(f"--cap {text}: {needed}")
    return caps


def _plain(value: Any) -> Any:
    """JSON has no NaN: missing numbers become null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(result: Verdict, read: Costs, missing: dict[str, int], caps: dict[str, float]) -> None:
    print_items(result.gates, COLUMNS, "")
    print()
    for gate in result.gates:
        if gate.reason:
            print(f"{gate.metric}: {gate.reason}")
    for name, count in missing.items():
        empty = read.not_finite[name]
        if count or empty:
            segments = plural(count, "segment")
            print(f"{name}: {segments} missing, {plural(empty, 'value')} empty or not finite")
    if bare := [gate.metric for gate in result.gates if _lacks_cap(gate, caps)]:
        print(
            f"The mean of {', '.join(bare)} has no cap (--cap): "
            "rare spikes that were not met yet may lie outside its interval."
        )
    if all(segment == route for segment, route in read.routes.items()):
        print(
            "No route column: each segment counts as a route of its own. "
            "Segments of one drive are not independent."
        )
    if result.pairs_consumed < result.pairs_planned:
        print(f"Decided after {result.pairs_consumed:,} of {result.pairs_planned:,} pairs.")
    print(result.sentence)


def _lacks_cap(gate: GateVerdict, caps: dict[str, float]) -> bool:
    mean = _interval(gate, Estimand.MEAN)
    return gate.metric not in caps and mean is not None and mean.low < mean.high


def _interval(gate: GateVerdict, estimand: Estimand) -> Interval | None:
    return gate.interval if gate.estimand is estimand else gate.other_estimand


def _visible(gate: GateVerdict) -> str:
    seen = gate.smallest_visible_effect
    return "-" if seen is None else share(round(seen, 5))


COLUMNS: Columns = {
    "metric": lambda g: g.metric,
    "baseline": lambda g: f"{g.baseline_mean:.5g}",
    "candidate": lambda g: f"{g.candidate_mean:.5g}",
    "typical drive": lambda g: span(_interval(g, Estimand.TYPICAL), Estimand.TYPICAL),
    "mean": lambda g: span(_interval(g, Estimand.MEAN), Estimand.MEAN),
    "verdict": lambda g: g.verdict.value,
    "decided at": lambda g: f"{g.decided_at:,}" if g.decided_at else "-",
    "could see": _visible,
    "pairs": lambda g: f"{g.pairs:,}",
    "invalid": lambda g: f"{g.invalid:,}",
}
