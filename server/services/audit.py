"""The audit trail: what was done to what, when, by whom."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from server.db.health_tables import EventRow
from server.problems import request_id
from server.services.paging import Page, given, read_page


class EventView(BaseModel):
    """One entry."""

    id: int
    at: datetime
    kind: str
    subject_kind: str
    subject_id: str
    actor: str
    request_id: str
    detail: dict[str, Any]


def record(
    session: Session,
    kind: str,
    subject: tuple[str, str],
    *,
    actor: str = "",
    detail: dict[str, Any] | None = None,
) -> None:
    """Add an entry in the caller's transaction. `subject` is (kind, id), e.g. ("run", "k3...")."""
    session.add(
        EventRow(
            kind=kind,
            subject_kind=subject[0],
            subject_id=subject[1],
            actor=actor,
            request_id=request_id(),
            detail=detail or {},
        )
    )


def list_events(
    session: Session,
    *,
    subject_kind: str | None,
    subject_id: str | None,
    cursor: str | None,
    limit: int,
) -> Page[EventView]:
    """Newest first, of one subject or of all."""
    of_these = given(subject_kind=subject_kind, subject_id=subject_id)
    query = select(EventRow).filter_by(**of_these)
    return read_page(session, query, (EventRow.id,), cursor=cursor, limit=limit, view=_view)


def _view(row: Row[EventRow]) -> EventView:
    return EventView.model_validate(row[0], from_attributes=True)
