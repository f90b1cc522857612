"""The one way in which a field report or a draft changes its status, with an entry on its trail.

    reported ─▶ awaiting data ─▶ located ─▶ reproduced ─▶ drafted ─▶ reviewed ─▶ enforced ◀─▶ waived
        └──────────────────────────▲ ▲ └──▶ not reproduced ─┐  └─▶ quarantined ─┐
                                     └─────────────────────┴────────────────────┘

Any of them but enforced and waived can be rejected; a rejected draft sets its report back to
reproduced. The whole table is suites.vocabulary.CASE_TRANSITIONS.
"""

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
    """`draft` took its report along. Raises Refused (409) where the table has no such step."""
    kind = "report" if isinstance(row, FieldReportRow) else "draft"
    before = row.status
    if to not in CASE_TRANSITIONS[before]:
        allowed = ", ".join(sorted(CASE_TRANSITIONS[before])) or "nothing: that is final"
        problem = f"the {kind} is {before}, it can't become {to}"
        remedy = f"it can become {allowed}"
        raise Refused("not-now", f"{kind} {row.id} is {before}", Finding("status", problem, remedy))
    row.status = to
    row.reason = reason
    row.version += 1
    links = {"report": row.report_id if isinstance(row, CaseDraftRow) else None, "draft": draft}
    detail = {"before": before, "after": to, "reason": reason}
    detail |= {name: link for name, link in links.items() if link}
    record(session, f"{kind}.{to.replace(' ', '_')}", (kind, row.id), actor=actor, detail=detail)


def follow(session: Session, draft: CaseDraftRow, *, actor: str = "") -> None:
    """The report that a draft was made for goes where the draft went, if the table lets it."""
    report = _report_of(session, draft)
    if report is not None and draft.status in CASE_TRANSITIONS[report.status]:
        move(session, report, draft.status, reason=draft.reason, actor=actor, draft=draft.id)


def let_go(session: Session, draft: CaseDraftRow, *, actor: str = "") -> None:
    """A draft was rejected, which says nothing against its report: that may be drafted again."""
    report = _report_of(session, draft)
    if report is None or report.status not in (CaseStatus.DRAFTED, CaseStatus.QUARANTINED):
        return
    others = select(CaseDraftRow.id).where(
        CaseDraftRow.report_id == report.id,
        CaseDraftRow.id != draft.id,
        CaseDraftRow.status == CaseStatus.DRAFTED,
    )
    if session.scalars(others.limit(1)).first() is None:
        why = f"a draft was rejected: {draft.reason}"
        move(session, report, CaseStatus.REPRODUCED, reason=why, actor=actor, draft=draft.id)


def _report_of(session: Session, draft: CaseDraftRow) -> FieldReportRow | None:
    """The draft's report, locked."""
    if draft.report_id is None:
        return None
    return session.get(FieldReportRow, draft.report_id, with_for_update=True)
