"""Runs in which nothing changed, made of stored results, and the judge over them.

The labels of two distinct, near-equal models are swapped on whole routes by a fair coin. Then there
is no difference, whatever the models are. The same model against itself would be zero by
construction and show nothing.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suites.definition.cost_draw import draw_metric, draw_weights, drawn_order, needs_stored_costs
from suites.definition.resolving import breadth_first
from suites.definition.suite_schema import PlannedRollout, Suite
from suites.errors import Finding, SubmitterError
from suites.pair_table import BASELINE, HIGH, LOW, VALUE, PairTable
from suites.rollout import Scenario
from suites.run_plan import RunPlan, StoredCosts
from suites.statistics.contrasts import sign_of
from suites.verdict.run_judge import RunJudge
from suites.vocabulary import Estimand, Outcome, RunVerdict

Slices = Mapping[str, frozenset[str]]


def known_plan(table: PairTable, suite: Suite, slices: Slices | None = None) -> RunPlan:
    """What is known of a run before its first pair, read off the baseline's side of its table.

    `table` is the whole of what was planned, in the registered order.
    """
    rates = {gate.metric for gate in suite.gates if gate.estimand is Estimand.RATE}
    baseline = {m: table.results[:, BASELINE, :, i] for i, m in enumerate(table.metrics)}
    known = {m: of for m, of in baseline.items() if np.isfinite(of[VALUE]).all()}
    return RunPlan(
        len(table),
        Counter(table.routes),
        slices or {},
        {m: int((of[VALUE] == 1).sum()) for m, of in known.items() if m in rates},
        StoredCosts(
            weights=_weights(table, suite), costs={m: of[[LOW, HIGH]] for m, of in baseline.items()}
        )
        if needs_stored_costs(suite)
        else None,
    )


def _weights(table: PairTable, suite: Suite) -> NDArray[np.float64]:
    """Of a draw by cost; 1 where the draw is uniform. Raises SubmitterError for costs that weigh
    nothing."""
    if suite.draw != "cost":
        return np.ones(len(table))
    column = weighing(table, suite)
    costs = table.results[VALUE, BASELINE, :, column]
    return draw_weights(costs, suite.draw_share, table.metrics[column])


def weighing(table: PairTable, suite: Suite) -> int:
    """Column of the metric that weighs the draw; the first gate's where the table lacks it."""
    names = draw_metric(suite), suite.gates[0].metric
    return next(table.metrics.index(name) for name in names if name in table.metrics)


def check_drawable(table: PairTable, suite: Suite) -> None:
    """Raises SubmitterError unless either model's costs, as a baseline's, can weigh the draw."""
    column = weighing(table, suite)
    metric = table.metrics[column]
    if sign_of(metric) < 0:
        remedy = "name the metric whose costs weigh the draw"
        finding = Finding("draw_metric", f"{metric} is no cost", remedy)
        raise SubmitterError("stored costs cannot weigh the draw", finding)
    for costs in table.results[VALUE, :, :, column]:
        draw_weights(costs, suite.draw_share, metric)


def registered_order(table: PairTable, suite: Suite) -> NDArray[np.int64]:
    """Row of each place of the order that the suite's seed draws."""
    seed = suite.order_seed or 0
    if suite.draw == "cost":
        return drawn_order(table.case_ids, _weights(table, suite), seed)
    nowhere = Scenario(segment_id="", segment_digest="", start_s=0.0, end_s=0.0)
    places = [
        PlannedRollout(case_id=name, route=route, scenario=nowhere, repeat=0)
        for name, route in zip(table.case_ids, table.routes, strict=True)
    ]
    index = {name: i for i, name in enumerate(table.case_ids)}
    return np.array([index[place.case_id] for place in breadth_first(places, seed)])


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that was stopped at its first verdict."""

    judge: RunJudge
    pairs: int
    """Consumed until then."""

    @property
    def failed(self) -> bool:
        return self.judge.reached is RunVerdict.FAIL

    @property
    def passed(self) -> bool:
        return self.judge.reached is RunVerdict.PASS


def judged(table: PairTable, suite: Suite, plan: RunPlan) -> EndedRun:
    """What the judge says when the run would have been stopped."""
    judge = RunJudge(suite, plan)
    consumed = 0
    while consumed < len(table) and judge.reached is None:
        block = table.rows(slice(consumed, consumed + judge.room))
        judge.extend(block)
        consumed += len(block)
    return EndedRun(judge, consumed)


class NullBank:
    """The stored pairs, from which null runs are made.

    Those on which a model crashed are left out: a run ends there, whatever else it shows. Raises
    SubmitterError where the suite draws by costs that weigh nothing.
    """

    def __init__(self, table: PairTable, suite: Suite, slices: Slices) -> None:
        driven = [Outcome.POLICY_FAILED not in pair for pair in table.outcomes]
        self.table = table.rows(np.flatnonzero(driven))
        self.suite = suite
        self.slices = slices
        self.routes = sorted(set(self.table.routes))
        if suite.draw == "cost":
            check_drawable(self.table, suite)

    def run(
        self,
        generator: np.random.Generator,
        change: Callable[[PairTable], PairTable] = lambda table: table,
    ) -> tuple[PairTable, Suite]:
        """Labels swapped on half of the routes, then changed; in a new registered order.

        The suite has the order's seed."""
        suite = replace(self.suite, order_seed=int(generator.integers(2**31)))
        while True:
            heads = dict(zip(self.routes, generator.random(len(self.routes)) < 0.5, strict=True))
            swapped = self.table.swap(np.array([heads[route] for route in self.table.routes]))
            table = change(swapped)
            try:
                return table.rows(registered_order(table, suite)), suite
            except SubmitterError:  # a baseline whose costs are all the same: another one
                continue
