"""A file judged by hand in a draw by cost, or with caps that are multiples of its baseline's costs.

What a service has stored of a baseline, a complete file has in its rows.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from suites.definition.cost_draw import (
    check_capped,
    draw_contradictions,
    draw_metric,
    draw_weights,
    drawn_order,
    needs_stored_costs,
)
from suites.definition.suite_schema import Suite
from suites.errors import Finding, SubmitterError
from suites.pair_table import BASELINE, HIGH, LOW, VALUE, PairTable
from suites.run_plan import RunPlan, StoredCosts
from suites.vocabulary import Estimand


@dataclass(frozen=True, slots=True, kw_only=True)
class HandDraw:
    """Options of a draw by cost; None: not given."""

    draw: Literal["uniform", "cost"]
    draw_metric: str | None
    draw_share: float | None
    relative_cap: float | None

    def of(self, suite: Suite, growing: bool) -> Suite:
        """The suite with these options. Raises SubmitterError where they make no sense."""
        gates = tuple(
            gate
            if gate.estimand is Estimand.RATE
            else replace(gate, relative_cap=self.relative_cap)
            for gate in suite.gates
        )
        share = suite.draw_share if self.draw_share is None else self.draw_share
        suite = replace(
            suite, gates=gates, draw=self.draw, draw_metric=self.draw_metric, draw_share=share
        )
        findings = [replace(f, where=_option(f.where)) for f in draw_contradictions(suite)]
        if growing and needs_stored_costs(suite):
            problem = "order and caps must be fixed on all of the baseline's costs"
            findings.append(Finding("--planned", problem, "judge the complete file"))
        if findings:
            raise SubmitterError("the file cannot be judged so", tuple(findings))
        return suite


def _option(field: str) -> str:
    """The option that states a field of the suite."""
    name = field.rpartition(".")[2]
    return "--cap" if name == "winsor_cap" else f"--{name.replace('_', '-')}"


def by_own_costs(suite: Suite, table: PairTable, plan: RunPlan) -> tuple[PairTable, RunPlan]:
    """A complete file in the order in which it is judged, and its plan with the baseline's costs.

    Raises SubmitterError where these weigh nothing, or are no cap.
    """
    if not needs_stored_costs(suite):
        return table, plan
    values = dict(
        zip(table.metrics, np.moveaxis(table.results[VALUE, BASELINE], -1, 0), strict=True)
    )
    weights = np.ones(len(table))
    if suite.draw == "cost":
        metric = draw_metric(suite)
        weights = draw_weights(values[metric], suite.draw_share, metric)
        order = drawn_order(table.case_ids, weights, suite.order_seed or 0)
        table, weights = table.rows(order), weights[order]
    for gate in suite.gates:
        if suite.draw == "uniform" and gate.relative_cap is not None:
            check_capped(values[gate.metric], gate.metric)
    costs = {m: table.results[[LOW, HIGH], BASELINE, :, i] for i, m in enumerate(table.metrics)}
    return table, replace(plan, stored=StoredCosts(weights=weights, costs=costs))
