"""Drafts of cases: a failure on its way to a test, with its proof."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from server.api.common import Cursor, Database, Limit, Reason, Signed
from server.problems import declares
from server.services.failures import drafts as service
from server.services.failures.acceptance import accept_draft
from server.services.paging import Page
from suites.vocabulary import CaseStatus

router = APIRouter(prefix="/v1", tags=["cases"])


class Decision(Signed):
    """Who decides on what they read."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    """Of the draft that was read: refused if somebody changed it since."""


class Rejection(Decision):
    """Why it will not become a test."""

    reason: Reason


@router.post(
    "/case-drafts",
    status_code=201,
    responses=declares("not-json", "not-found", "ambiguous", "not-now", "invalid-submission"),
)
def draft(body: service.DraftRequest, response: Response, session: Database) -> service.DraftDetail:
    """Register a failure as a test: it is proven first, then a person decides."""
    view = service.add_draft(session, body)
    response.headers["Location"] = f"/v1/case-drafts/{view.id}"
    return view


@router.get("/case-drafts", responses=declares("bad-request"))
def drafts(
    session: Database, limit: Limit, cursor: Cursor = None, status: CaseStatus | None = None
) -> Page[service.DraftView]:
    """Drafts of cases, newest first."""
    return service.list_drafts(session, status=status, cursor=cursor, limit=limit)


@router.get("/case-drafts/{draft_id}", responses=declares("not-found"))
def one_draft(draft_id: str, session: Database) -> service.DraftDetail:
    """One draft with its proof and the patch for the suite's file."""
    return service.read_draft(session, draft_id)


@router.post(
    "/case-drafts/{draft_id}/accept",
    responses=declares(
        "not-found", "draft-moved", "not-now", "parent-moved", "not-json", "invalid-submission"
    ),
)
def accept(draft_id: str, body: Decision, session: Database) -> service.DraftDetail:
    """Make a proven draft part of the next version of its suite."""
    return accept_draft(session, draft_id, body.version, actor=body.actor)


@router.post(
    "/case-drafts/{draft_id}/reject",
    responses=declares("not-found", "draft-moved", "not-now", "not-json"),
)
def reject(draft_id: str, body: Rejection, session: Database) -> service.DraftDetail:
    """It will not become a test, with the reason."""
    return service.reject_draft(session, draft_id, body.version, body.reason, actor=body.actor)
