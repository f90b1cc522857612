"""Stored segments: what can be driven."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from server.api.common import Cursor, Database
from server.pages.rendering import page
from server.services.audit import EventView, list_events
from server.services.bank.register_segments import SegmentView, list_segments, read_segment

router = APIRouter(include_in_schema=False)

LINES, TRAIL = 100, 20


class SegmentsPage(BaseModel):
    """Segments by id."""

    segments: list[SegmentView]
    next: str | None
    tag: str | None
    route: str | None


class SegmentPage(BaseModel):
    """One segment."""

    segment: SegmentView
    trail: list[EventView]


def segments_page(
    session: Database,
    cursor: Cursor = None,
    tag: Annotated[str | None, Query(max_length=200)] = None,
    route: Annotated[str | None, Query(max_length=200)] = None,
) -> SegmentsPage:
    """Segments by id."""
    found = list_segments(
        session, route=route or None, tag=tag or None, kind=None, cursor=cursor, limit=LINES
    )
    return SegmentsPage(segments=found.items, next=found.next, tag=tag, route=route)


def segment_page(segment_id: str, session: Database) -> SegmentPage:
    """One segment with its meta.json and what was done to it."""
    segment = read_segment(session, segment_id)
    trail = list_events(
        session, subject_kind="segment", subject_id=segment_id, cursor=None, limit=TRAIL
    ).items
    return SegmentPage(segment=segment, trail=trail)


page(router, "/segments", "bank/segments.html", segments_page)
page(router, "/segments/{segment_id:path}", "bank/segment.html", segment_page)
