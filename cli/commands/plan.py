"""`redrive plan`: how many segments a margin needs, and what a budget of them can see, from the spread seen so far."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from cli.connection import DEFAULT_URL, Url, connect
from cli.cost_csv import paired, read_costs
from cli.stored_pairs import run_table
from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Suite
from suites.errors import Finding, SubmitterError
from suites.judgement import PairTable
from suites.statistics.contrasts import BEST, GateEvidence, evidence
from suites.statistics.engines import OTHER, OWN, Engines
from suites.statistics.sample_size import (
    betting_segments,
    clearing_segments,
    segments_needed,
    smallest_margin,
    visible_effect,
)
from suites.verdict.sentence import percent, plural, share
from suites.vocabulary import Estimand

app = typer.Typer(context_settings={"allow_interspersed_args": True})

MOST = 10_000_000
"""Segments beyond which no number is told: nobody drives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Paired results so far, and what is asked of them."""

    table: PairTable
    gates: tuple[Gate, ...]
    alpha: float
    seconds: float
    """Of driving in one segment."""

    @property
    def segments(self) -> int:
        """Distinct ones: several offsets or repeats of a segment are several pairs."""
        return len({name.split("@")[0].split("#")[0] for name in self.table.case_ids})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One metric by one estimand."""

    metric: str
    estimand: Estimand
    margin: float
    standard_error: float
    """Relative, on the segments seen."""
    segments_needed: int | None
    """To tell an effect as large as the margin, and to show equal models not worse by it; None: not at any number."""
    routes_needed: int | None
    """With as many segments on each as now."""
    hours_needed: float | None
    visible_effect: float | None
    """Smallest relative effect that the budget tells from zero; None where the results have no spread to plan from."""
    smallest_margin: float | None
    """Smallest margin by which the budget shows equal models to be not worse; None: no margin, or a mean without a cap."""
    note: str = ""


