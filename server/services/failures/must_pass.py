"""The must-pass cases of a suite version: what each asks, who brought it, who answers for it."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.db.bank_tables import ModelRow, SuiteRow, SuiteVersionRow
from server.db.failure_tables import CaseDraftRow, RatchetRow
from server.db.health_tables import EventRow
from server.services.bank.register_suite import VersionDetail, find_version, read_version
from server.services.bank.waivers_in_force import in_force
from server.services.failures.drafts import SPEC, DraftView
from server.services.failures.waivers import WaiverView
from suites.definition.case_toml import case_toml
from suites.vocabulary import CaseStatus

NOT_COUNTED = (CaseStatus.LOCATED, CaseStatus.DRAFTED, CaseStatus.QUARANTINED)
"""Drafts that are kept and shown but gate nothing."""
FROM_FILE = {"author": "", "accepted_by": "", "draft": None, "report": None, "run": None}
"""Who brought a case that came with the suite's file."""


class Since(BaseModel):
    """The version that first had a case as it is now."""

    digest: str
    number: int | None
    created: datetime


class MustPassCase(BaseModel):
    """One case."""

    name: str
    status: Literal["enforced", "waived"]
    """Waived: it may fail until the waiver ends."""
    segment_id: str
    start_s: float
    end_s: float | None
    """Null: the segment's end."""
    offset: dict[str, float]
    repeats: int
    must_pass_repeats: int | None
    conditions: list[dict[str, Any]]
    """Empty: it must be driven to the end."""
    toml: str
    """The case as it stands in a suite's file."""
    note: str
    """Why it exists."""
    author: str
    accepted_by: str
    """Empty where it came with the suite's file."""
    draft: str | None
    report: str | None
    run: str | None
    since: Since
    held_since: datetime | None
    """From then on no version may drop or change it; null: it is not held."""
    held_by: str | None
    """Digest of the released model that passed it; null where a person's acceptance holds it."""
    held_by_name: str | None
    waiver: WaiverView | None


class MustPass(BaseModel):
    """A suite version with its cases."""

    version: VersionDetail
    promoted: str | None
    """The released model's digest."""
    promoted_name: str | None
    cases: list[MustPassCase]
    not_counted: list[DraftView]
    """Drafts for it that gate nothing: quarantined, being proven, or waiting for a person."""


def read_must_pass(session: Session, reference: str) -> MustPass:
    """A version's cases (see find_version for what names one). Raises Refused (404, 409)."""
    row = find_version(session, reference)
    suite = session.get_one(SuiteRow, row.suite)
    promoted = session.scalar(select(ModelRow.name).where(ModelRow.digest == suite.promoted))
    drafts = session.scalars(
        select(CaseDraftRow)
        .where(CaseDraftRow.suite == row.suite, CaseDraftRow.status.in_(NOT_COUNTED))
        .order_by(CaseDraftRow.created.desc())
    )
    return MustPass(
        version=read_version(session, row.digest),
        promoted=suite.promoted,
        promoted_name=promoted,
        cases=_cases(session, row),
        not_counted=[DraftView.model_validate(draft, from_attributes=True) for draft in drafts],
    )


def _cases(session: Session, row: SuiteVersionRow) -> list[MustPassCase]:
    documents: list[dict[str, Any]] = row.document["suite"]["cases"]
    names = [document["name"] for document in documents]
    since = _since(session, row, documents)
    waivers = in_force(session, row.suite, datetime.now(UTC))
    origins = _origins(session, row.suite, names)
    held = _held(session, row.suite)
    cases = []
    for name, document in zip(names, documents, strict=True):
        spec = SPEC.validate_python(document)
        waiver = waivers.get(name)
        ratchet, model = held.get(name, (None, None))
        cases.append(
            MustPassCase(
                **asdict(spec),
                **origins.get(name, FROM_FILE),
                status="waived" if waiver else "enforced",
                segment_id=spec.segment,
                toml=case_toml(spec),
                since=since[name],
                held_since=ratchet.since if ratchet else None,
                held_by=ratchet.model if ratchet else None,
                held_by_name=model,
                waiver=WaiverView.model_validate(waiver, from_attributes=True) if waiver else None,
            )
        )
    return cases


def _origins(session: Session, suite: str, cases: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Who brought each case that was a draft once, and what the draft was of."""
    accepted = CaseDraftRow.suite_digest.is_not(None)
    here = select(CaseDraftRow).where(CaseDraftRow.suite == suite, CaseDraftRow.name.in_(cases))
    drafts = {draft.name: draft for draft in session.scalars(here.where(accepted))}
    acceptors = _acceptors(session, [draft.id for draft in drafts.values()])
    return {
        name: {
            "author": draft.author,
            "accepted_by": acceptors.get(draft.id, ""),
            "draft": draft.id,
            "report": draft.report_id,
            "run": draft.run_id,
        }
        for name, draft in drafts.items()
    }


def _held(session: Session, suite: str) -> dict[str, tuple[RatchetRow, str | None]]:
    """The held cases of a suite, each with the name of the released model that holds it."""
    query = select(RatchetRow, ModelRow.name).where(RatchetRow.suite == suite)
    rows = session.execute(query.outerjoin(ModelRow, ModelRow.digest == RatchetRow.model))
    return {ratchet.case: (ratchet, model) for ratchet, model in rows}


def _since(
    session: Session, row: SuiteVersionRow, documents: Sequence[dict[str, Any]]
) -> dict[str, Since]:
    """Back along the line of versions, as far as each case is the same."""
    version = SuiteVersionRow
    line = select(
        version.digest, version.number, version.created, version.document["suite"]["cases"]
    )
    until = row.number
    if until is None and row.parent is not None:  # a cut of its parent to fewer routes
        until = session.get_one(SuiteVersionRow, row.parent).number
    older = line.where(version.suite == row.suite, version.number <= until)
    own = Since(digest=row.digest, number=row.number, created=row.created)
    since = {document["name"]: own for document in documents}
    same = {document["name"]: document for document in documents}
    for digest, number, created, cases in session.execute(older.order_by(version.number.desc())):
        then = {case["name"]: case for case in cases}
        same = {name: document for name, document in same.items() if then.get(name) == document}
        since |= dict.fromkeys(same, Since(digest=digest, number=number, created=created))
        if not same:
            break
    return since


def _acceptors(session: Session, drafts: Sequence[str]) -> dict[str, str]:
    """Who accepted each draft: the first entry that says so."""
    reviews = select(func.min(EventRow.id)).where(
        EventRow.subject_kind == "draft",
        EventRow.subject_id.in_(drafts),
        EventRow.kind == "draft.reviewed",
    )
    first = select(EventRow).where(EventRow.id.in_(reviews.group_by(EventRow.subject_id)))
    return {event.subject_id: event.actor for event in session.scalars(first)}
