"""`redrive verdict`: judge a CSV of paired costs by hand, by the engine that judges runs."""

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.cost_csv import Costs, paired, read_costs
from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Suite
from suites.errors import SubmitterError
from suites.judgement import GateVerdict, Interval, Verdict
from suites.verdict.run_judge import decide
from suites.verdict.sentence import plural, share, span
from suites.vocabulary import Estimand, RunVerdict

app = typer.Typer(context_settings={"allow_interspersed_args": True})
DOZENS = 12
"""From so many metrics on, fewer sign vectors keep judging cheap; the first look of 5,000 pairs then spends nothing yet."""

EXIT = {RunVerdict.PASS: 0, RunVerdict.FAIL: 1, RunVerdict.INCONCLUSIVE: 3}


@app.callback(invoke_without_command=True)
def verdict(
    costs: Annotated[
        Path,
        typer.Argument(
            help="CSV (.gz allowed): segment, controller or model, metrics, maybe route."
        ),
    ],
    baseline: Annotated[
        str,
        typer.Option(envvar="REDRIVE_BASELINE", help="Name of the model that is judged against."),
    ],
    candidate: Annotated[
        str, typer.Option(envvar="REDRIVE_CANDIDATE", help="Name of the model that is judged.")
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(envvar="REDRIVE_METRIC", help="Judge this one; may be repeated."),
    ] = None,
    route_column: Annotated[
        str | None, typer.Option(envvar="REDRIVE_ROUTE_COLUMN", help="Column that names the route.")
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            envvar="REDRIVE_MARGIN", help="Largest relative worsening accepted.", min=1e-6, max=10
        ),
    ] = 0.02,
    estimand: Annotated[
        Estimand,
        typer.Option(
            envvar="REDRIVE_ESTIMAND", help="Which one gates: the typical drive or the mean."
        ),
    ] = Estimand.TYPICAL,
    cap: Annotated[
        list[str] | None,
        typer.Option(
            envvar="REDRIVE_CAP", help="METRIC=COST: costs above count as this in the mean."
        ),
    ] = None,
    alpha: Annotated[
        float,
        typer.Option(
            envvar="REDRIVE_ALPHA",
            help="False alarms accepted over all metrics.",
            min=1e-6,
            max=0.5,
        ),
    ] = 0.05,
    flips: Annotated[
        int | None,
        typer.Option(
            envvar="REDRIVE_FLIPS",
            help="Sign vectors; 9,999, or 999 from 12 metrics on.",
            min=99,
            max=99_999,
        ),
    ] = None,
    look_every: Annotated[
        int, typer.Option(envvar="REDRIVE_LOOK_EVERY", help="Look after each so many pairs.", min=1)
    ] = 20,
    order_seed: Annotated[
        int,
        typer.Option(
            envvar="REDRIVE_ORDER_SEED", help="Seed of the order and of the signs.", min=0
        ),
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", envvar="REDRIVE_JSON", help="JSON alone on standard output.")
    ] = False,
) -> None:
    """Judge a candidate against a baseline: every metric by both estimands, then the verdict in one sentence.

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
    result = decide(table, suite, len(table.case_ids))
    missing = {name: len(table.case_ids) - len(read.values[name]) for name in (candidate, baseline)}
    if as_json:
        print(
            json.dumps(
                _plain(asdict(result) | {"missing": missing, "not_finite": read.not_finite}),
                indent=1,
            )
        )
    else:
        _show(result, read, missing, caps)
    sys.exit(EXIT[result.verdict] if result.verdict else 4)


def _caps(texts: tuple[str, ...] | list[str], read: Costs) -> dict[str, float]:
    caps = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            caps[name] = float(value)
        except ValueError:
            raise SubmitterError(f"--cap {text}: write METRIC=COST") from None
        if name not in read.metrics or not 0 < caps[name] < math.inf:
            raise SubmitterError(
                f"--cap {text}: a metric of {', '.join(read.metrics)} and a cost above zero are needed"
            )
    return caps


def _plain(value: Any) -> Any:
    """JSON has no NaN: missing numbers become null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(result: Verdict, read: Costs, missing: dict[str, int], caps: dict[str, float]) -> None:
    head = (
        "metric",
        "baseline",
        "candidate",
        "typical drive",
        "mean",
        "verdict",
        "decided at",
        "could see",
        "pairs",
        "invalid",
    )
    rows = [head, *(_row(gate) for gate in result.gates)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    print()
    for gate in result.gates:
        if gate.reason:
            print(f"{gate.metric}: {gate.reason}")
    for name, count in missing.items():
        if count or read.not_finite[name]:
            print(
                f"{name}: {plural(count, 'segment')} missing, {plural(read.not_finite[name], 'value')} empty or not finite"
            )
    if bare := [
        gate.metric
        for gate in result.gates
        if gate.metric not in caps and (mean := _mean(gate)) and mean.low < mean.high
    ]:
        print(
            f"The mean of {', '.join(bare)} has no cap (--cap): rare spikes that were not met yet may lie outside its interval."
        )
    if all(segment == route for segment, route in read.routes.items()):
        print(
            "No route column: each segment counts as a route of its own. Segments of one drive are not independent."
        )
    if result.pairs_consumed < result.pairs_planned:
        print(f"Decided after {result.pairs_consumed:,} of {result.pairs_planned:,} pairs.")
    print(result.sentence)


def _mean(gate: GateVerdict) -> Interval | None:
    return gate.interval if gate.estimand is Estimand.MEAN else gate.other_estimand


def _row(gate: GateVerdict) -> tuple[str, ...]:
    typical, mean = (
        gate.interval if gate.estimand is Estimand.TYPICAL else gate.other_estimand,
        _mean(gate),
    )
    seen = gate.smallest_visible_effect
    return (
        gate.metric,
        f"{gate.baseline_mean:.5g}",
        f"{gate.candidate_mean:.5g}",
        span(typical, Estimand.TYPICAL),
        span(mean, Estimand.MEAN),
        gate.verdict.value,
        f"{gate.decided_at:,}" if gate.decided_at else "-",
        share(round(seen, 5)) if seen is not None else "-",
        f"{gate.pairs:,}",
        f"{gate.invalid:,}",
    )
