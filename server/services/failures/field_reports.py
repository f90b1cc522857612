"""Field reports: what the fleet complained of, where, and what became of it. None is lost."""

import re
import secrets
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from server.db.failure_tables import CaseDraftRow, FieldReportRow
from server.problems import not_found
from server.services.audit import record
from server.services.bank.register_segments import usable_metas
from server.services.failures.case_status import move
from server.services.paging import Page, given, read_page
from suites.errors import SubmitterError
from suites.segment_lookup import locate, same_place
from suites.vocabulary import CaseStatus

SAME_PLACE_S = 3.0
"""Reports of one segment and signature that lie so near are one cluster."""
SIGNATURES: dict[str, str] = {
    "braking": r"brak|slam|slow(ed|s)? down|stopp",
    "exit": r"exit|off.?ramp|split|fork",
    "lane change": r"lane.?chang|chang\w* lanes?|merg",
    "lane keeping": r"lane|hug|line|centre|center|drift|curb|kerb"
    r"|wander|weav|ping.?pong|road|swerv",
    "turning": r"turn|curve|bend|corner",
    "comfort": r"jerk|rough|uncomfort|nause|harsh",
}
"""Kind of complaint by its words, the first that matches: coarse, people look at clusters."""
Severity = Literal["low", "medium", "high", "critical"]


class Complaint(BaseModel):
    """What a reporter sends."""

    model_config = ConfigDict(
        extra="forbid", str_strip_whitespace=True, use_attribute_docstrings=True
    )

    route: Annotated[str, Field(min_length=1, max_length=500)]
    """A route or segment, in any form that people paste."""
    time_s: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
    """Seconds from the start of what `route` names."""
    text: Annotated[str, Field(min_length=1, max_length=5000)]
    model_version: Annotated[str, Field(max_length=200)] = ""
    severity: Severity = "medium"
    reporter: Annotated[str, Field(min_length=1, max_length=200)]


class ReportView(BaseModel):
    """A field report."""

    id: str
    route: str
    time_s: float
    text: str
    model_version: str
    severity: str
    reporter: str
    status: CaseStatus
    reason: str
    segment_id: str | None
    segment_time_s: float | None
    signature: str
    cluster: str
    created: datetime
    updated: datetime


class ReportDetail(ReportView):
    """A field report with what it is linked to."""

    drafts: list[str]
    """Drafts of cases that were made for it or for another of its cluster."""
    duplicates: list[str]
    """The other reports of its cluster."""


def signature_of(text: str) -> str:
    """The kind of complaint."""
    text = text.lower()
    return next((name for name, words in SIGNATURES.items() if re.search(words, text)), "other")


def add_report(session: Session, complaint: Complaint) -> tuple[ReportView, bool]:
    """Store a report, find its place, join its cluster; returns it and whether it is new. The very
    same report again is the stored one. Raises SubmitterError for a time outside a route."""
    found = locate(complaint.route, complaint.time_s, usable_metas(session))
    place = same_place(complaint.route)
    # One at a time for each place: of two that come at once, the second sees the first.
    lock = f"report {found[0].segment_id if found else place}"
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext(lock))))
    again = _stored(session, complaint, place)
    if again is not None:
        return _view(again), False
    report = FieldReportRow(
        id=secrets.token_hex(6),
        place=place,
        status=CaseStatus.REPORTED,
        reason="",
        cluster="",
        signature=signature_of(complaint.text),
        version=1,
        **complaint.model_dump(),
    )
    report.cluster = report.id
    session.add(report)
    detail = {"route": report.route}
    record(session, "report.reported", ("report", report.id), actor=report.reporter, detail=detail)
    session.flush()
    if found is None:
        reason = f"{report.route} is not stored at {report.time_s:g} s"
        move(session, report, CaseStatus.AWAITING_DATA, reason=reason)
    else:
        _locate(session, report, found[0].segment_id, found[1])
    _join(session, report)
    session.flush()
    session.refresh(report)
    return _view(report), True


