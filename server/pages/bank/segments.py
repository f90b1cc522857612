"""Stored segments: what can be driven."""

from fastapi import APIRouter
from pydantic import BaseModel

from server.api.common import Cursor, Database, Named
from server.pages.rendering import page
from server.pages.trail import trail
from server.services.audit import EventView
from server.services.bank.register_segments import SegmentView, list_segments, read_segment

router = APIRouter(include_in_schema=False)

LINES = 100


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
    session: Database, cursor: Cursor = None, tag: Named = None, route: Named = None
) -> SegmentsPage:
    """Segments by id."""
    found = list_segments(
        session, route=route or None, tag=tag or None, kind=None, cursor=cursor, limit=LINES
    )
    return SegmentsPage(segments=found.items, next=found.next, tag=tag, route=route)


def segment_page(segment_id: str, session: Database) -> SegmentPage:
    """One segment with its meta.json and what was done to it."""
    segment = read_segment(session, segment_id)
    return SegmentPage(segment=segment, trail=trail(session, "segment", segment_id, most=20))


page(router, "/segments", "bank/segments.html", segments_page)
page(router, "/segments/{segment_id:path}", "bank/segment.html", segment_page)
