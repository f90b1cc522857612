"""The audit trail."""

from typing import Annotated

from fastapi import APIRouter, Query

from server.api.common import Cursor, Database, Limit, Named
from server.problems import declares
from server.services.audit import EventView, list_events
from server.services.paging import Page

router = APIRouter(prefix="/v1", tags=["audit"])

SubjectKind = Annotated[
    str | None, Query(max_length=20, description="run, model, suite, segment ...")
]


@router.get("/audit", responses=declares("bad-request"))
def audit(
    session: Database,
    limit: Limit,
    cursor: Cursor = None,
    subject_kind: SubjectKind = None,
    subject_id: Named = None,
) -> Page[EventView]:
    """What was done to what, when, by whom; newest first."""
    return list_events(
        session, subject_kind=subject_kind, subject_id=subject_id, cursor=cursor, limit=limit
    )
