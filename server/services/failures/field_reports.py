"""Field reports: what the fleet complained of, where, and what became of it. Nothing that is sent is lost."""

import re
import secrets
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from server.db.failure_tables import CaseDraftRow, FieldReportRow
from server.problems import not_found
from server.services.audit import record
from server.services.bank.register_segments import usable_metas
from server.services.failures.case_status import move
from server.services.paging import Page, read_page
from suites.errors import SubmitterError
from suites.segment_lookup import locate, same_place
from suites.vocabulary import CaseStatus

SAME_PLACE_S = 3.0
"""Reports of one segment and signature that lie so near are one cluster."""
SIGNATURES: dict[str, str] = {
    "braking": r"brak|slam|slow(ed|s)? down|stopp",
    "exit": r"exit|off.?ramp|split|fork",
    "lane change": r"lane.?chang|chang\w* lanes?|merg",
    "lane keeping": r"lane|hug|line|centre|center|drift|curb|kerb|wander|weav|ping.?pong|road|swerv",
    "turning": r"turn|curve|bend|corner",
    "comfort": r"jerk|rough|uncomfort|nause|harsh",
}
"""Kind of complaint by its words, the first that matches: coarse on purpose, a person looks at clusters."""
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
    return next(
        (name for name, words in SIGNATURES.items() if re.search(words, text.lower())), "other"
    )


def add_report(session: Session, complaint: Complaint) -> tuple[ReportView, bool]:
    """Store a report, find its place, join its cluster; whether it is new: the very same report again is the one stored.
    Raises SubmitterError for a time outside a stored route."""
    found = locate(complaint.route, complaint.time_s, usable_metas(session))
    place = same_place(complaint.route)
    session.execute(
        select(
            func.pg_advisory_xact_lock(
                func.hashtext(f"report {found[0].segment_id if found else place}")
            )
        )
    )
    again = session.scalars(
        select(FieldReportRow).where(
            FieldReportRow.place == place,
            FieldReportRow.time_s == complaint.time_s,
            FieldReportRow.text == complaint.text,
            FieldReportRow.reporter == complaint.reporter,
        )
    ).first()
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
    detail = {"route": complaint.route}
    record(
        session, "report.reported", ("report", report.id), actor=complaint.reporter, detail=detail
    )
    session.flush()
    if found is None:
        move(
            session,
            report,
            CaseStatus.AWAITING_DATA,
            reason=f"{complaint.route} is not stored at {complaint.time_s:g} s",
        )
    else:
        _locate(session, report, found[0].segment_id, found[1])
    _join(session, report)
    session.flush()
    session.refresh(report)
    return _view(report), True


def locate_awaited(session: Session) -> None:
    """Look again for the places of reports whose data was not stored. Called when segments arrive."""
    waiting = session.scalars(
        select(FieldReportRow)
        .where(FieldReportRow.status == CaseStatus.AWAITING_DATA)
        .with_for_update()
    ).all()
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
    report.segment_id, report.segment_time_s = segment_id, round(time_s, 3)


def _join(session: Session, report: FieldReportRow) -> None:
    """The oldest report of the same place, time and signature gives the cluster its name."""
    if report.segment_id is not None and report.segment_time_s is not None:
        near = FieldReportRow.segment_time_s.between(
            report.segment_time_s - SAME_PLACE_S, report.segment_time_s + SAME_PLACE_S
        )
        here = (FieldReportRow.segment_id == report.segment_id) & near
    else:
        near = FieldReportRow.time_s.between(
            report.time_s - SAME_PLACE_S, report.time_s + SAME_PLACE_S
        )
        here = (FieldReportRow.place == report.place) & near
    first = session.scalars(
        select(FieldReportRow)
        .where(here, FieldReportRow.signature == report.signature, FieldReportRow.id != report.id)
        .order_by(FieldReportRow.created, FieldReportRow.id)
        .limit(1)
    ).first()
    if first is not None:
        report.cluster = first.cluster


def find_report(session: Session, report_id: str) -> FieldReportRow:
    """Raises Refused (404)."""
    row = session.get(FieldReportRow, report_id)
    if row is None:
        raise not_found(
            "field report", report_id, "see GET /v1/field-reports or `redrive reports list`"
        )
    return row


def read_report(session: Session, report_id: str) -> ReportDetail:
    """One report with its links. Raises Refused (404)."""
    row = find_report(session, report_id)
    cluster = session.scalars(
        select(FieldReportRow.id)
        .where(FieldReportRow.cluster == row.cluster)
        .order_by(FieldReportRow.created)
    )
    ids = list(cluster)
    drafts = session.scalars(
        select(CaseDraftRow.id)
        .where(CaseDraftRow.report_id.in_(ids))
        .order_by(CaseDraftRow.created)
    )
    return ReportDetail(
        **_view(row).model_dump(), drafts=list(drafts), duplicates=[i for i in ids if i != row.id]
    )


def list_reports(
    session: Session,
    *,
    status: CaseStatus | None,
    search: str | None,
    cursor: str | None,
    limit: int,
) -> Page[ReportView]:
    """Newest first."""
    query = select(FieldReportRow)
    if status is not None:
        query = query.where(FieldReportRow.status == status)
    if search:
        query = query.where(
            or_(
                FieldReportRow.text.icontains(search, autoescape=True),
                FieldReportRow.place.icontains(search, autoescape=True),
            )
        )
    return read_page(
        session,
        query,
        (FieldReportRow.created, FieldReportRow.id),
        cursor=cursor,
        limit=limit,
        descending=True,
        view=lambda row: _view(row[0]),
    )


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
