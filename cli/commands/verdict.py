"""`redrive verdict`: judge a CSV of paired costs by hand, by the engine that judges runs."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.cost_csv import arrived, paired, read_costs
from cli.cost_notes import cost_notes, lacking, mean_notes, means_of_others
from cli.exit_codes import EXIT_INCONCLUSIVE, EXIT_PASS, EXIT_REGRESSION
from cli.gate_table import print_gates
from cli.hand_draw import HandDraw, by_own_costs
from cli.hand_suite import MARGIN, RATE_MARGIN, hand_plan, hand_suite
from cli.judged_columns import Kind, declared_kinds
from cli.options import (
    AsJson,
    AsRate,
    HigherIsBetter,
    LowerIsBetter,
    Metric,
    RateMargin,
    argument,
    option,
)
from cli.printing import print_json
from cli.run_verdict import open_run, show_run
from suites.errors import Finding, SubmitterError
from suites.judgement import Verdict, document
from suites.verdict.run_file import RunFile
from suites.verdict.run_judge import decide
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
    None: EXIT_INCONCLUSIVE,
}


@app.callback(invoke_without_command=True)
def verdict(
    context: typer.Context,
    costs: Annotated[
        Path,
        argument(
            "CSV (.gz allowed): segment, controller or model, metrics, maybe route; "
            "or what `redrive runs export` wrote, which needs no option."
        ),
    ],
    baseline: Annotated[
        str | None, option("Name of the model that is judged against.", "REDRIVE_BASELINE")
    ] = None,
    candidate: Annotated[
        str | None, option("Name of the model that is judged.", "REDRIVE_CANDIDATE")
    ] = None,
    metric: Metric = None,
    lower_is_better: LowerIsBetter = None,
    higher_is_better: HigherIsBetter = None,
    rate: AsRate = None,
    route_column: Annotated[
        str | None, option("Column that names the route.", "REDRIVE_ROUTE_COLUMN")
    ] = None,
    margin: Annotated[
        float, option("Largest relative worsening accepted.", "REDRIVE_MARGIN", min=1e-6, max=10)
    ] = MARGIN,
    rate_margin: RateMargin = RATE_MARGIN,
    estimand: Annotated[
        Literal["typical", "mean"],
        option("Which one gates costs: the typical drive or the mean.", "REDRIVE_ESTIMAND"),
    ] = "typical",
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
    planned: Annotated[
        int | None,
        option(
            "The file grows to this number of pairs; without it the file is complete.",
            "REDRIVE_PLANNED",
            min=1,
        ),
    ] = None,
    draw: Annotated[
        Literal["uniform", "cost"],
        option("cost: what the baseline finds hard counts first, weighted back.", "REDRIVE_DRAW"),
    ] = "uniform",
    draw_metric: Annotated[
        str | None,
        option("Column whose costs weigh the draw; the first by default.", "REDRIVE_DRAW_METRIC"),
    ] = None,
    draw_share: Annotated[
        float | None,
        option(
            "0.3 beside gates of the typical drive (when not given), 0.8 where means alone gate.",
            "REDRIVE_DRAW_SHARE",
            min=0.01,
            max=0.99,
        ),
    ] = None,
    relative_cap: Annotated[
        float | None,
        option(
            "Costs above so many times what is expected count as that in the mean.",
            "REDRIVE_RELATIVE_CAP",
            min=1.01,
            max=1000,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a CSV of paired costs or an exported run by hand, by the engine that judges runs.

    Registered metrics are judged, and columns that are named with the way in which they are
    better. Costs and scores are judged by both estimands, then the verdict is said in one sentence.

    \b
    redrive verdict costs.csv --baseline A --candidate B
    redrive verdict costs.csv --baseline A --candidate B --higher-is-better score --rate collisions
    redrive verdict growing.csv --baseline A --candidate B --planned 5000
    redrive verdict costs.csv --baseline A --candidate B --estimand mean --draw cost
    redrive verdict run.csv

    Exit code 0: pass, 1: fail, 3: cannot tell, or not decided yet.
    """
    if (run := open_run(costs)) is not None:
        sys.exit(_judge_run(run, context, as_json))
    if baseline is None or candidate is None:
        lacks = "--baseline" if baseline is None else "--candidate"
        raise typer.BadParameter("a table of costs needs it", context, param_hint=lacks)
    declared = declared_kinds(lower_is_better, higher_is_better, rate)
    read = read_costs(costs, metric or (), route_column, declared)
    models = candidate, baseline
    table = arrived(read, *models) if planned else paired(read, *models, order_seed)
    if planned and len(table) > planned:
        remedy = "state the number that was planned before the first look"
        finding = Finding(f"--planned {planned}", f"{len(table):,} pairs in {costs}", remedy)
        raise SubmitterError("there are more pairs than were planned", finding)
    caps = _caps(cap or (), read.kinds)
    suite = replace(
        hand_suite(
            read.kinds,
            margin=margin,
            rate_margin=rate_margin,
            estimand=Estimand(estimand),
            caps=caps,
        ),
        alpha=alpha,
        order_seed=order_seed,
        look_every=look_every,
        flips=flips or (9_999 if len(read.kinds) < DOZENS else 999),
    )
    drawn = HandDraw(
        draw=draw, draw_metric=draw_metric, draw_share=draw_share, relative_cap=relative_cap
    )
    suite = drawn.of(suite, growing=planned is not None)
    table, plan = by_own_costs(suite, table, hand_plan(table, planned))
    result = decide(table, suite, plan, final=len(table) == plan.pairs)
    others = means_of_others(table, read.kinds)
    notes = [
        *cost_notes(read, table, models, planned),
        *([] if plan.stored else mean_notes(result, others, read.kinds, caps)),
    ]
    if as_json:
        counts = {"missing": lacking(read, models), "not_finite": read.not_finite}
        said = {"not_judged": read.not_judged, "notes": notes}
        print_json(document(result) | counts | said)
    else:
        _show(result, notes, {name: change for name, (change, _) in others.items()})
    sys.exit(EXIT[result.verdict])


def _judge_run(run: RunFile, context: typer.Context, as_json: bool) -> int:
    """By the rules that it was submitted with; the exit code."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    typed = {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}
    if rules := sorted(typed - {"costs", "as_json"}):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in rules)
        finding = Finding(names, "it says by itself how it is judged", "leave them out")
        raise SubmitterError(f"{run.header.run} is an exported run", finding)
    result = run.judge().verdict()
    print_json(document(result)) if as_json else show_run(run, result)
    return EXIT[result.verdict]


def _caps(texts: Sequence[str], kinds: Mapping[str, Kind]) -> dict[str, float]:
    caps = {}
    costs = [name for name, kind in kinds.items() if not kind.rate]
    for text in texts:
        name, _, value = text.partition("=")
        try:
            caps[name] = float(value)
        except ValueError:
            raise SubmitterError(f"--cap {text}: write METRIC=COST") from None
        if name not in costs or not 0 < caps[name] < math.inf:
            needed = f"a metric of {', '.join(costs)} and a cost above zero are needed"
            raise SubmitterError(f"--cap {text}: {needed}")
    return caps


def _show(result: Verdict, notes: Sequence[str], others: Mapping[str, float]) -> None:
    print_gates(result.gates, others)
    for note in notes:
        print(note)
    if result.verdict and result.pairs_consumed < result.pairs_planned:
        print(f"Decided after {result.pairs_consumed:,} of {result.pairs_planned:,} pairs.")
    print(result.sentence)
