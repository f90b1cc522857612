"""Field reports: the list, one of them, and the forms that send and reject one."""

from typing import Annotated, get_args

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from server.api.common import Cursor, Database
from server.api.failures.field_reports import ReportRejection
from server.pages.forms import Form, asked, needed, see, signed
from server.pages.rendering import BLANK_IS_ANY, page
from server.pages.trail import trail
from server.services.audit import EventView
from server.services.failures import field_reports as service
from server.services.failures.drafts import DRAFTABLE, DraftView, list_drafts
from suites.segment_lookup import seconds
from suites.vocabulary import CaseStatus

router = APIRouter(include_in_schema=False)

LINES = 50


class ReportsPage(BaseModel):
    """Field reports, newest first, and the drafts that wait for somebody."""

    reports: list[service.ReportView]
    next: str | None
    status: CaseStatus | None
    statuses: list[CaseStatus]
    severities: list[service.Severity]
    drafts: list[DraftView]


class ReportPage(BaseModel):
    """One field report."""

    report: service.ReportDetail
    draftable: bool
    """A draft can be made for it now."""
    trail: list[EventView]


def reports_page(
    session: Database,
    cursor: Cursor = None,
    status: Annotated[CaseStatus | None, BLANK_IS_ANY] = None,
) -> ReportsPage:
    """What the fleet complained of, and what became of it."""
    found = service.list_reports(session, status=status, search=None, cursor=cursor, limit=LINES)
    return ReportsPage(
        reports=found.items,
        next=found.next,
        status=status,
        statuses=list(CaseStatus),
        severities=list(get_args(service.Severity)),
        drafts=list_drafts(session, status=None, cursor=None, limit=LINES).items,
    )


def report_page(report_id: str, session: Database) -> ReportPage:
    """One report with its duplicates, its drafts and its trail."""
    report = service.read_report(session, report_id)
    events = trail(session, "report", report_id)
    return ReportPage(report=report, draftable=report.status in DRAFTABLE, trail=events)


def tell(form: Form, session: Database) -> RedirectResponse:
    """Send a field report."""
    fields: dict[str, object] = {**form, "time_s": seconds(needed(form, "time"), "time")}
    del fields["time"]
    report, _ = service.add_report(session, asked(service.Complaint, fields))
    return see(f"/reports/{report.id}")


def close(report_id: str, form: Form, session: Database) -> RedirectResponse:
    """Reject a report with a reason."""
    rejected = signed(ReportRejection, form, "reason")
    service.reject_report(session, report_id, rejected.reason, actor=rejected.actor)
    return see(f"/reports/{report_id}")


page(router, "/reports", "failures/field_reports.html", reports_page)
page(router, "/reports/{report_id}", "failures/field_report.html", report_page)
router.add_api_route("/reports", tell, methods=["POST"])
router.add_api_route("/reports/{report_id}/reject", close, methods=["POST"])