def _stored(session: Session, complaint: Complaint, place: str) -> FieldReportRow | None:
    said = complaint.model_dump(include={"time_s", "text", "reporter"})
    return session.scalars(select(FieldReportRow).filter_by(place=place, **said)).first()


def locate_awaited(session: Session) -> None:
    """Segments have arrived: look again for the places of the reports that wait for theirs."""
    awaiting = select(FieldReportRow).where(FieldReportRow.status == CaseStatus.AWAITING_DATA)
    waiting = session.scalars(awaiting.with_for_update()).all()
    metas = usable_metas(session) if waiting else []
    for report in waiting:
        try:
            found = locate(report.route, report.time_s, metas)
        except SubmitterError as error:
            report.reason = f"{error}: {error.findings[0].problem}"
            continue
        if found is not None:
            _locate(session, report, found[0].segment_id, found[1])
            _join(session, report)


def _locate(session: Session, report: FieldReportRow, segment_id: str, time_s: float) -> None:
    move(session, report, CaseStatus.LOCATED)
    report.segment_id = segment_id
    report.segment_time_s = round(time_s, 3)


def _join(session: Session, report: FieldReportRow) -> None:
    """The oldest report of the same place, time and signature gives the cluster its name."""
    if report.segment_id is not None and report.segment_time_s is not None:
        here = FieldReportRow.segment_id == report.segment_id
        near = _near(FieldReportRow.segment_time_s, report.segment_time_s)
    else:
        here = FieldReportRow.place == report.place
        near = _near(FieldReportRow.time_s, report.time_s)
    alike = FieldReportRow.signature == report.signature
    others = select(FieldReportRow).where(here, near, alike, FieldReportRow.id != report.id)
    oldest = others.order_by(FieldReportRow.created, FieldReportRow.id).limit(1)
    first = session.scalars(oldest).first()
    if first is not None:
        report.cluster = first.cluster


def _near(column: InstrumentedAttribute[Any], time_s: float) -> ColumnElement[bool]:
    return column.between(time_s - SAME_PLACE_S, time_s + SAME_PLACE_S)


def find_report(session: Session, report_id: str) -> FieldReportRow:
    """Raises Refused (404)."""
    row = session.get(FieldReportRow, report_id)
    if row is None:
        remedy = "see GET /v1/field-reports or `redrive reports list`"
        raise not_found("field report", report_id, remedy)
    return row


def read_report(session: Session, report_id: str) -> ReportDetail:
    """One report with its links. Raises Refused (404)."""
    row = find_report(session, report_id)
    cluster = select(FieldReportRow.id).where(FieldReportRow.cluster == row.cluster)
    ids = list(session.scalars(cluster.order_by(FieldReportRow.created)))
    made = select(CaseDraftRow.id).where(CaseDraftRow.report_id.in_(ids))
    drafts = list(session.scalars(made.order_by(CaseDraftRow.created)))
    others = [i for i in ids if i != row.id]
    return ReportDetail(**_view(row).model_dump(), drafts=drafts, duplicates=others)


def list_reports(
    session: Session,
    *,
    status: CaseStatus | None,
    search: str | None,
    cursor: str | None,
    limit: int,
) -> Page[ReportView]:
    """Newest first."""
    query = select(FieldReportRow).filter_by(**given(status=status))
    if search:
        said = FieldReportRow.text.icontains(search, autoescape=True)
        query = query.where(said | FieldReportRow.place.icontains(search, autoescape=True))
    by = (FieldReportRow.created, FieldReportRow.id)
    return read_page(session, query, by, cursor=cursor, limit=limit, view=lambda row: _view(row[0]))


def reject_report(session: Session, report_id: str, reason: str, *, actor: str) -> ReportDetail:
    """It will not become a test, and this is why. Raises Refused (404, 409)."""
    report = find_report(session, report_id)
    session.refresh(report, with_for_update=True)
    move(session, report, CaseStatus.REJECTED, reason=reason, actor=actor)
    session.flush()
    session.refresh(report)
    return read_report(session, report_id)


def _view(row: FieldReportRow) -> ReportView:
    return ReportView.model_validate(row, from_attributes=True)
