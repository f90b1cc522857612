"""One pair of a run, taken apart: both models' traces, what went wrong, and when."""

import math
from typing import Any

import numpy as np
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from server.db.bank_tables import ModelRow
from server.db.base import Role
from server.db.queue_tables import DemandRow, DriveKeyRow, ResultRow, RolloutRow
from server.db.run_tables import RunRow
from server.problems import not_found
from server.services.paging import encode_cursor
from server.services.queue.demands import run_owner
from server.services.runs.pairs import Change, Sort, list_results
from server.services.runs.reproduce import reproduce
from server.services.runs.run_views import RunSummary, read_summary
from server.services.runs.stored_rollouts import ResultView
from server.services.runs.suggested_bound import Suggestion, suggest
from server.storage import BlobStore
from suites.metrics.incidents import incidents
from suites.metrics.registry import METRICS
from suites.rollout import Trace
from suites.simulators import SIMULATORS
from suites.statistics.contrasts import sign_of
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
    """The bound that a test of it would begin with; null where the proof proposes one."""
    previous: int | None
    next: int | None
    """Positions of the failing cases before and after this one."""


def read_case(session: Session, blobs: BlobStore, run_id: str, position: int) -> RunCase:
    """One place of a run's order. Raises Refused (404), DataError where a trace is lost."""
    run = read_summary(session, run_id)
    demands = demanded(session, run_id, position)
    demand = demands[Role.CANDIDATE]
    candidate, candidate_trace = _driven(session, blobs, demand)
    baseline, baseline_trace = _driven(session, blobs, demands[Role.BASELINE])
    key = session.get_one(DriveKeyRow, demand.drive_key).key
    document = session.scalar(select(RunRow.verdict_document).where(RunRow.id == run_id)) or {}
    verdict = _verdict_of(document, demand.case_id)
    scenario = key["scenario"]
    simulator = key["simulator"]["name"]
    before, after = _failing_beside(session, run_id, position)
    return RunCase(
        run=run,
        position=position,
        case_id=demand.case_id,
        route=demand.route,
        **{name: scenario[name] for name in ("segment_id", "start_s", "end_s", "offset")},
        simulator=simulator,
        has_views=SIMULATORS[simulator].has_views,
        why=_why(candidate, baseline, verdict),
        instant_s=_instant(candidate, candidate_trace, baseline_trace, verdict),
        verdict=verdict,
        candidate=candidate,
        baseline=baseline,
        metrics=_metrics(session, candidate.drive_key, baseline.drive_key, document),
        suggestion=suggest(document.get("gates", []), candidate_trace, baseline_trace),
        previous=before,
        next=after,
    )


def demanded(session: Session, run_id: str, position: int) -> dict[Role, DemandRow]:
    """Both demands of one position. Raises Refused (404)."""
    there = select(DemandRow).where(run_owner(run_id).owns(), DemandRow.position == position)
    found = {row.role: row for row in session.scalars(there)}
    if len(found) < len(Role):
        remedy = f"see the cases of /runs/{run_id}; a decision stops those not driven yet"
        raise not_found("case", str(position), remedy)
    return found


def load_trace(session: Session, blobs: BlobStore, drive_key: str) -> Trace | None:
    """The trace of a rollout; None where it has none (yet). Raises DataError."""
    stored = select(RolloutRow.trace_sha256).where(RolloutRow.drive_key == drive_key)
    sha256 = session.scalar(stored)
    return Trace.from_bytes(blobs.get(sha256)) if sha256 is not None else None


def _driven(
    session: Session, blobs: BlobStore, demand: DemandRow
) -> tuple[DrivenSide, Trace | None]:
    row = session.get(RolloutRow, demand.drive_key)
    asked = session.get_one(DriveKeyRow, demand.drive_key)
    name = session.get_one(ModelRow, asked.model).name
    trace = load_trace(session, blobs, demand.drive_key)
    lost = Outcome.INFRA_FAILED if asked.failure is not None else None
    seen = incidents(trace) if trace is not None else ()
    side = DrivenSide(
        model=name,
        drive_key=demand.drive_key,
        reproduce=reproduce(asked.key, name),
        outcome=lost if row is None else row.outcome,
        reason=(asked.failure or "") if row is None else row.reason,
        ended_s=None if row is None else row.ended_s,
        incidents=[IncidentView(kind=i.kind, start_s=i.start_s, end_s=i.end_s) for i in seen],
    )
    return side, trace