@app.callback(invoke_without_command=True)
def plan(
    costs: Annotated[
        Path | None,
        typer.Argument(
            help="CSV (.gz allowed) of results so far: segment, controller or model, metrics."
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(envvar="REDRIVE_RUN", help="Instead: the stored results of this run."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(envvar="REDRIVE_BASELINE", help="CSV: name of one model.")
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Option(
            envvar="REDRIVE_CANDIDATE", help="CSV: name of another that differs as candidates do."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(envvar="REDRIVE_METRIC", help="Plan for this one; may be repeated."),
    ] = None,
    route_column: Annotated[
        str | None, typer.Option(envvar="REDRIVE_ROUTE_COLUMN", help="CSV: column of the route.")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            envvar="REDRIVE_MARGIN",
            help="Relative worsening to be told; the run's, else 0.02.",
            min=1e-6,
            max=10,
        ),
    ] = None,
    power: Annotated[
        float,
        typer.Option(envvar="REDRIVE_POWER", help="Wanted chance to tell it.", min=0.5, max=0.999),
    ] = 0.8,
    alpha: Annotated[
        float | None,
        typer.Option(
            envvar="REDRIVE_ALPHA",
            help="False alarms accepted; the run's, else 0.05.",
            min=1e-6,
            max=0.5,
        ),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            envvar="REDRIVE_BUDGET",
            help="Segments that can be afforded; those seen if not given.",
            min=1,
        ),
    ] = None,
    segment_seconds: Annotated[
        float | None,
        typer.Option(
            envvar="REDRIVE_SEGMENT_SECONDS",
            help="Length of a segment, s; the run's, else 60.",
            min=0.1,
        ),
    ] = None,
    cap: Annotated[
        float | None,
        typer.Option(
            envvar="REDRIVE_CAP",
            help="Declared cap of the costs in the mean; the run's, else none.",
            min=1e-9,
            max=1e100,
        ),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: Annotated[
        bool, typer.Option("--json", envvar="REDRIVE_JSON", help="JSON alone on standard output.")
    ] = False,
) -> None:
    """Say how many segments (of as many routes each as now) a margin needs with a given power, by both estimands."""
    if run is not None and costs is None:
        seen = _of_run(run, url, metric or [], margin, alpha, segment_seconds, cap)
    elif costs is not None and run is None and baseline and candidate:
        read = read_costs(costs, metric or (), route_column)
        gates = tuple(
            Gate(metric=name, margin=margin or 0.02, winsor_cap=cap) for name in read.metrics
        )
        table = paired(read, candidate, baseline, order_seed=0)
        seen = Seen(table=table, gates=gates, alpha=alpha or 0.05, seconds=segment_seconds or 60.0)
    else:
        finding = Finding(
            "plan", "one of the two is needed", "COSTS.csv --baseline A --candidate B, or --run ID"
        )
        raise SubmitterError("there are no results to plan from, or two", (finding,))
    plans = [
        one for gate in seen.gates for one in _plans(seen, gate, power, budget or seen.segments)
    ]
    if as_json:
        print(json.dumps([asdict(p) for p in plans], indent=1))
        return
    routes = len(set(seen.table.routes))
    print(
        f"From {plural(seen.segments, 'segment')} of {plural(routes, 'route')}; power {share(power)}, alpha {seen.alpha:g}."
    )
    for p in plans:
        print(_line(p, budget or seen.segments))


def _of_run(
    run_id: str,
    url: str,
    metrics: list[str],
    margin: float | None,
    alpha: float | None,
    seconds: float | None,
    cap: float | None,
) -> Seen:
    with connect(url) as client:
        table, suite = run_table(client, run_id)
        if not table.case_ids:
            raise SubmitterError(
                f"run {run_id} has no pair that both models have driven",
                (Finding("run", "nothing to plan from"),),
            )
        driven = [
            pair["baseline"]["ended_s"]
            for pair in client.items(f"/v1/runs/{run_id}/results", most=100)
        ]
    gates = [gate for gate in suite.gates if not metrics or gate.metric in metrics]
    if not gates:
        there = ", ".join(dict.fromkeys(gate.metric for gate in suite.gates))
        raise SubmitterError(
            f"no gate of {suite.name} judges {', '.join(metrics)}",
            (Finding("--metric", f"it judges {there}"),),
        )
    return Seen(
        table=table,
        alpha=alpha or suite.alpha,
        seconds=seconds or float(np.mean([s for s in driven if s])),
        gates=tuple(
            Gate(metric=name, margin=margin or own.margin, winsor_cap=cap or own.winsor_cap)
            for name, own in {gate.metric: gate for gate in gates}.items()
        ),
    )


def _plans(seen: Seen, gate: Gate, power: float, budget: int) -> list[Plan]:
    """One metric by both estimands."""
    typical, mean = (
        evidence(seen.table, [gate], [estimand]) for estimand in (Estimand.TYPICAL, Estimand.MEAN)
    )
    if not (typical.valid & ~typical.lopsided).any() or typical.negative[0]:
        raise SubmitterError(f"{gate.metric}: no pair of values at or above zero to plan from")
    if not typical.p.any():
        finding = Finding(
            gate.metric,
            "every difference is zero: nothing says how models differ",
            "take two distinct models",
        )
        raise SubmitterError("there is nothing to plan from", (finding,))
    suite = Suite(name="plan", kind="overall", select=Selector(), gates=(gate,), flips=99)
    engines = Engines(suite, len(seen.table.case_ids), np.zeros((1, 2, 1, 1)))
    engines.consume(seen.table.routes, (typical, mean))
    errors, routes = engines.error()[0, :, 0], len(engines.sums.index)
    return [
        _plan(seen, gate, estimand, rows, float(errors[slot]), routes, power, budget)
        for estimand, rows, slot in ((Estimand.MEAN, mean, OTHER), (Estimand.TYPICAL, typical, OWN))
    ]


def _plan(
    seen: Seen,
    gate: Gate,
    estimand: Estimand,
    rows: GateEvidence,
    error: float,
    routes: int,
    power: float,
    budget: int,
) -> Plan:
    alpha, typical, segments = seen.alpha, estimand is Estimand.TYPICAL, seen.segments
    counts = rows.valid[:, 0] & ~rows.lopsided[:, 0]
    per_segment = len(seen.table.case_ids) / segments

    def needed(margin: float) -> float | None:
        if typical:
            return clearing_segments(error, margin, segments, routes, alpha, power, per_segment)
        if gate.winsor_cap is None:
            return segments_needed(error, margin, segments, routes, alpha, power)
        pairs = betting_segments(
            rows.p[BEST, counts, 0], rows.q[BEST, counts, 0], margin, gate.winsor_cap, alpha
        )
        return None if pairs is None else pairs / per_segment

    wanted, note, clears = needed(gate.margin), "", typical or gate.winsor_cap is not None
    if not typical:
        note = (
            "in a typical run, by betting"
            if clears
            else "fixed N; a verdict on the mean needs a cap, and more"
        )
        if wanted is None:
            note = "no effect so small can be shown at this cap"
    count = math.ceil(wanted) if wanted is not None and wanted <= MOST else None
    if wanted is not None and math.isfinite(wanted) and count is None:
        note = f"more than {MOST:,} segments; " + note
    if not math.isfinite(error):
        note = (
            "one route has no spread"
            if routes < 2
            else "a baseline that costs nothing has no relative change"
        )
    visible = visible_effect(error, segments, routes, budget, alpha, power)
    return Plan(
        metric=gate.metric,
        estimand=estimand,
        margin=gate.margin,
        standard_error=error,
        segments_needed=count,
        routes_needed=None if count is None else math.ceil(count * routes / segments),
        hours_needed=None if count is None else count * seen.seconds / 3600,
        visible_effect=visible if math.isfinite(visible) else None,
        smallest_margin=smallest_margin(needed, budget) if clears else None,
        note=note,
    )


def _line(p: Plan, budget: int) -> str:
    if p.segments_needed is None:
        needs = "no number of segments"
    else:
        needs = f"{plural(p.segments_needed, 'segment')} of {plural(p.routes_needed or 0, 'route')} ({p.hours_needed:,.1f} h)"
    shown = (
        "no margin"
        if p.smallest_margin is None
        else f"equal models within {percent(p.smallest_margin, signed=False)}"
    )
    told = "no effect" if p.visible_effect is None else percent(p.visible_effect, signed=False)
    return (
        f"{p.metric} ({p.estimand.value}), margin {share(p.margin)}: {needs}; {plural(budget, 'segment')} tell "
        f"{told} and show {shown}" + (f"; {p.note.rstrip('; ')}" if p.note else "")
    )
