"""A run taken apart by the offset that its rollouts started from, and how its models were run."""

import json
from typing import Any

from pydantic import BaseModel
from sqlalchemy import ARRAY, ColumnElement, Double, Text, and_, bindparam, cast, func, select
from sqlalchemy.orm import QueryableAttribute, Session

from server.db.bank_tables import SuiteVersionRow
from server.db.base import Role
from server.db.queue_tables import DemandRow, RolloutRow
from server.db.run_tables import RunRow
from server.services.bank.register_suite import stored_version
from server.services.queue.demands import run_owner
from server.services.queue.paired_demands import PairedDemands
from server.services.runs.run_demands import times_counted
from server.services.runs.run_views import find_run
from suites.metrics.registry import METRICS
from suites.vocabulary import FAILING


class OffsetRow(BaseModel):
    """The pairs that started from one offset."""

    lateral_m: float
    longitudinal_m: float
    heading_rad: float
    pairs: int
    """Driven by both models."""
    candidate_failed: int
    baseline_failed: int
    measured: int
    """Pairs in which the metric is valid for both; the means are theirs."""
    candidate_mean: float | None
    baseline_mean: float | None


class Breakdown(BaseModel):
    """By the first gate's metric."""

    metric: str
    unit: str
    rows: list[OffsetRow]
    weighted_back: bool
    """The run is drawn by cost: in the means each pair counts for those like it on the bank."""


def by_offset(session: Session, run_id: str) -> Breakdown:
    """Counts and means, which are no verdict, in one statement (three where
    pairs are weighted). Raises Refused (404)."""
    run = find_run(session, run_id)
    document: dict[str, Any] = session.get_one(SuiteVersionRow, run.suite_digest).document
    gates = document["suite"]["gates"]
    metric = METRICS[gates[0]["metric"]] if gates else next(iter(METRICS.values()))
    version = document["metric_versions"].get(metric.name, metric.version)
    pairs = PairedDemands(run_owner(run_id), (metric.name, version))
    candidate = pairs.candidate
    baseline = pairs.baseline
    weight = _weight(session, run_id, pairs)
    offset = cast(candidate.key.key["scenario"]["offset"], Text)
    both = and_(candidate.result.valid, baseline.result.valid)
    counted = {
        "pairs": func.count(),
        "candidate_failed": func.count().filter(candidate.rollout.outcome.in_(FAILING)),
        "baseline_failed": func.count().filter(baseline.rollout.outcome.in_(FAILING)),
        "measured": func.count().filter(both),
        "candidate_mean": _mean(candidate.result.value, weight, both),
        "baseline_mean": _mean(baseline.result.value, weight, both),
    }
    query = (
        pairs.select(offset, *counted.values())
        .where(pairs.driven, candidate.demand.mandatory.is_(False))
        .group_by(offset)
    )
    rows = [
        OffsetRow(**json.loads(text), **dict(zip(counted, numbers, strict=True)))
        for text, *numbers in session.execute(query)
    ]
    rows.sort(key=lambda row: (row.lateral_m, row.heading_rad, row.longitudinal_m))
    weighted = weight is not None
    return Breakdown(metric=metric.name, unit=metric.unit, rows=rows, weighted_back=weighted)


def _weight(session: Session, run_id: str, pairs: PairedDemands) -> ColumnElement[float] | None:
    """What each pair counts for; None: all alike."""
    run = session.get_one(RunRow, run_id)
    if run.baseline_known is None:
        return None
    demand = pairs.candidate.demand
    driven = pairs.select(func.count()).where(pairs.driven, demand.mandatory.is_(False))
    version = stored_version(session.get_one(SuiteVersionRow, run.suite_digest))
    counted = times_counted(run, version, session.scalars(driven).one())
    if counted is None:
        return None
    weights = select(bindparam("weights", counted.tolist(), type_=ARRAY(Double)))
    return weights.scalar_subquery()[demand.position + 1]


def _mean(
    value: QueryableAttribute[float | None],
    weight: ColumnElement[float] | None,
    both: ColumnElement[bool],
) -> ColumnElement[float | None]:
    if weight is None:
        return func.avg(value).filter(both)
    return func.sum(value * weight).filter(both) / func.sum(weight).filter(both)


def sandbox_levels(session: Session, run_id: str) -> dict[str, list[str]]:
    """Every kind of sandbox that this run's models ran in, as its measures, by role."""
    measures = RolloutRow.provenance["sandbox"]
    rows = session.execute(
        select(DemandRow.role, measures)
        .join(RolloutRow, RolloutRow.drive_key == DemandRow.drive_key)
        .where(run_owner(run_id).owns(), measures.is_not(None))
        .distinct()
        .order_by(DemandRow.role, measures)
    )
    found: dict[str, list[str]] = {Role.CANDIDATE.value: [], Role.BASELINE.value: []}
    for role, names in rows:
        found[role.value].append(", ".join(names) or "none")
    return found


def case_positions(session: Session, run_id: str) -> dict[str, int]:
    """Must-pass cases of a run by name, with the position of their first repeat."""
    rows = session.execute(
        select(DemandRow.case_id, DemandRow.position)
        .where(run_owner(run_id).owns(), DemandRow.role == Role.CANDIDATE, DemandRow.mandatory)
        .order_by(DemandRow.position.desc())
    )
    return {case_id.rpartition("#")[0]: position for case_id, position in rows}
