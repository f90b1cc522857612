"""Stored segments."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from server.api.common import Configured, Cursor, Database, Limit
from server.problems import declares
from server.services.bank.register_segments import (
    IndexReport,
    SegmentView,
    index_segments,
    list_segments,
    read_segment,
    set_quarantine,
)
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
    route: Annotated[str | None, Query(max_length=200)] = None,
    tag: Annotated[str | None, Query(max_length=200)] = None,
    kind: Literal["camera", "controls"] | None = None,
) -> Page[SegmentView]:
    """Indexed segments, by id."""
    return list_segments(session, route=route, tag=tag, kind=kind, cursor=cursor, limit=limit)


@router.post("/segments/index", responses=declares())
def index(session: Database, settings: Configured) -> IndexReport:
    """Scan the segments folder: what was imported since becomes selectable, and field reports that waited for it are located."""
    report = index_segments(session, settings.segments)
    locate_awaited(session)
    return report


@router.put("/quarantine/{segment_id:path}", responses=declares("not-found", "not-json"))
def quarantine(segment_id: str, body: Quarantine, session: Database) -> SegmentView:
    """Keep a segment's bytes as they are now out of new suite versions, with the reason, or let them back in."""
    return set_quarantine(session, segment_id, body.reason, actor=body.actor)


@router.get("/segments/{segment_id:path}", responses=declares("not-found"))
def segment(segment_id: str, session: Database) -> SegmentView:
    """One segment with its meta.json."""
    return read_segment(session, segment_id)