def _verdict_of(document: dict[str, Any], case_id: str) -> CaseVerdictView | None:
    name = case_id.rpartition("#")[0]
    found = next((case for case in document.get("cases", []) if case["case"] == name), None)
    if found is None:
        return None
    return CaseVerdictView(**{field: found[field] for field in CaseVerdictView.model_fields})


def _why(candidate: DrivenSide, baseline: DrivenSide, verdict: CaseVerdictView | None) -> str:
    if candidate.outcome is None:
        return "The candidate has not driven this case yet."
    if verdict is not None and verdict.passed is False:
        return f"Must-pass case {verdict.case} failed: {verdict.reason}."
    if candidate.outcome is not Outcome.COMPLETED:
        reason = candidate.reason or "The candidate did not complete it"
        return f"{reason[:1].upper()}{reason[1:]}."
    if baseline.outcome in FAILING:
        return f"The candidate completed it; the baseline did not: {baseline.reason}."
    return "The candidate completed it."


def _instant(
    side: DrivenSide,
    candidate: Trace | None,
    baseline: Trace | None,
    verdict: CaseVerdictView | None,
) -> float:
    """When the case broke, or the drive ended, or the candidate was worst off."""
    if verdict is not None and verdict.passed is False and verdict.instant_s is not None:
        return verdict.instant_s
    if candidate is None:
        return 0.0
    if side.outcome is not Outcome.COMPLETED:
        return float(candidate["t_s"][-1])
    column = "lateral_offset_m" if "lateral_offset_m" in candidate.columns else "lataccel_mps2"
    if column not in candidate.columns:
        return 0.0
    values = np.abs(candidate[column])
    if baseline is not None and column in baseline.columns:
        shared = min(len(values), len(baseline))
        values = values[:shared] - np.abs(baseline[column][:shared])
    known = np.where(np.isfinite(values), values, -math.inf)
    return float(candidate["t_s"][int(np.argmax(known))]) if len(known) else 0.0


def _metrics(
    session: Session, candidate_key: str, baseline_key: str, document: dict[str, Any]
) -> list[MetricRow]:
    """Of every metric that is valid for one of the two, those of the gates first."""
    found: dict[str, dict[str, ResultView]] = {candidate_key: {}, baseline_key: {}}
    rows = select(ResultRow).where(ResultRow.drive_key.in_(found)).order_by(ResultRow.version)
    for row in session.scalars(rows):
        found[row.drive_key][row.metric] = ResultView.model_validate(row, from_attributes=True)
    gates = [gate["metric"] for gate in document.get("gates", [])]
    candidate = found[candidate_key]
    baseline = found[baseline_key]
    valid = {name for side in (candidate, baseline) for name, view in side.items() if view.valid}
    names = [name for name in METRICS if name in valid]
    names.sort(key=lambda name: gates.index(name) if name in gates else len(gates))
    return [
        MetricRow(
            metric=name,
            unit=METRICS[name].unit,
            description=METRICS[name].description,
            gate=name in gates,
            candidate=candidate.get(name),
            baseline=baseline.get(name),
            delta=_delta(name, candidate.get(name), baseline.get(name)),
        )
        for name in names
    ]


def _delta(name: str, candidate: ResultView | None, baseline: ResultView | None) -> float | None:
    if candidate is None or baseline is None:
        return None
    if candidate.value is None or baseline.value is None:
        return None
    return (candidate.value - baseline.value) * sign_of(name)


def _failing_beside(session: Session, run_id: str, position: int) -> tuple[int | None, int | None]:
    """Positions of the nearest cases before and after that the candidate failed or did worse on."""
    here = encode_cursor([0.0, position])
    rules: list[dict[str, Any]] = [{"change": Change.REGRESSED}, {"verdict": "fail"}]

    def nearest(sort: Sort) -> int | None:
        pages = [
            list_results(session, run_id, **rule, sort=sort, cursor=here, limit=1) for rule in rules
        ]
        found = [pair.position for page in pages for pair in page.items]
        return min(found, key=lambda other: abs(other - position), default=None)

    return nearest("-position"), nearest("position")
