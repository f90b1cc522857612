"""The suite that judges a CSV by hand, and what is known of the run before its first pair."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from cli.judged_columns import Kind
from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Suite
from suites.metrics.registry import METRICS
from suites.pair_table import BASELINE, VALUE, PairTable
from suites.run_plan import RunPlan
from suites.vocabulary import Estimand

MARGIN, RATE_MARGIN = 0.02, 0.005


def hand_suite(
    kinds: Mapping[str, Kind],
    *,
    margin: float = MARGIN,
    rate_margin: float = RATE_MARGIN,
    estimand: Estimand = Estimand.TYPICAL,
    caps: Mapping[str, float] | None = None,
) -> Suite:
    """A gate for each metric: rates by their difference, all others by `estimand`."""
    gates = tuple(
        Gate(
            metric=name,
            estimand=Estimand.RATE if kind.rate else estimand,
            margin=rate_margin if kind.rate else margin,
            direction=None if name in METRICS else kind.direction,
            winsor_cap=(caps or {}).get(name),
        )
        for name, kind in kinds.items()
    )
    return Suite(name="by_hand", kind="overall", select=Selector(), gates=gates)


def hand_plan(table: PairTable, planned: int | None) -> RunPlan:
    """Of a complete file, or of one that grows to `planned` pairs."""
    if planned is not None:
        return RunPlan(planned)
    baseline = table.results[VALUE, BASELINE]
    events = {
        metric: int(values.sum())
        for metric, values in zip(table.metrics, np.moveaxis(baseline, -1, 0), strict=True)
        if np.isin(values, (0, 1)).all()
    }
    return RunPlan(len(table), route_pairs=Counter(table.routes), baseline_events=events)
