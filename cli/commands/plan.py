"""`redrive plan`: how many segments a margin needs, and what a budget of them can see."""

import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from cli.connection import connect
from cli.cost_csv import paired, read_costs
from cli.hand_suite import MARGIN, hand_suite
from cli.judged_columns import Kind, declared_kinds
from cli.options import (
    DEFAULT_URL,
    AsJson,
    HigherIsBetter,
    LowerIsBetter,
    RouteColumn,
    Url,
    argument,
    option,
)
from cli.printing import print_json
from cli.stored_pairs import run_table
from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Suite
from suites.errors import Finding, SubmitterError
from suites.formatting import percent, plural, share
from suites.pair_table import PairTable, segment_of
from suites.run_plan import RunPlan
from suites.statistics.chances import Sample, cleared, found, smallest
from suites.statistics.contrasts import BEST, GateEvidence, evidence
from suites.statistics.engines import OTHER, OWN, Engines
from suites.statistics.sample_size import (
    betting_segments,
    deciding_segments,
    finding_segments,
    segments_needed,
    visible_mean,
)
from suites.vocabulary import Estimand

app = typer.Typer(context_settings={"allow_interspersed_args": True})

MOST = 10_000_000
"""Segments beyond which no number is told: nobody drives them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller states; None: as the run has it, or the default."""

    metrics: list[str]
    declared: dict[str, Kind]
    margin: float | None
    alpha: float | None
    segment_seconds: float | None
    cap: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spreads:
    """Paired results so far, and what is asked of them."""

    table: PairTable
    gates: tuple[Gate, ...]
    alpha: float
    seconds: float
    """Of driving in one segment."""

    @property
    def segments(self) -> int:
        """Distinct ones: several offsets or repeats of a segment are several pairs."""
        return len({segment_of(name) for name in self.table.case_ids})


