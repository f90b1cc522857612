"""One planned rollout of a run, taken apart: both models' traces against the log, what went wrong, and when."""

import math
from typing import Any

import numpy as np
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from server.db.bank_tables import ModelRow
from server.db.base import OwnerKind, Role
from server.db.queue_tables import DemandRow, DriveKeyRow, ResultRow, RolloutRow
from server.db.run_tables import RunRow
from server.problems import not_found
from server.services.paging import encode_cursor
from server.services.runs.pairs import Change, Sort, list_results
from server.services.runs.reproduce import reproduce
from server.services.runs.run_views import RunSummary, read_summary
from server.services.runs.stored_rollouts import ResultView
from server.services.runs.suggested_bound import Suggestion, suggest
from server.storage import BlobStore
from suites.metrics.incidents import incidents
from suites.metrics.registry import METRICS
from suites.rollout import Trace
from suites.vocabulary import FAILING, Outcome


class IncidentView(BaseModel):
    """One uninterrupted stretch of a countable mistake."""

    kind: str
    start_s: float
    end_s: float


class DrivenSide(BaseModel):
    """One model's rollout."""

    model: str
    drive_key: str
    outcome: Outcome | None
    """Null while not driven."""
    reason: str
    ended_s: float | None
    incidents: list[IncidentView]
    reproduce: str


class MetricRow(BaseModel):
    """One metric of both rollouts."""

    metric: str
    unit: str
    description: str
    gate: bool
    """The run is judged by it."""
    candidate: ResultView | None
    baseline: ResultView | None
    delta: float | None
    """Candidate minus baseline, signed so that positive is worse; null where either is missing."""


class CaseVerdictView(BaseModel):
    """The verdict of the must-pass case that this rollout is a repeat of."""

    case: str
    passed: bool | None
    reason: str
    instant_s: float | None
    waived: str
    """Who answers for it; empty where nobody has to."""


class RunCase(BaseModel):
    """What the case page shows."""

    run: RunSummary
    position: int
    case_id: str
    route: str
    segment_id: str
    simulator: str
    start_s: float
    end_s: float
    offset: dict[str, float]
    has_views: bool
    """Its simulator shows the models pictures."""
    why: str
    """Why it failed, or that it didn't."""
    instant_s: float
    """The moment to look at first: where it went wrong, from the window's start."""
    verdict: CaseVerdictView | None
    candidate: DrivenSide
    baseline: DrivenSide
    metrics: list[MetricRow]
    suggestion: Suggestion | None
    """The bound that registering it as a test would begin with; null where the proof proposes one."""
    previous: int | None
    next: int | None
    """Positions of the failing cases before and after this one."""


def read_case(session: Session, blobs: BlobStore, run_id: str, position: int) -> RunCase:
    """One place of a run's order. Raises Refused (404), DataError where a trace is lost."""
    run = read_summary(session, run_id)
    demands = demanded(session, run_id, position)
    sides = {role: _side(session, blobs, demands[role]) for role in Role}
    mine, theirs = sides[Role.CANDIDATE], sides[Role.BASELINE]
    key = session.get_one(DriveKeyRow, demands[Role.CANDIDATE].drive_key).key
    document = session.scalar(select(RunRow.verdict_document).where(RunRow.id == run_id)) or {}
    verdict = _verdict_of(document, demands[Role.CANDIDATE].case_id)
    scenario = key["scenario"]
    before, after = _failing_beside(session, run_id, position)
    return RunCase(
        run=run,
        position=position,
        case_id=demands[Role.CANDIDATE].case_id,
        route=demands[Role.CANDIDATE].route,
        segment_id=scenario["segment_id"],
        simulator=key["simulator"]["name"],
        start_s=scenario["start_s"],
        end_s=scenario["end_s"],
        offset=scenario["offset"],
        has_views=key["simulator"]["name"] != "tinyphysics",
        why=_why(mine[0], theirs[0], verdict),
        instant_s=_instant(mine, theirs, verdict),
        verdict=verdict,
        candidate=mine[0],
        baseline=theirs[0],
        metrics=_metrics(session, mine[0], theirs[0], document),
        suggestion=suggest(document.get("gates", []), mine[1], theirs[1]),
        previous=before,
        next=after,
    )


def demanded(session: Session, run_id: str, position: int) -> dict[Role, DemandRow]:
    """Both demands of one position. Raises Refused (404)."""
    rows = session.scalars(
        select(DemandRow).where(
            DemandRow.owner_kind == OwnerKind.RUN,
            DemandRow.owner_id == run_id,
            DemandRow.position == position,
        )
    )
    found = {row.role: row for row in rows}
    if len(found) < len(Role):
        raise not_found(
            "case",
            str(position),
            f"see the cases of /runs/{run_id}; a decision stops those not driven yet",
        )
    return found


def load_trace(session: Session, blobs: BlobStore, drive_key: str) -> Trace | None:
    """The trace of a rollout; None where it isn't driven or ended before its first step. Raises DataError."""
    sha256 = session.scalar(
        select(RolloutRow.trace_sha256).where(RolloutRow.drive_key == drive_key)
    )
    return Trace.from_bytes(blobs.get(sha256)) if sha256 is not None else None


