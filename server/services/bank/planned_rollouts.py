"""The planned rollouts of a suite version, in its order; a run has its own if none is fixed."""

from pydantic import BaseModel
from sqlalchemy.orm import Session

from server.services.bank.register_suite import find_version, stored_version
from server.services.paging import Page, decode_cursor, encode_cursor
from suites.rollout import Noise, Offset


class CaseView(BaseModel):
    """One place of the order."""

    position: int
    case_id: str
    case: str | None
    """Name of the must-pass case; null in an overall suite."""
    route: str
    segment_id: str
    segment_digest: str
    start_s: float
    end_s: float
    offset: Offset
    noise: Noise
    repeat: int


def list_cases(session: Session, suite: str, *, cursor: str | None, limit: int) -> Page[CaseView]:
    """In the version's order. Raises Refused (404, 400)."""
    planned = stored_version(find_version(session, suite)).planned
    start = decode_cursor(cursor, [int])[0] if cursor is not None else 0
    stop = start + limit
    items = [
        CaseView(
            position=position,
            case_id=p.case_id,
            case=p.case,
            route=p.route,
            segment_id=p.scenario.segment_id,
            segment_digest=p.scenario.segment_digest,
            start_s=p.scenario.start_s,
            end_s=p.scenario.end_s,
            offset=p.scenario.offset,
            noise=p.scenario.noise,
            repeat=p.repeat,
        )
        for position, p in enumerate(planned[max(start, 0) : stop], max(start, 0))
    ]
    return Page(items=items, next=encode_cursor([stop]) if stop < len(planned) else None)
