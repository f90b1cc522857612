"""Waivers that a run meets: whose failing case somebody answers for while it lasts."""

from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from server.db.failure_tables import WaiverRow


def in_force(session: Session, suite: str, at: datetime) -> dict[str, WaiverRow]:
    """Waivers by case, as of a time: what was given or revoked later changes no verdict."""
    stands = or_(WaiverRow.revoked.is_(None), WaiverRow.revoked > at)
    given = select(WaiverRow).where(WaiverRow.suite == suite, WaiverRow.created <= at)
    waivers = session.scalars(given.where(WaiverRow.expires > at, stands))
    return {waiver.case: waiver for waiver in waivers}
