"""Waivers that a run meets: whose failing case somebody answers for while it lasts."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from server.db.failure_tables import WaiverRow
from suites.judgement import CaseVerdict


def in_force(session: Session, suite: str, at: datetime) -> dict[str, WaiverRow]:
    """Waivers by case, as of a time: what was given or revoked later changes no verdict."""
    stands = or_(WaiverRow.revoked.is_(None), WaiverRow.revoked > at)
    given = select(WaiverRow).where(WaiverRow.suite == suite, WaiverRow.created <= at)
    waivers = session.scalars(given.where(WaiverRow.expires > at, stands))
    return {waiver.case: waiver for waiver in waivers}


def waive(verdict: CaseVerdict, waivers: dict[str, WaiverRow]) -> CaseVerdict:
    """A case's verdict with the waiver that touches it: only what did not pass needs one."""
    waiver = waivers.get(verdict.case)
    if waiver is None or verdict.passed:
        return verdict
    return replace(verdict, waived=waiver.words)
