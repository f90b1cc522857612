"""Surprises on their way to a test: field reports, drafts of cases with their proofs, waivers."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from server.api.common import Cursor, Database, Limit
from server.problems import declares
from server.services.failures.acceptance import accept_draft
from server.services.failures.drafts import (
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
    add_report,
    list_reports,
    read_report,
    reject_report,
)
from server.services.failures.waivers import (
    WaiverRequest,
    WaiverState,
    WaiverView,
    add_waiver,
    list_waivers,
    revoke_waiver,
)
from server.services.paging import Page
from suites.vocabulary import CaseStatus

router = APIRouter(prefix="/v1")
Actor = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[str, Field(min_length=5, max_length=2000)]


class Decision(BaseModel):
    """Who decides on what they read."""

    model_config = ConfigDict(
        extra="forbid", str_strip_whitespace=True, use_attribute_docstrings=True
    )

    actor: Actor
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    """Of the draft that was read: refused if somebody changed it since."""


class Rejection(Decision):
    """Why it will not become a test."""

    reason: Reason


class ReportRejection(BaseModel):
    """Why a report will not become a test."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    actor: Actor
    reason: Reason


class Revocation(BaseModel):
    """Who ends a waiver."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    actor: Actor


@router.post(
    "/field-reports",
    tags=["field reports"],
    responses={
        201: {"model": ReportView, "description": "A new report"},
        **declares("not-json", "invalid-submission"),
    },
)
def report(body: Complaint, response: Response, session: Database) -> ReportView:
    """Tell what a driver of the fleet complained of. Sending the same again is the same report."""
    view, new = add_report(session, body)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/field-reports/{view.id}"
    return view


@router.get("/field-reports", tags=["field reports"], responses=declares("bad-request"))
def reports(
    session: Database,
    limit: Limit,
    cursor: Cursor = None,
    status: CaseStatus | None = None,
    search: Annotated[
        str | None, Query(max_length=200, description="Words of the text or of the route.")
    ] = None,
) -> Page[ReportView]:
    """Field reports, newest first."""
    return list_reports(session, status=status, search=search, cursor=cursor, limit=limit)


@router.get("/field-reports/{report_id}", tags=["field reports"], responses=declares("not-found"))
def one_report(report_id: str, session: Database) -> ReportDetail:
    """One report with its duplicates and drafts."""
    return read_report(session, report_id)


@router.post(
    "/field-reports/{report_id}/reject",
    tags=["field reports"],
    responses=declares("not-found", "not-now", "not-json"),
)
def reject_one_report(report_id: str, body: ReportRejection, session: Database) -> ReportDetail:
    """It will not become a test, with the reason."""
    return reject_report(session, report_id, body.reason, actor=body.actor)


@router.post(
    "/case-drafts",
    tags=["cases"],
    status_code=201,
    responses=declares("not-json", "not-found", "ambiguous", "not-now", "invalid-submission"),
)
def draft(body: DraftRequest, response: Response, session: Database) -> DraftDetail:
    """Register a failure as a test: it is reproduced, made small and proven before a person may accept it."""
    view = add_draft(session, body)
    response.headers["Location"] = f"/v1/case-drafts/{view.id}"
    return view


@router.get("/case-drafts", tags=["cases"], responses=declares("bad-request"))
def drafts(
    session: Database, limit: Limit, cursor: Cursor = None, status: CaseStatus | None = None
) -> Page[DraftView]:
    """Drafts of cases, newest first."""
    return list_drafts(session, status=status, cursor=cursor, limit=limit)


@router.get("/case-drafts/{draft_id}", tags=["cases"], responses=declares("not-found"))
def one_draft(draft_id: str, session: Database) -> DraftDetail:
    """One draft with its proof and the patch for the suite's file."""
    return read_draft(session, draft_id)


@router.post(
    "/case-drafts/{draft_id}/accept",
    tags=["cases"],
    responses=declares(
        "not-found", "draft-moved", "not-now", "parent-moved", "not-json", "invalid-submission"
    ),
)
def accept(draft_id: str, body: Decision, session: Database) -> DraftDetail:
    """Make a proven draft part of the next version of its suite."""
    return accept_draft(session, draft_id, body.version, actor=body.actor)


@router.post(
    "/case-drafts/{draft_id}/reject",
    tags=["cases"],
    responses=declares("not-found", "draft-moved", "not-now", "not-json"),
)
def reject(draft_id: str, body: Rejection, session: Database) -> DraftDetail:
    """It will not become a test, with the reason."""
    return reject_draft(session, draft_id, body.version, body.reason, actor=body.actor)


@router.post(
    "/waivers",
    tags=["cases"],
    status_code=201,
    responses=declares("not-json", "not-found", "ambiguous", "not-now", "invalid-submission"),
)
def waive_case(body: WaiverRequest, session: Database) -> WaiverView:
    """Answer for a failing case, for a time; runs that are submitted from now on say so."""
    return add_waiver(session, body)


@router.get("/waivers", tags=["cases"], responses=declares("bad-request"))
def waivers(
    session: Database,
    limit: Limit,
    cursor: Cursor = None,
    suite: Annotated[str | None, Query(max_length=200)] = None,
    state: WaiverState | None = None,
) -> Page[WaiverView]:
    """Waivers, newest first, those that have ended too."""
    return list_waivers(session, suite=suite, state=state, cursor=cursor, limit=limit)


@router.post(
    "/waivers/{waiver_id}/revoke",
    tags=["cases"],
    responses=declares("not-found", "not-now", "not-json"),
)
def revoke(waiver_id: str, body: Revocation, session: Database) -> WaiverView:
    """End a waiver: the case counts again."""
    return revoke_waiver(session, waiver_id, actor=body.actor)
