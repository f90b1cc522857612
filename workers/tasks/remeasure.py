"""Measure stored rollouts again from their traces; nothing is driven."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from server.db.queue_tables import RolloutRow
from suites.conditions import Condition, Judgement, judge, load_condition, result_name
from suites.errors import DataError
from suites.metrics import measure
from suites.metrics.result import MetricResult, invalid
from suites.rollout import Trace
from suites.vocabulary import Outcome
from workers.process import this_process
from workers.stored_inputs import read_trace
from workers.stored_results import store_conditions, store_results

log = logging.getLogger(__name__)

Measured = tuple[dict[str, MetricResult], dict[str, Judgement]]
"""Results by metric, and judgements by the result name of their condition."""


def remeasure(
    drive_keys: Sequence[str], metrics: Sequence[str], conditions: Sequence[dict[str, Any]]
) -> None:
    """Measure rollouts at the current versions of the metrics, and judge conditions on them."""
    here = this_process()
    stored = select(RolloutRow.drive_key, RolloutRow.outcome, RolloutRow.trace_sha256)
    with here.sessions() as session:
        rows = session.execute(stored.where(RolloutRow.drive_key.in_(drive_keys))).all()
    wanted = {result_name(document): load_condition(document) for document in conditions}
    for row in rows:
        try:
            trace = read_trace(here.blobs, row.trace_sha256)
            measured, judged = _measured(trace, row.outcome, metrics, wanted)
        except DataError as error:
            log.error("rollout %s lost its trace: %s", row.drive_key[:12], error)
            measured, judged = _lost(f"its trace is lost: {error}", metrics, wanted)
        here.write(store_results, row.drive_key, measured)
        here.write(store_conditions, row.drive_key, judged)


def _measured(
    trace: Trace | None,
    outcome: Outcome,
    metrics: Sequence[str],
    conditions: Mapping[str, Condition],
) -> Measured:
    judged = {name: judge(condition, trace, outcome) for name, condition in conditions.items()}
    return measure(trace, outcome, metrics), judged


def _lost(reason: str, metrics: Sequence[str], conditions: Mapping[str, Condition]) -> Measured:
    """A lost trace is invalid and never zero."""
    judged = {
        name: Judgement(condition=str(condition), held=None, reason=reason)
        for name, condition in conditions.items()
    }
    return {metric: invalid(reason) for metric in metrics}, judged