@dataclass(frozen=True, slots=True)
class Spread:
    """How one metric differs between the models, by one estimand."""

    rows: GateEvidence
    error: float
    """Standard error of the relative change, on the segments seen."""
    routes: int

    def bets(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """p and q of the pairs that count, of models that are equal."""
        counts = self.rows.valid[:, 0] & ~self.rows.lopsided[:, 0]
        return self.rows.p[BEST, counts, 0], self.rows.q[BEST, counts, 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One metric by one estimand."""

    metric: str
    estimand: Estimand
    margin: float
    standard_error: float
    """Relative, on the segments seen."""
    segments_needed: int | None
    """To tell an effect as large as the margin, and to show equal models not worse by it.

    None: not at any number.
    """
    routes_needed: int | None
    """With as many segments on each as now."""
    hours_needed: float | None
    visible_effect: float | None
    """Smallest relative effect that the budget tells from zero.

    None where the results have no spread to plan from.
    """
    smallest_margin: float | None
    """Smallest margin by which the budget shows equal models to be not worse.

    None: no margin, or a mean without a cap.
    """
    note: str = ""


@app.callback(invoke_without_command=True)
def plan(
    costs: Annotated[
        Path | None,
        argument("CSV (.gz allowed) of results so far: segment, controller or model, metrics."),
    ] = None,
    run: Annotated[
        str | None, option("Instead: the stored results of this run.", "REDRIVE_RUN")
    ] = None,
    suite: Annotated[
        str | None, option("Instead: what this suite can tell at its bank's size.", "REDRIVE_SUITE")
    ] = None,
    baseline: Annotated[str | None, option("CSV: name of one model.", "REDRIVE_BASELINE")] = None,
    candidate: Annotated[
        str | None,
        option("CSV: name of another that differs as candidates do.", "REDRIVE_CANDIDATE"),
    ] = None,
    metric: Annotated[
        list[str] | None, option("Plan for this one; may be repeated.", "REDRIVE_METRIC")
    ] = None,
    lower_is_better: LowerIsBetter = None,
    higher_is_better: HigherIsBetter = None,
    route_column: RouteColumn = None,
    margin: Annotated[
        float | None,
        option(
            "Relative worsening to be told; the run's, else 0.02.",
            "REDRIVE_MARGIN",
            min=1e-6,
            max=10,
        ),
    ] = None,
    power: Annotated[
        float, option("Wanted chance to tell it.", "REDRIVE_POWER", min=0.5, max=0.999)
    ] = 0.8,
    alpha: Annotated[
        float | None,
        option("False alarms accepted; the run's, else 0.05.", "REDRIVE_ALPHA", min=1e-6, max=0.5),
    ] = None,
    budget: Annotated[
        int | None,
        option("Segments that can be afforded; those seen if not given.", "REDRIVE_BUDGET", min=1),
    ] = None,
    segment_seconds: Annotated[
        float | None,
        option("Length of a segment, s; the run's, else 60.", "REDRIVE_SEGMENT_SECONDS", min=0.1),
    ] = None,
    cap: Annotated[
        float | None,
        option(
            "Declared cap of the costs in the mean; the run's, else none.",
            "REDRIVE_CAP",
            min=1e-9,
            max=1e100,
        ),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Say how many segments a margin needs, and what a budget of them can see.

    Each metric is planned by both estimands, with as many segments on a route as now.
    """
    if suite is not None and costs is None and run is None:
        _print_suite(suite, url, as_json)
        return
    declared = declared_kinds(lower_is_better, higher_is_better, ())
    asked = Asked(metric or [], declared, margin, alpha, segment_seconds, cap)
    if run is not None and costs is None:
        seen = _of_run(run, url, asked)
    elif costs is not None and run is None and baseline and candidate:
        seen = _of_csv(costs, candidate, baseline, route_column, asked)
    else:
        remedy = "COSTS.csv --baseline A --candidate B, --run ID, or --suite NAME"
        finding = Finding("plan", "one of the three is needed", remedy)
        raise SubmitterError("there are no results to plan from, or two", finding)
    affordable = budget or seen.segments
    plans = [one for gate in seen.gates for one in _plans(seen, gate, power, affordable)]
    if as_json:
        print_json([asdict(p) for p in plans])
        return
    segments = plural(seen.segments, "segment")
    routes = plural(len(set(seen.table.routes)), "route")
    print(f"From {segments} of {routes}; power {share(power)}, alpha {seen.alpha:g}.")
    for p in plans:
        print(_line(p, affordable))


def _print_suite(reference: str, url: str, as_json: bool) -> None:
    with connect(url) as client:
        tells = client.get(f"/v1/suite-versions/{reference}/power")
    if as_json:
        print_json(tells)
        return
    lines = (*tells["lines"], *tells["warnings"])
    print("\n".join(lines or ["It has no gate: its must-pass cases decide alone."]))


def _of_csv(
    path: Path, candidate: str, baseline: str, route_column: str | None, asked: Asked
) -> Spreads:
    read = read_costs(path, asked.metrics, route_column, asked.declared)
    costs = {name: kind for name, kind in read.kinds.items() if not kind.rate}
    if not costs:
        finding = Finding(", ".join(read.kinds), "rates alone", "name costs or scores")
        raise SubmitterError("rates are not planned for", finding)
    if rates := [name for name in read.kinds if name not in costs]:
        print(f"not planned for: {', '.join(rates)} (rates)", file=sys.stderr)
    caps = dict.fromkeys(costs, asked.cap) if asked.cap else {}
    return Spreads(
        table=paired(read, candidate, baseline, order_seed=0),
        gates=hand_suite(costs, margin=asked.margin or MARGIN, caps=caps).gates,
        alpha=asked.alpha or 0.05,
        seconds=asked.segment_seconds or 60.0,
    )


def _of_run(run_id: str, url: str, asked: Asked) -> Spreads:
    with connect(url) as client:
        table, suite = run_table(client, run_id)
        if not table.case_ids:
            problem = f"run {run_id} has no pair that both models have driven"
            raise SubmitterError(problem, Finding("run", "nothing to plan from"))
        pairs = client.items(f"/v1/runs/{run_id}/results", most=100)
        driven_s = [pair["baseline"]["ended_s"] for pair in pairs]
    wanted = {g.metric: g for g in suite.gates if not asked.metrics or g.metric in asked.metrics}
    if not wanted:
        there = ", ".join(dict.fromkeys(gate.metric for gate in suite.gates))
        problem = f"no gate of {suite.name} judges {', '.join(asked.metrics)}"
        raise SubmitterError(problem, Finding("--metric", f"it judges {there}"))
    gates = tuple(
        Gate(metric=name, margin=asked.margin or own.margin, winsor_cap=asked.cap or own.winsor_cap)
        for name, own in wanted.items()
    )
    seconds = asked.segment_seconds or float(np.mean([s for s in driven_s if s]))
    return Spreads(table=table, gates=gates, alpha=asked.alpha or suite.alpha, seconds=seconds)


def _plans(seen: Spreads, gate: Gate, power: float, budget: int) -> list[Plan]:
    """One metric by both estimands."""
    typical, mean = (
        evidence(seen.table, [gate], [estimand]) for estimand in (Estimand.TYPICAL, Estimand.MEAN)
    )
    if not (typical.valid & ~typical.lopsided).any() or typical.negative[0]:
        raise SubmitterError(f"{gate.metric}: no pair of values at or above zero to plan from")
    if not typical.p.any():
        problem = "every difference is zero: nothing says how models differ"
        finding = Finding(gate.metric, problem, "take two distinct models")
        raise SubmitterError("there is nothing to plan from", finding)
    suite = Suite(name="plan", kind="overall", select=Selector(), gates=(gate,), flips=99)
    engines = Engines(suite, RunPlan(len(seen.table)), np.zeros((1, 2, 1, 1)))
    engines.consume(seen.table.routes, (typical, mean))
    errors = engines.error()[0, :, 0]
    spreads = {
        Estimand.MEAN: Spread(mean, float(errors[OTHER]), len(engines.sums.index)),
        Estimand.TYPICAL: Spread(typical, float(errors[OWN]), len(engines.sums.index)),
    }
    return [_plan(seen, gate, one, spreads[one], power, budget) for one in spreads]


def _plan(
    seen: Spreads, gate: Gate, estimand: Estimand, spread: Spread, power: float, budget: int
) -> Plan:
    typical = estimand is Estimand.TYPICAL
    wanted = visible = shown = None
    if math.isfinite(spread.error):
        figures = _typical if typical else _mean
        wanted, visible, shown = figures(seen, gate, spread, power, budget)
    count = math.ceil(wanted) if wanted is not None and wanted <= MOST else None
    return Plan(
        metric=gate.metric,
        estimand=estimand,
        margin=gate.margin,
        standard_error=spread.error,
        segments_needed=count,
        routes_needed=None if count is None else math.ceil(count * spread.routes / seen.segments),
        hours_needed=None if count is None else count * seen.seconds / 3600,
        visible_effect=visible,
        smallest_margin=shown,
        note=_note(wanted, spread, typical=typical, capped=gate.winsor_cap is not None),
    )


Figures = tuple[float | None, float | None, float | None]
"""Segments needed, smallest visible effect, smallest margin."""


def _typical(seen: Spreads, gate: Gate, spread: Spread, power: float, budget: int) -> Figures:
    """By the chances that a suite's page tells; all metrics planned for are gates of one run."""
    alpha, gates, margin = seen.alpha, len(seen.gates), gate.margin
    sample = Sample(len(seen.table), spread.routes, spread.error)
    wanted = max(
        finding_segments(sample, seen.segments, margin, alpha, power, gates),
        deciding_segments(sample, seen.segments, margin, alpha, power),
    )
    affordable = sample.times(budget / seen.segments)
    visible = smallest(lambda size: found(size, affordable, alpha, gates), power)
    return wanted, visible, smallest(lambda size: cleared(size, affordable, alpha), power)


def _mean(seen: Spreads, gate: Gate, spread: Spread, power: float, budget: int) -> Figures:
    seen_on = seen.segments, spread.routes
    visible = visible_mean(spread.error, *seen_on, budget, seen.alpha, power)
    cap = gate.winsor_cap
    if cap is None:
        needed = segments_needed(spread.error, gate.margin, *seen_on, seen.alpha, power)
        return needed, visible, None
    per_segment = len(seen.table) / seen.segments

    def bets(margin: float) -> float | None:
        pairs = betting_segments(*spread.bets(), margin, cap, seen.alpha)
        return None if pairs is None else pairs / per_segment

    shown = smallest(lambda margin: float((bets(margin) or math.inf) <= budget), power)
    return bets(gate.margin), visible, shown


def _note(wanted: float | None, spread: Spread, *, typical: bool, capped: bool) -> str:
    """What the reader must know of the number of segments."""
    if not math.isfinite(spread.error):
        if spread.routes < 2:
            return "one route has no spread"
        return "a baseline that costs nothing has no relative change"
    if typical:
        note = ""
    elif wanted is None:
        note = "no effect so small can be shown at this cap"
    elif capped:
        note = "in a typical run, by betting"
    else:
        note = "fixed N; a verdict on the mean needs a cap, and more"
    too_many = wanted is not None and MOST < wanted < math.inf
    return f"more than {MOST:,} segments; {note}" if too_many else note


def _line(p: Plan, budget: int) -> str:
    needs = "no number of segments"
    if p.segments_needed is not None:
        segments = plural(p.segments_needed, "segment")
        routes = plural(p.routes_needed or 0, "route")
        needs = f"{segments} of {routes} ({p.hours_needed:,.1f} h)"
    shown = "no margin"
    if p.smallest_margin is not None:
        shown = f"equal models within {percent(p.smallest_margin, signed=False)}"
    told = "no effect" if p.visible_effect is None else percent(p.visible_effect, signed=False)
    note = f"; {p.note.rstrip('; ')}" if p.note else ""
    return (
        f"{p.metric} ({p.estimand.value}), margin {share(p.margin)}: {needs}; "
        f"{plural(budget, 'segment')} tell {told} and show {shown}{note}"
    )
