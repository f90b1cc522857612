"""A run taken apart by the offset that its rollouts started from, and how its models were run."""

import json
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Text, and_, cast, func, select
from sqlalchemy.orm import Session, aliased

from server.db.bank_tables import SuiteVersionRow
from server.db.base import OwnerKind, Role
from server.db.queue_tables import DemandRow, DriveKeyRow, ResultRow, RolloutRow
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


def by_offset(session: Session, run_id: str) -> Breakdown:
    """Counts and means, which are no verdict: one statement, whatever the run's size. Raises Refused (404)."""
    run = find_run(session, run_id)
    document: dict[str, Any] = session.get_one(SuiteVersionRow, run.suite_digest).document
    gates = document["suite"]["gates"]
    metric = METRICS[gates[0]["metric"]] if gates else next(iter(METRICS.values()))
    version = document["metric_versions"].get(metric.name, metric.version)
    mine, theirs = aliased(DemandRow), aliased(DemandRow)
    ended, ended_theirs = aliased(RolloutRow), aliased(RolloutRow)
    value, against = aliased(ResultRow), aliased(ResultRow)
    offset = cast(DriveKeyRow.key["scenario"]["offset"], Text)
    both = and_(value.valid, against.valid)
    query = (
        select(
            offset,
            func.count(),
            func.count().filter(ended.outcome.in_(FAILING)),
            func.count().filter(ended_theirs.outcome.in_(FAILING)),
            func.count().filter(both),
            func.avg(value.value).filter(both),
            func.avg(against.value).filter(both),
        )
        .select_from(mine)
        .join(
            theirs,
            and_(
                theirs.owner_kind == mine.owner_kind,
                theirs.owner_id == mine.owner_id,
                theirs.position == mine.position,
                theirs.role == Role.BASELINE,
            ),
        )
        .join(DriveKeyRow, DriveKeyRow.digest == mine.drive_key)
        .join(ended, ended.drive_key == mine.drive_key)
        .join(ended_theirs, ended_theirs.drive_key == theirs.drive_key)
        .where(
            mine.owner_kind == OwnerKind.RUN,
            mine.owner_id == run_id,
            mine.role == Role.CANDIDATE,
            mine.mandatory.is_(False),
        )
        .group_by(offset)
    )
    for result, demand in ((value, mine), (against, theirs)):
        of_metric = (result.metric == metric.name, result.version == version)
        query = query.outerjoin(result, and_(result.drive_key == demand.drive_key, *of_metric))
    counted = (
        "pairs",
        "candidate_failed",
        "baseline_failed",
        "measured",
        "candidate_mean",
        "baseline_mean",
    )
    rows = [
        OffsetRow(**json.loads(text), **dict(zip(counted, numbers, strict=True)))
        for text, *numbers in session.execute(query)
    ]
    rows.sort(key=lambda row: (row.lateral_m, row.heading_rad, row.longitudinal_m))
    return Breakdown(metric=metric.name, unit=metric.unit, rows=rows)


def sandbox_levels(session: Session, run_id: str) -> dict[str, list[str]]:
    """{"candidate": [...], "baseline": [...]}: every kind of sandbox that this run's models ran in, as its measures."""
    measures = RolloutRow.provenance["sandbox"]
    rows = session.execute(
        select(DemandRow.role, measures)
        .join(RolloutRow, RolloutRow.drive_key == DemandRow.drive_key)
        .where(
            DemandRow.owner_kind == OwnerKind.RUN,
            DemandRow.owner_id == run_id,
            measures.is_not(None),
        )
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
        .where(
            DemandRow.owner_kind == OwnerKind.RUN,
            DemandRow.owner_id == run_id,
            DemandRow.role == Role.CANDIDATE,
            DemandRow.mandatory,
        )
        .order_by(DemandRow.position.desc())
    )
    return {case_id.rpartition("#")[0]: position for case_id, position in rows}
