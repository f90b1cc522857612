"""Field reports: what drivers of the fleet complained of."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from server.api.common import Cursor, Database, Limit, Reason, Signed
from server.problems import declares
from server.services.failures import field_reports as service
from server.services.paging import Page
from suites.vocabulary import CaseStatus

router = APIRouter(prefix="/v1", tags=["field reports"])

Search = Annotated[
    str | None, Query(max_length=200, description="Words of the text or of the route.")
]


class ReportRejection(Signed):
    """Why a report will not become a test."""

    reason: Reason


@router.post(
    "/field-reports",
    responses={
        201: {"model": service.ReportView, "description": "A new report"},
        **declares("not-json", "invalid-submission"),
    },
)
def report(body: service.Complaint, response: Response, session: Database) -> service.ReportView:
    """Tell what a driver of the fleet complained of. Sending the same again is the same report."""
    view, new = service.add_report(session, body)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/field-reports/{view.id}"
    return view


@router.get("/field-reports", responses=declares("bad-request"))
def reports(
    session: Database,
    limit: Limit,
    cursor: Cursor = None,
    status: CaseStatus | None = None,
    search: Search = None,
) -> Page[service.ReportView]:
    """Field reports, newest first."""
    return service.list_reports(session, status=status, search=search, cursor=cursor, limit=limit)


@router.get("/field-reports/{report_id}", responses=declares("not-found"))
def one_report(report_id: str, session: Database) -> service.ReportDetail:
    """One report with its duplicates and drafts."""
    return service.read_report(session, report_id)


@router.post(
    "/field-reports/{report_id}/reject", responses=declares("not-found", "not-now", "not-json")
)
def reject_one_report(
    report_id: str, body: ReportRejection, session: Database
) -> service.ReportDetail:
    """It will not become a test, with the reason."""
    return service.reject_report(session, report_id, body.reason, actor=body.actor)