_Driven = tuple[DrivenSide, Trace | None]


def _side(session: Session, blobs: BlobStore, demand: DemandRow) -> _Driven:
    row = session.get(RolloutRow, demand.drive_key)
    asked = session.get_one(DriveKeyRow, demand.drive_key)
    name = session.get_one(ModelRow, asked.model).name
    trace = load_trace(session, blobs, demand.drive_key)
    failure = asked.failure if row is None else None
    side = DrivenSide(
        model=name,
        drive_key=demand.drive_key,
        reproduce=reproduce(asked.key, name),
        outcome=row.outcome
        if row is not None
        else Outcome.INFRA_FAILED
        if failure is not None
        else None,
        reason=row.reason if row is not None else failure or "",
        ended_s=row.ended_s if row is not None else None,
        incidents=[
            IncidentView(kind=i.kind, start_s=i.start_s, end_s=i.end_s)
            for i in (incidents(trace) if trace is not None else ())
        ],
    )
    return side, trace


def _verdict_of(document: dict[str, Any], case_id: str) -> CaseVerdictView | None:
    name = case_id.rpartition("#")[0]
    found = next((case for case in document.get("cases", []) if case["case"] == name), None)
    return (
        None
        if found is None
        else CaseVerdictView(**{f: found[f] for f in CaseVerdictView.model_fields})
    )


def _why(mine: DrivenSide, theirs: DrivenSide, verdict: CaseVerdictView | None) -> str:
    if mine.outcome is None:
        return "The candidate has not driven this case yet."
    if verdict is not None and verdict.passed is False:
        return f"Must-pass case {verdict.case} failed: {verdict.reason}."
    if mine.outcome is not Outcome.COMPLETED:
        return (
            f"{mine.reason[:1].upper()}{mine.reason[1:]}."
            if mine.reason
            else "The candidate did not complete it."
        )
    if theirs.outcome in FAILING:
        return f"The candidate completed it; the baseline did not: {theirs.reason}."
    return "The candidate completed it."


def _instant(mine: _Driven, theirs: _Driven, verdict: CaseVerdictView | None) -> float:
    if verdict is not None and verdict.passed is False and verdict.instant_s is not None:
        return verdict.instant_s
    side, trace = mine
    if trace is None:
        return 0.0
    if side.outcome is not Outcome.COMPLETED:
        return float(trace["t_s"][-1])
    column = "lateral_offset_m" if "lateral_offset_m" in trace.columns else "lataccel_mps2"
    if column not in trace.columns:
        return 0.0
    values, other = np.abs(trace[column]), theirs[1]
    if other is not None and column in other.columns:
        shared = min(len(values), len(other))
        values = values[:shared] - np.abs(other[column][:shared])
    known = np.where(np.isfinite(values), values, -math.inf)
    return float(trace["t_s"][int(np.argmax(known))]) if len(known) else 0.0


def _metrics(
    session: Session, mine: DrivenSide, theirs: DrivenSide, document: dict[str, Any]
) -> list[MetricRow]:
    found: dict[str, dict[str, ResultView]] = {mine.drive_key: {}, theirs.drive_key: {}}
    for row in session.scalars(
        select(ResultRow).where(ResultRow.drive_key.in_(found)).order_by(ResultRow.version)
    ):
        found[row.drive_key][row.metric] = ResultView.model_validate(row, from_attributes=True)
    gates = [gate["metric"] for gate in document.get("gates", [])]
    ours, others = found[mine.drive_key], found[theirs.drive_key]
    names = [
        name
        for name in METRICS
        if any(side.get(name) and side[name].valid for side in (ours, others))
    ]
    names.sort(key=lambda name: gates.index(name) if name in gates else len(gates))
    return [
        MetricRow(
            metric=name,
            unit=METRICS[name].unit,
            description=METRICS[name].description,
            gate=name in gates,
            candidate=ours.get(name),
            baseline=others.get(name),
            delta=_delta(name, ours.get(name), others.get(name)),
        )
        for name in names
    ]


def _delta(name: str, mine: ResultView | None, theirs: ResultView | None) -> float | None:
    if mine is None or theirs is None or mine.value is None or theirs.value is None:
        return None
    return (mine.value - theirs.value) * (-1 if METRICS[name].direction == "higher" else 1)


def _failing_beside(session: Session, run_id: str, position: int) -> tuple[int | None, int | None]:
    """Positions of the nearest cases before and after on which the candidate failed or did notably worse."""

    def nearest(sort: Sort) -> int | None:
        here = encode_cursor([0.0, position])
        regressed = list_results(
            session, run_id, change=Change.REGRESSED, sort=sort, cursor=here, limit=1
        ).items
        failed = list_results(
            session, run_id, verdict="fail", sort=sort, cursor=here, limit=1
        ).items
        found = [pair.position for pair in (*regressed, *failed)]
        return min(found, key=lambda other: abs(other - position), default=None)

    return nearest("-position"), nearest("position")
