"""The one way in which a field report or a draft changes its status: by the table, with an entry on both trails."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.db.failure_tables import CaseDraftRow, FieldReportRow
from server.problems import Refused
from server.services.audit import record
from suites.errors import Finding
from suites.vocabulary import CASE_TRANSITIONS, CaseStatus


def move(
    session: Session,
    row: FieldReportRow | CaseDraftRow,
    to: CaseStatus,
    *,
    reason: str = "",
    actor: str = "",
    draft: str | None = None,
) -> None:
    """`draft`: the one that took its report along. Raises Refused (409) where the table has no such step."""
    kind = "report" if isinstance(row, FieldReportRow) else "draft"
    before = row.status
    if to not in CASE_TRANSITIONS[before]:
        allowed = ", ".join(sorted(CASE_TRANSITIONS[before])) or "nothing: that is final"
        problem = f"the {kind} is {before}, it can't become {to}"
        remedy = f"it can become {allowed}"
        raise Refused("not-now", f"{kind} {row.id} is {before}", Finding("status", problem, remedy))
    row.status, row.reason, row.version = to, reason, row.version + 1
    links = {"report": row.report_id if isinstance(row, CaseDraftRow) else None, "draft": draft}
    detail = {"before": before, "after": to, "reason": reason} | {
        name: link for name, link in links.items() if link
    }
    record(session, f"{kind}.{to.replace(' ', '_')}", (kind, row.id), actor=actor, detail=detail)


def follow(session: Session, draft: CaseDraftRow, *, actor: str = "") -> None:
    """The report that a draft was made for goes where the draft went, as far as the table lets it."""
    report = _report_of(session, draft)
    if (
        report is not None
        and report.status is not draft.status
        and draft.status in CASE_TRANSITIONS[report.status]
    ):
        move(session, report, draft.status, reason=draft.reason, actor=actor, draft=draft.id)


def let_go(session: Session, draft: CaseDraftRow, *, actor: str = "") -> None:
    """A draft was rejected, which says nothing against its report: what was reproduced may be drafted again."""
    report = _report_of(session, draft)
    if report is None:
        return
    others = select(CaseDraftRow.id).where(
        CaseDraftRow.report_id == report.id,
        CaseDraftRow.id != draft.id,
        CaseDraftRow.status == CaseStatus.DRAFTED,
    )
    if (
        report.status in (CaseStatus.DRAFTED, CaseStatus.QUARANTINED)
        and session.scalars(others.limit(1)).first() is None
    ):
        move(
            session,
            report,
            CaseStatus.REPRODUCED,
            reason=f"a draft was rejected: {draft.reason}",
            actor=actor,
            draft=draft.id,
        )


def _report_of(session: Session, draft: CaseDraftRow) -> FieldReportRow | None:
    return (
        session.get(FieldReportRow, draft.report_id, with_for_update=True)
        if draft.report_id
        else None
    )
