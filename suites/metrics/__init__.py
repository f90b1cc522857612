"""What is measured: one pure function per metric over a trace, one literal registry."""

from collections.abc import Iterable

from suites.judgement import MetricResult
from suites.metrics.registry import METRICS
from suites.metrics.steps import invalid
from suites.rollout import Trace
from suites.vocabulary import FAILING, Outcome

OPEN_LOOP = frozenset({"open_loop_curvature_error"})
"""The only metrics that an open-loop trace may be read with."""


def measure(
    trace: Trace | None, outcome: Outcome, names: Iterable[str] | None = None
) -> dict[str, MetricResult]:
    """Results by metric name. Without `names`: every metric whose columns the trace has. A metric whose columns are
    missing, or that open-loop driving says nothing about, is not valid. A rollout without a trace takes every cap."""
    if trace is None:
        return {
            name: _nothing_driven(name, outcome) for name in (METRICS if names is None else names)
        }
    wanted = (
        [n for n, m in METRICS.items() if trace.columns.keys() >= set(m.needs)]
        if names is None
        else list(names)
    )
    return {name: _one(trace, outcome, name) for name in wanted}


def _one(trace: Trace, outcome: Outcome, name: str) -> MetricResult:
    missing = [column for column in METRICS[name].needs if column not in trace.columns]
    if missing:
        return invalid(f"the trace has no {', '.join(missing)}")
    if trace.feedback == "log" and name not in OPEN_LOOP:
        return invalid("closed-loop metric of an open-loop rollout")
    if not len(trace):
        return _nothing_driven(name, outcome)
    return METRICS[name].measure(trace, outcome)


def _nothing_driven(name: str, outcome: Outcome) -> MetricResult:
    cap = METRICS[name].cap
    value = 0.0 if METRICS[name].direction == "higher" else cap
    if outcome in FAILING and value is not None:
        return MetricResult(value, True, value, value)
    return invalid("not one step was driven")
