"""Drafts of cases, from a field report or a place of a run. None enters a suite by itself."""

import secrets
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from server.broker import notify
from server.db.bank_tables import ModelRow, SegmentRow
from server.db.failure_tables import CaseDraftRow, FieldReportRow
from server.db.run_tables import RunRow
from server.problems import Refused, not_found
from server.services.audit import record
from server.services.bank.register_model import find_model
from server.services.bank.register_segments import usable_metas
from server.services.failures.case_status import let_go, move
from server.services.failures.field_reports import find_report
from server.services.paging import Page, given, read_page
from suites.conditions import load_condition
from suites.definition.case_toml import case_toml
from suites.definition.suite_schema import SHORTEST_S, CaseSpec
from suites.errors import Finding, SubmitterError
from suites.identity import canonical_json
from suites.manifest import Manifest, load_manifest, validation_findings
from suites.rollout import Offset
from suites.segment import SegmentMeta
from suites.segment_lookup import locate
from suites.simulators import default_simulator, misfit, simulator_spec
from suites.vocabulary import CaseStatus

SPEC = TypeAdapter(CaseSpec)
DRAFTABLE = (
    CaseStatus.LOCATED,
    CaseStatus.REPRODUCED,
    CaseStatus.NOT_REPRODUCED,
    CaseStatus.QUARANTINED,
)
"""Where a field report stands while a draft can be made for it."""


class DraftRequest(BaseModel):
    """Where it happened, who did it, who does not."""

    model_config = ConfigDict(
        extra="forbid", str_strip_whitespace=True, use_attribute_docstrings=True
    )

    suite: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=60)]
    """The suite that the case is for; it is made when it doesn't exist."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=120)]
    note: Annotated[str, Field(min_length=5, max_length=2000)]
    """Why it exists."""
    offender: Annotated[str, Field(min_length=1, max_length=200)]
    """The model that must fail it: digest, its first digits, or name."""
    control: Annotated[str, Field(min_length=1, max_length=200)]
    """The model that must pass it: `log` where a human drove, or an independent known-good one."""
    report: Annotated[str, Field(max_length=20)] | None = None
    """A located field report: its place is used."""
    run: Annotated[str, Field(max_length=20)] | None = None
    """The run that it was seen in."""
    segment: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    at_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """The surprise, seconds from the segment's start."""
    lateral_m: Annotated[float, Field(ge=-5, le=5, allow_inf_nan=False)] = 0.0
    """The start beside the human path that it was seen from, left positive; tried first."""
    heading_rad: Annotated[float, Field(ge=-0.5, le=0.5, allow_inf_nan=False)] = 0.0
    """The same for the heading."""
    case: dict[str, Any] | None = None
    """Window, offset, noise and conditions of one's own; proposed when not given.
    Fields of suites.definition.suite_schema.CaseSpec."""
    as_written: bool = False
    """Keep window and offset as they are; otherwise both are made as small as the proof allows."""
    draws: Annotated[int, Field(ge=1, le=20)] = 3
    """Of the declared noise, for each of the two."""
    author: Annotated[str, Field(max_length=200)] = ""


class DraftView(BaseModel):
    """A draft."""

    id: str
    suite: str
    name: str
    status: CaseStatus
    """`located` while it is reproduced and proven."""
    report_id: str | None
    run_id: str | None
    note: str
    author: str
    offender: str
    control: str
    segment_id: str
    at_s: float
    as_written: bool
    spec: dict[str, Any] | None
    told: str
    reason: str
    proof: dict[str, Any] | None
    suite_digest: str | None
    version: int
    created: datetime
    updated: datetime


class DraftDetail(DraftView):
    """A draft with what belongs in the suite's file."""

    offender_name: str
    control_name: str
    toml: str | None
    """The patch for the suite file: append it. Null until there is a proposal."""


