"""What is measured: one pure function per metric over a trace, one literal registry."""

import math
from collections.abc import Iterable

from suites.metrics.registry import METRICS, Metric
from suites.metrics.result import MetricResult, invalid
from suites.rollout import Trace
from suites.vocabulary import FAILING, Outcome


def measure(
    trace: Trace | None, outcome: Outcome, names: Iterable[str] | None = None
) -> dict[str, MetricResult]:
    """Results by metric name; without `names`, of every metric whose columns the trace has.

    A metric is not valid whose columns are missing, or that says nothing about this kind of loop.
    A rollout without a trace takes every cap.
    """
    if trace is None:
        wanted = METRICS if names is None else names
        return {name: _nothing_driven(METRICS[name], outcome) for name in wanted}
    if names is None:
        names = [n for n, m in METRICS.items() if trace.columns.keys() >= set(m.needs)]
    return {name: _one(trace, outcome, METRICS[name]) for name in names}


def _one(trace: Trace, outcome: Outcome, metric: Metric) -> MetricResult:
    missing = [column for column in metric.needs if column not in trace.columns]
    if missing:
        return invalid(f"the trace has no {', '.join(missing)}")
    if trace.feedback == "log" and not metric.open_loop:
        return invalid("closed-loop metric of an open-loop rollout")
    if not len(trace):
        return _nothing_driven(metric, outcome)
    return metric.measure(trace, outcome, math.inf if metric.cap is None else metric.cap)


def _nothing_driven(metric: Metric, outcome: Outcome) -> MetricResult:
    worst = 0.0 if metric.direction == "higher" else metric.cap
    if outcome in FAILING and worst is not None:
        return MetricResult(worst, True, worst, worst)
    return invalid("not one step was driven")
