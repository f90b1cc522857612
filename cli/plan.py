"""`redrive plan`: how many segments a margin needs, and what a budget of them can see, from the spread seen so far."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from cli.costs import paired, read_costs
from suites.errors import SubmitterError
from suites.schema import Gate, Suite
from suites.selector import Selector
from suites.sentence import percent, share
from suites.statistics.contrasts import evidence
from suites.statistics.engines import OWN, Engines
from suites.statistics.planning import betting_segments, segments_needed, visible_effect
from suites.statistics.spikes import quiet_routes, unseen
from suites.words import Estimand

app = typer.Typer(context_settings={"allow_interspersed_args": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One metric by one estimand."""

    metric: str
    estimand: Estimand
    standard_error: float
    """Relative, on the segments seen."""
    segments_needed: int | None
    """To tell an effect as large as the margin, and so to show equal models not worse by it; None: not at any number."""
    hours_needed: float | None
    visible_effect: float
    """Smallest relative effect that the budget tells from zero."""
    note: str = ""


@app.callback(invoke_without_command=True)
def plan(
    costs: Annotated[Path, typer.Argument(help="CSV (.gz allowed) of results so far: segment, controller or model, metrics.")],
    baseline: Annotated[str, typer.Option(envvar="REDRIVE_BASELINE", help="Name of one model.")],
    candidate: Annotated[str, typer.Option(envvar="REDRIVE_CANDIDATE", help="Name of another that differs as candidates do.")],
    metric: Annotated[list[str] | None, typer.Option(envvar="REDRIVE_METRIC", help="Plan for this one; may be repeated.")] = None,
    route_column: Annotated[str | None, typer.Option(envvar="REDRIVE_ROUTE_COLUMN", help="Column that names the route.")] = None,
    margin: Annotated[float, typer.Option(envvar="REDRIVE_MARGIN", help="Relative worsening to be told.", min=1e-6)] = 0.02,
    power: Annotated[float, typer.Option(envvar="REDRIVE_POWER", help="Wanted chance to tell it.", min=0.5, max=0.999)] = 0.8,
    alpha: Annotated[float, typer.Option(envvar="REDRIVE_ALPHA", help="False alarms accepted.", min=1e-6, max=0.5)] = 0.05,
    budget: Annotated[
        int | None, typer.Option(envvar="REDRIVE_BUDGET", help="Segments that can be afforded; those seen if not given.", min=1)
    ] = None,
    segment_seconds: Annotated[float, typer.Option(envvar="REDRIVE_SEGMENT_SECONDS", help="Length of a segment, s.")] = 60.0,
    cap: Annotated[float | None, typer.Option(envvar="REDRIVE_CAP", help="Declared cap of the costs in the mean.")] = None,
    as_json: Annotated[bool, typer.Option("--json", envvar="REDRIVE_JSON", help="JSON alone on standard output.")] = False,
) -> None:
    """Say how many segments (of as many routes each as now) a margin needs with a given power, by both estimands."""
    read = read_costs(costs, metric or (), route_column)
    table = paired(read, candidate, baseline, order_seed=0)
    segments, seconds = len(table.case_ids), segment_seconds
    plans = []
    for name in read.metrics:
        for estimand in Estimand:
            gate = Gate(metric=name, margin=margin, estimand=estimand, winsor_cap=cap if estimand is Estimand.MEAN else None)
            rows = evidence(table, [gate], [estimand])
            both = np.isfinite(table.candidate[:, table.metrics.index(name)]) & ~rows.lopsided[:, 0] & rows.valid[:, 0]
            if not both.any() or rows.negative[0]:
                raise SubmitterError(f"{name}: no pair of costs at or above zero to plan from")
            suite = Suite(name="plan", kind="overall", select=Selector(), gates=(gate,), flips=99)
            engines = Engines(suite, segments, np.zeros((1, 2, 1, 1)))
            engines.consume(table.routes, (rows, rows))
            routes, error = len(engines.sums.index), float(engines.error()[0, OWN, 0])
            room = unseen(1, alpha) if estimand is Estimand.TYPICAL else 0.0
            needed: float | None = segments_needed(error, margin, segments, routes, alpha, power, room)
            if needed is not None and estimand is Estimand.TYPICAL:
                needed = max(needed, quiet_routes(margin, margin, alpha) * segments / routes)
            note = ""
            if estimand is Estimand.MEAN and cap is None:
                note = "fixed N; a verdict on the mean needs --cap, and more"
            elif estimand is Estimand.MEAN and cap is not None:
                needed = betting_segments(rows.p[0, both, 0], rows.q[0, both, 0], margin, cap, alpha)
                note = "in a typical run, by betting" if needed is not None else "no effect so small can be shown at this cap"
            count = math.ceil(needed) if needed is not None and math.isfinite(needed) else None
            plans.append(
                Plan(
                    metric=name, estimand=estimand, standard_error=error, segments_needed=count,
                    hours_needed=None if count is None else count * seconds / 3600,
                    visible_effect=visible_effect(error, segments, routes, budget or segments, alpha, power), note=note,
                )
            )  # fmt: skip
    if as_json:
        print(json.dumps([asdict(p) for p in plans], indent=1))
        return
    print(f"From {segments:,} segments of {routes:,} routes; margin {share(margin)}, power {share(power)}, alpha {alpha:g}.")
    for p in plans:
        count_text = "no number of" if p.segments_needed is None else f"{p.segments_needed:,}"
        hours = "" if p.hours_needed is None else f" ({p.hours_needed:,.1f} h)"
        print(
            f"{p.metric} ({p.estimand.value}): {count_text} segments{hours}; {budget or segments:,} segments tell "
            f"{percent(p.visible_effect, signed=False)}" + (f"; {p.note}" if p.note else "")
        )