def add_draft(session: Session, asked: DraftRequest) -> DraftDetail:
    """Check everything, then wait for the proof. Raises SubmitterError, Refused (404, 409)."""
    offender, control = _models(session, asked)
    report = _draftable(session, asked.report) if asked.report else None
    if asked.run is not None and session.get(RunRow, asked.run) is None:
        raise not_found("run", asked.run, "see GET /v1/runs")
    meta, at_s = _place(session, asked, report)
    spec = _asked_case(asked, meta)
    simulator = _simulator(session, asked, offender)
    if problem := misfit(simulator["name"], meta):
        remedy = "name another place, or a model or run that drives such segments"
        raise SubmitterError("the place can't be driven", Finding("segment", problem, remedy))
    draft = CaseDraftRow(
        **asked.model_dump(include={"suite", "name", "note", "author", "as_written", "draws"}),
        id=secrets.token_hex(6),
        status=CaseStatus.LOCATED,
        report_id=asked.report,
        run_id=asked.run,
        offender=offender.digest,
        control=control.digest,
        simulator=simulator,
        segment_id=meta.segment_id,
        segment_digest=session.get_one(SegmentRow, meta.segment_id).digest,
        at_s=at_s,
        asked=asdict(spec),
        version=1,
    )
    session.add(draft)
    session.flush()
    models = {"offender": draft.offender, "control": draft.control}
    detail = {"report": draft.report_id, "run": draft.run_id} | models
    record(session, "draft.requested", ("draft", draft.id), actor=draft.author, detail=detail)
    if report is not None:
        _link(session, report, draft)
    notify(session)
    return read_draft(session, draft.id)


def _models(session: Session, asked: DraftRequest) -> tuple[ModelRow, ModelRow]:
    """Offender and control. Raises SubmitterError when they are one model."""
    offender = find_model(session, asked.offender)
    control = find_model(session, asked.control)
    if offender.digest == control.digest:
        remedy = "name the log of a human, or an independent good model"
        finding = Finding("control", "is the offending model itself", remedy)
        raise SubmitterError("a model can't be its own control", finding)
    return offender, control


def _draftable(session: Session, report_id: str) -> FieldReportRow:
    report = find_report(session, report_id)
    if report.status not in DRAFTABLE:
        remedy = "only a report whose place is known and that no draft holds can be drafted"
        finding = Finding("report", f"it is {report.status}", remedy)
        raise Refused("not-now", f"report {report.id} is {report.status}", finding)
    return report


def _asked_case(asked: DraftRequest, meta: SegmentMeta) -> CaseSpec:
    if asked.case is not None:
        return _written_case(asked.case, asked.name, meta, asked.note)
    start = Offset(lateral_m=asked.lateral_m, heading_rad=asked.heading_rad)
    return CaseSpec(name=asked.name, segment=meta.segment_id, offset=start, note=asked.note)


def _link(session: Session, report: FieldReportRow, draft: CaseDraftRow) -> None:
    """The report's trail names the draft; one that came to nothing before is tried again."""
    if report.status in (CaseStatus.NOT_REPRODUCED, CaseStatus.QUARANTINED):
        move(session, report, CaseStatus.LOCATED, reason="tried again", actor=draft.author)
    detail = {"draft": draft.id}
    record(session, "report.linked", ("report", report.id), actor=draft.author, detail=detail)


def _place(
    session: Session, asked: DraftRequest, report: FieldReportRow | None
) -> tuple[SegmentMeta, float]:
    if report is not None and report.segment_id is not None and report.segment_time_s is not None:
        name = report.segment_id
        at_s = report.segment_time_s
    elif asked.segment is not None and (asked.at_s is not None or asked.case is not None):
        name = asked.segment
        at_s = asked.at_s or 0.0  # of no use where the case has a window of its own
    else:
        field = "segment" if asked.segment is None else "at_s"
        remedy = "name a report, or a segment and at_s"
        raise SubmitterError("no place is named", Finding(field, "missing", remedy))
    found = locate(name, at_s, usable_metas(session))
    if found is None:
        remedy = "import it with `redrive segments import`; a field report may wait for it"
        raise not_found("segment", name, remedy)
    return found


