"""Field reports and drafts of cases: the lists, one of each, and the forms that decide on them."""

from typing import Annotated, get_args

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from server.api.common import Cursor, Database
from server.api.failures.surprises import Decision, Rejection, ReportRejection
from server.pages.forms import Form, asked, needed, number, see
from server.pages.rendering import BLANK_IS_ANY, page
from server.services.audit import EventView, list_events
from server.services.failures.acceptance import accept_draft
from server.services.failures.drafts import (
    DRAFTABLE,
    DraftDetail,
    DraftRequest,
    DraftView,
    add_draft,
    list_drafts,
    read_draft,
    reject_draft,
)
from server.services.failures.field_reports import (
    Complaint,
    ReportDetail,
    ReportView,
    Severity,
    add_report,
    list_reports,
    read_report,
    reject_report,
)
from server.services.runs.suggested_bound import SIGNALS, condition
from suites.segment_lookup import seconds
from suites.vocabulary import CaseStatus

router = APIRouter(include_in_schema=False)

LINES = 50
TRAIL = 30


class ReportsPage(BaseModel):
    """Field reports, newest first, and the drafts that wait for somebody."""

    reports: list[ReportView]
    next: str | None
    status: CaseStatus | None
    statuses: list[CaseStatus]
    severities: list[Severity]
    drafts: list[DraftView]


class ReportPage(BaseModel):
    """One field report."""

    report: ReportDetail
    draftable: bool
    """A draft can be made for it now."""
    trail: list[EventView]


class DraftPage(BaseModel):
    """One draft."""

    draft: DraftDetail
    trail: list[EventView]


def reports_page(
    session: Database,
    cursor: Cursor = None,
    status: Annotated[CaseStatus | None, BLANK_IS_ANY] = None,
) -> ReportsPage:
    """What the fleet complained of, and what became of it."""
    found = list_reports(session, status=status, search=None, cursor=cursor, limit=LINES)
    drafts = list_drafts(session, status=None, cursor=None, limit=LINES).items
    return ReportsPage(
        reports=found.items,
        next=found.next,
        status=status,
        statuses=list(CaseStatus),
        severities=list(get_args(Severity)),
        drafts=drafts,
    )


def report_page(report_id: str, session: Database) -> ReportPage:
    """One report with its duplicates, its drafts and its trail."""
    report = read_report(session, report_id)
    return ReportPage(
        report=report,
        draftable=report.status in DRAFTABLE,
        trail=_trail(session, "report", report_id),
    )


def draft_page(draft_id: str, session: Database) -> DraftPage:
    """One draft with its proof, the patch for the suite's file and its trail."""
    return DraftPage(draft=read_draft(session, draft_id), trail=_trail(session, "draft", draft_id))


def _trail(session: Database, kind: str, subject: str) -> list[EventView]:
    return list_events(
        session, subject_kind=kind, subject_id=subject, cursor=None, limit=TRAIL
    ).items


def tell(form: Form, session: Database) -> RedirectResponse:
    """Send a field report."""
    fields: dict[str, object] = {name: value for name, value in form.items() if name != "time"}
    report, _ = add_report(
        session, asked(Complaint, fields | {"time_s": seconds(needed(form, "time"), "time")})
    )
    return see(f"/reports/{report.id}")


def register(form: Form, session: Database) -> RedirectResponse:
    """Register a failure as a test: with a bound it is a case of one's own, without one the rule is proposed."""
    fields: dict[str, object] = dict(form)
    signal = fields.pop("signal", None)
    window = {
        name: number(form, name)
        for name in ("start_s", "end_s")
        if fields.pop(name, None) is not None
    }
    if fields.pop("bound", None) is not None and signal in SIGNALS:
        start = {name: number(form, name) for name in ("lateral_m", "heading_rad") if name in form}
        rule = condition(SIGNALS[str(signal)][0], str(signal), number(form, "bound"))
        fields["case"] = window | {"offset": start, "conditions": [rule]}
    return see(f"/case-drafts/{add_draft(session, asked(DraftRequest, fields)).id}")


def decide(draft_id: str, form: Form, session: Database) -> RedirectResponse:
    """Accept a draft, or reject it with a reason."""
    read: dict[str, object] = {"version": needed(form, "version"), "actor": needed(form, "actor")}
    if form.get("decision") == "accept":
        accepted = asked(Decision, read)
        accept_draft(session, draft_id, accepted.version, actor=accepted.actor)
    else:
        rejected = asked(Rejection, read | {"reason": needed(form, "reason")})
        reject_draft(session, draft_id, rejected.version, rejected.reason, actor=rejected.actor)
    return see(f"/case-drafts/{draft_id}")


def close(report_id: str, form: Form, session: Database) -> RedirectResponse:
    """Reject a report with a reason."""
    rejected = asked(
        ReportRejection, {"reason": needed(form, "reason"), "actor": needed(form, "actor")}
    )
    reject_report(session, report_id, rejected.reason, actor=rejected.actor)
    return see(f"/reports/{report_id}")


page(router, "/reports", "failures/reports.html", reports_page)
page(router, "/reports/{report_id}", "failures/field_report.html", report_page)
page(router, "/case-drafts/{draft_id}", "failures/draft.html", draft_page)
router.add_api_route("/reports", tell, methods=["POST"])
router.add_api_route("/case-drafts", register, methods=["POST"])
router.add_api_route("/case-drafts/{draft_id}/decide", decide, methods=["POST"])
router.add_api_route("/reports/{report_id}/reject", close, methods=["POST"])
