"""Waivers: somebody answers for a failing case, for a time. Verdicts that one touched say so."""

import secrets
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.db.failure_tables import CaseDraftRow, WaiverRow
from server.problems import Refused, not_found
from server.services.audit import record
from server.services.bank.register_suite import find_version, stored_version
from server.services.bank.waivers_in_force import in_force
from server.services.failures.case_status import follow, move
from server.services.paging import Page, given, read_page
from suites.errors import Finding, SubmitterError
from suites.vocabulary import CaseStatus

LONGEST = timedelta(days=90)
"""A waiver that never ends is a case that was dropped."""


class WaiverRequest(BaseModel):
    """Who answers for what, why, and until when."""

    model_config = ConfigDict(
        extra="forbid", str_strip_whitespace=True, use_attribute_docstrings=True
    )

    suite: Annotated[str, Field(min_length=1, max_length=200)]
    case: Annotated[str, Field(min_length=1, max_length=120)]
    owner: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Annotated[str, Field(min_length=10, max_length=2000)]
    expires: AwareDatetime
    because_of: Annotated[str, Field(min_length=1, max_length=120)] | None = None
    """Another waived case of the suite that fails for the same cause."""


class WaiverState(StrEnum):
    """What a waiver says now."""

    IN_FORCE = "in force"
    EXPIRED = "expired"
    REVOKED = "revoked"


class WaiverView(BaseModel):
    """A waiver."""

    id: str
    state: WaiverState
    suite: str
    case: str
    owner: str
    reason: str
    because_of: str | None
    expires: datetime
    created: datetime
    revoked: datetime | None
    """When somebody ended it; of one that ran out, the time at which it expired."""


def add_waiver(session: Session, asked: WaiverRequest) -> WaiverView:
    """In force for runs submitted from now on. Raises SubmitterError, Refused (404, 409)."""
    now = datetime.now(UTC)
    version = stored_version(find_version(session, asked.suite))
    name = version.suite.name
    if asked.case not in {case.name for case in version.suite.cases}:
        raise not_found("case", asked.case, f"see the cases of {name}: GET /v1/cases?suite={name}")
    if not now < asked.expires <= now + LONGEST:
        problem = f"{asked.expires:%Y-%m-%d}"
        finding = Finding("expires", problem, f"a time after now, until {now + LONGEST:%Y-%m-%d}")
        raise SubmitterError("a waiver ends in the future, and within 90 days", finding)
    # One at a time: of two who answer for a case the second is refused, and no two close a circle.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"waivers {name}"))))
    standing = in_force(session, name, datetime.now(UTC))
    if asked.case in standing:
        problem = f"{standing[asked.case].owner} answers for it already"
        finding = Finding("case", problem, "revoke that waiver first")
        raise Refused("not-now", f"case {asked.case} of {name} is waived", finding)
    _check_cause(asked, standing)
    end_expired(session)
    session.flush()
    waiver = WaiverRow(id=secrets.token_hex(6), **asked.model_dump() | {"suite": name})
    session.add(waiver)
    session.flush()
    session.refresh(waiver)
    words = {"owner": waiver.owner, "reason": waiver.reason}
    detail = words | {"expires": waiver.expires.isoformat(), "waiver": waiver.id}
    record(session, "case.waived", _subject(waiver), actor=waiver.owner, detail=detail)
    _tell_draft(session, waiver, CaseStatus.WAIVED)
    return _view(waiver)


def _check_cause(asked: WaiverRequest, standing: dict[str, WaiverRow]) -> None:
    """A chain of causes ends in a waiver with a reason of its own that lasts at least as long."""
    chain = [asked.case]
    cause = asked.because_of
    while cause is not None:
        if cause in chain:
            problem = " because of ".join([*chain, cause])
            finding = Finding("because_of", problem, "one of them needs a cause of its own")
            raise SubmitterError("these waivers excuse each other in a circle", finding)
        if cause not in standing:
            problem = f"no waiver is in force for {cause}"
            finding = Finding("because_of", problem, "waive that one first, or leave this out")
            raise SubmitterError("a waiver can only lean on one that is in force", finding)
        if standing[cause].expires < asked.expires:
            problem = f"the one for {cause} ends on {standing[cause].expires:%Y-%m-%d}"
            finding = Finding("expires", problem, "end no later")
            raise SubmitterError("a waiver can't outlast the one that it leans on", finding)
        chain.append(cause)
        cause = standing[cause].because_of


def revoke_waiver(session: Session, waiver_id: str, *, actor: str) -> WaiverView:
    """The case counts again for runs submitted from now on. Raises Refused (404, 409)."""
    waiver = session.get(WaiverRow, waiver_id, with_for_update=True)
    if waiver is None:
        raise not_found("waiver", waiver_id, "see GET /v1/waivers")
    if waiver.revoked is not None:
        finding = Finding("waiver", "revoked or expired", "nothing to do")
        raise Refused("not-now", f"waiver {waiver_id} has ended", finding)
    waiver.revoked = datetime.now(UTC)
    detail = {"waiver": waiver.id}
    record(session, "case.waiver_revoked", _subject(waiver), actor=actor, detail=detail)
    _tell_draft(session, waiver, CaseStatus.ENFORCED)
    return _view(waiver)


def end_expired(session: Session) -> None:
    """Close the waivers that ran out: their cases count again, and their drafts say so."""
    over = WaiverRow.expires <= datetime.now(UTC)
    query = select(WaiverRow).where(WaiverRow.revoked.is_(None), over)
    for waiver in session.scalars(query.with_for_update()).all():
        waiver.revoked = waiver.expires
        detail = {"waiver": waiver.id, "owner": waiver.owner}
        record(session, "case.waiver_expired", _subject(waiver), detail=detail)
        _tell_draft(session, waiver, CaseStatus.ENFORCED)


def list_waivers(
    session: Session,
    *,
    suite: str | None,
    case: str | None = None,
    state: WaiverState | None,
    cursor: str | None,
    limit: int,
) -> Page[WaiverView]:
    """Newest first, those that have ended too."""
    query = select(WaiverRow).filter_by(**given(suite=suite, case=case))
    now = datetime.now(UTC)
    if state is WaiverState.IN_FORCE:
        query = query.where(WaiverRow.revoked.is_(None), WaiverRow.expires > now)
    elif state is WaiverState.EXPIRED:
        query = query.where(WaiverRow.expires <= func.coalesce(WaiverRow.revoked, now))
    elif state is WaiverState.REVOKED:
        query = query.where(WaiverRow.revoked < WaiverRow.expires)
    by = (WaiverRow.created, WaiverRow.id)
    return read_page(session, query, by, cursor=cursor, limit=limit, view=lambda row: _view(row[0]))


def _subject(waiver: WaiverRow) -> tuple[str, str]:
    return "case", f"{waiver.suite}/{waiver.case}"


def _tell_draft(session: Session, waiver: WaiverRow, status: CaseStatus) -> None:
    """The draft that the case came from, and its report, are waived or enforced as the case is."""
    query = select(CaseDraftRow).filter_by(suite=waiver.suite, name=waiver.case)
    others = {CaseStatus.ENFORCED, CaseStatus.WAIVED} - {status}
    reason = waiver.reason if status is CaseStatus.WAIVED else ""
    for draft in session.scalars(query.where(CaseDraftRow.status.in_(others)).with_for_update()):
        move(session, draft, status, reason=reason, actor=waiver.owner)
        follow(session, draft, actor=waiver.owner)


def _view(waiver: WaiverRow) -> WaiverView:
    return WaiverView.model_validate(waiver, from_attributes=True)