def _written_case(document: dict[str, Any], name: str, meta: SegmentMeta, note: str) -> CaseSpec:
    """A case as a person wrote it. Raises SubmitterError where the segment can't judge it."""
    try:
        named = {"name": name, "segment": meta.segment_id, "note": note}
        spec = SPEC.validate_python(document | named)
    except ValidationError as error:
        raise SubmitterError("the case is not valid", validation_findings(error)) from None
    if not spec.conditions:
        finding = Finding("case.conditions", "missing", "say what must hold")
        raise SubmitterError("the case has no condition", finding)
    end_s = spec.end_s or meta.duration_s
    if end_s > meta.duration_s or end_s - spec.start_s < SHORTEST_S:
        remedy = f"at least {SHORTEST_S:g} s within 0 to {meta.duration_s:g} s"
        problem = f"{spec.start_s:g} to {end_s:g} s"
        raise SubmitterError("the case's window is impossible", Finding("case", problem, remedy))
    for i, condition in enumerate(spec.conditions):
        loaded = load_condition(condition, f"case.conditions.{i}")
        if loaded.from_s >= end_s - spec.start_s:
            where = f"case.conditions.{i}.from_s"
            problem = f"{loaded.from_s:g} s is after the window"
            remedy = f"below {end_s - spec.start_s:g}"
            raise SubmitterError("the condition is never judged", Finding(where, problem, remedy))
    return spec


def _simulator(session: Session, asked: DraftRequest, offender: ModelRow) -> dict[str, Any]:
    if asked.run is not None:
        return dict(session.get_one(RunRow, asked.run).simulator)
    return asdict(simulator_spec(default_simulator(offender.kind), {}))


def find_draft(session: Session, draft_id: str) -> CaseDraftRow:
    """Raises Refused (404)."""
    row = session.get(CaseDraftRow, draft_id)
    if row is None:
        raise not_found("draft", draft_id, "see GET /v1/case-drafts or `redrive cases list`")
    return row


def manifest_of(session: Session, digest: str) -> Manifest:
    """The manifest of a registered model."""
    return load_manifest(canonical_json(session.get_one(ModelRow, digest).manifest))


def read_draft(session: Session, draft_id: str) -> DraftDetail:
    """One draft. Raises Refused (404)."""
    row = find_draft(session, draft_id)
    session.flush()
    session.refresh(row)
    return DraftDetail(
        **_view(row).model_dump(),
        offender_name=session.get_one(ModelRow, row.offender).name,
        control_name=session.get_one(ModelRow, row.control).name,
        toml=case_toml(SPEC.validate_python(row.spec)) if row.spec is not None else None,
    )


def list_drafts(
    session: Session, *, status: CaseStatus | None, cursor: str | None, limit: int
) -> Page[DraftView]:
    """Newest first."""
    query = select(CaseDraftRow).filter_by(**given(status=status))
    by = (CaseDraftRow.created, CaseDraftRow.id)
    return read_page(session, query, by, cursor=cursor, limit=limit, view=lambda row: _view(row[0]))


def locked(session: Session, draft_id: str, version: int) -> CaseDraftRow:
    """A draft that nobody changed since `version` was read. Raises Refused (404, 409)."""
    draft = find_draft(session, draft_id)
    session.refresh(draft, with_for_update=True)
    if draft.version != version:
        problem = f"it is {draft.version} and {draft.status} now, you read {version}"
        finding = Finding("version", problem, "read it again")
        raise Refused("draft-moved", f"draft {draft_id} was changed by somebody else", finding)
    return draft


def reject_draft(
    session: Session, draft_id: str, version: int, reason: str, *, actor: str
) -> DraftDetail:
    """It will not become a test; its report may still become another. Raises Refused (404, 409)."""
    draft = locked(session, draft_id, version)
    move(session, draft, CaseStatus.REJECTED, reason=reason, actor=actor)
    let_go(session, draft, actor=actor)
    return read_draft(session, draft_id)


def _view(row: CaseDraftRow) -> DraftView:
    return DraftView.model_validate(row, from_attributes=True)
