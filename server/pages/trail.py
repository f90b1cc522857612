"""What happened to something, for the foot of its page."""

from server.api.common import Database
from server.services.audit import EventView, list_events


def trail(session: Database, kind: str, subject: str | None, most: int = 30) -> list[EventView]:
    """The newest entries of the audit trail on one subject; on all of a kind where it is None."""
    return list_events(
        session, subject_kind=kind, subject_id=subject, cursor=None, limit=most
    ).items
