"""Waivers: who answers for a failing case, until when."""

from fastapi import APIRouter

from server.api.common import Cursor, Database, Limit, Named, Signed
from server.problems import declares
from server.services.failures import waivers as service
from server.services.paging import Page

router = APIRouter(prefix="/v1", tags=["cases"])


class Revocation(Signed):
    """Who ends a waiver."""


@router.post(
    "/waivers",
    status_code=201,
    responses=declares("not-json", "not-found", "ambiguous", "not-now", "invalid-submission"),
)
def waive_case(body: service.WaiverRequest, session: Database) -> service.WaiverView:
    """Answer for a failing case, for a time; runs that are submitted from now on say so."""
    return service.add_waiver(session, body)


@router.get("/waivers", responses=declares("bad-request"))
def waivers(
    session: Database,
    limit: Limit,
    cursor: Cursor = None,
    suite: Named = None,
    state: service.WaiverState | None = None,
) -> Page[service.WaiverView]:
    """Waivers, newest first, those that have ended too."""
    return service.list_waivers(session, suite=suite, state=state, cursor=cursor, limit=limit)


@router.post("/waivers/{waiver_id}/revoke", responses=declares("not-found", "not-now", "not-json"))
def revoke(waiver_id: str, body: Revocation, session: Database) -> service.WaiverView:
    """End a waiver: the case counts again."""
    return service.revoke_waiver(session, waiver_id, actor=body.actor)
