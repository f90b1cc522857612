"""Stored segments."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from server.api.common import Configured, Cursor, Database, Limit, Named
from server.problems import declares
from server.services.bank import register_segments as service
from server.services.failures.field_reports import locate_awaited
from server.services.paging import Page

router = APIRouter(prefix="/v1", tags=["segments"])


class Quarantine(BaseModel):
    """Why a segment is kept out of new suite versions."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=1, max_length=2000)] | None
    """Null lets it back in."""
    actor: Annotated[str, Field(max_length=200)] = ""


@router.get("/segments", responses=declares("bad-request"))
def segments(
    session: Database,
    limit: Limit,
    cursor: Cursor = None,
    route: Named = None,
    tag: Named = None,
    kind: Literal["camera", "controls"] | None = None,
) -> Page[service.SegmentView]:
    """Indexed segments, by id."""
    return service.list_segments(
        session, route=route, tag=tag, kind=kind, cursor=cursor, limit=limit
    )


@router.post("/segments/index", responses=declares())
def index(session: Database, settings: Configured) -> service.IndexReport:
    """Scan the segments folder: new segments become selectable, reports that waited are located."""
    report = service.index_segments(session, settings.segments)
    locate_awaited(session)
    return report


@router.put("/quarantine/{segment_id:path}", responses=declares("not-found", "not-json"))
def quarantine(segment_id: str, body: Quarantine, session: Database) -> service.SegmentView:
    """Keep a segment's present bytes out of new suite versions, or let them back in."""
    return service.set_quarantine(session, segment_id, body.reason, actor=body.actor)


@router.get("/segments/{segment_id:path}", responses=declares("not-found"))
def segment(segment_id: str, session: Database) -> service.SegmentView:
    """One segment with its meta.json."""
    return service.read_segment(session, segment_id)
