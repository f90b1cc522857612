"""The must-pass cases of a suite version: what each asks, who brought it and why, since when, who passed it, who answers."""

from collections.abc import Sequence
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
    """Drafts for this suite that gate nothing: quarantined, being proven, or waiting for a person."""


def read_must_pass(session: Session, reference: str) -> MustPass:
    """A suite version by digest, its first digits, `name@digest`, or name (the newest). Raises Refused (404, 409)."""
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
    here = (
        CaseDraftRow.suite == row.suite,
        CaseDraftRow.name.in_(names),
        CaseDraftRow.suite_digest.is_not(None),
    )
    drafts = {draft.name: draft for draft in session.scalars(select(CaseDraftRow).where(*here))}
    acceptors = _acceptors(session, [draft.id for draft in drafts.values()])
    held = {
        ratchet.case: (ratchet, name)
        for ratchet, name in session.execute(
            select(RatchetRow, ModelRow.name)
            .outerjoin(ModelRow, ModelRow.digest == RatchetRow.model)
            .where(RatchetRow.suite == row.suite)
        )
    }
    found = []
    for document in documents:
        name, spec = document["name"], SPEC.validate_python(document)
        draft, waiver = drafts.get(name), waivers.get(name)
        ratchet, model = held.get(name, (None, None))
        found.append(
            MustPassCase(
                name=name,
                status="waived" if waiver else "enforced",
                segment_id=spec.segment,
                start_s=spec.start_s,
                end_s=spec.end_s,
                offset=document["offset"],
                repeats=spec.repeats,
                must_pass_repeats=spec.must_pass_repeats,
                conditions=list(spec.conditions),
                toml=case_toml(spec),
                note=spec.note,
                author=draft.author if draft else "",
                accepted_by=acceptors.get(draft.id, "") if draft else "",
                draft=draft.id if draft else None,
                report=draft.report_id if draft else None,
                run=draft.run_id if draft else None,
                since=since[name],
                held_since=ratchet.since if ratchet else None,
                held_by=ratchet.model if ratchet else None,
                held_by_name=model,
                waiver=WaiverView.model_validate(waiver, from_attributes=True) if waiver else None,
            )
        )
    return found


def _since(
    session: Session, row: SuiteVersionRow, documents: Sequence[dict[str, Any]]
) -> dict[str, Since]:
    """Back along the line of versions, as far as each case is the same."""
    line = select(
        SuiteVersionRow.digest,
        SuiteVersionRow.number,
        SuiteVersionRow.created,
        SuiteVersionRow.document["suite"]["cases"],
    )
    until = row.number
    if until is None and row.parent is not None:  # a cut of its parent to fewer routes
        until = session.get_one(SuiteVersionRow, row.parent).number
    older = line.where(
        SuiteVersionRow.suite == row.suite, SuiteVersionRow.number <= until
    ).order_by(SuiteVersionRow.number.desc())
    own = Since(digest=row.digest, number=row.number, created=row.created)
    since = {document["name"]: own for document in documents}
    same = {document["name"]: document for document in documents}
    for digest, number, created, cases in session.execute(older):
        then = {case["name"]: case for case in cases}
        same = {name: document for name, document in same.items() if then.get(name) == document}
        since |= dict.fromkeys(same, Since(digest=digest, number=number, created=created))
        if not same:
            break
    return since


def _acceptors(session: Session, drafts: Sequence[str]) -> dict[str, str]:
    """Who accepted each draft: the first entry that says so."""
    first = (
        select(func.min(EventRow.id))
        .where(
            EventRow.subject_kind == "draft",
            EventRow.subject_id.in_(drafts),
            EventRow.kind == "draft.reviewed",
        )
        .group_by(EventRow.subject_id)
    )
    return {
        event.subject_id: event.actor
        for event in session.scalars(select(EventRow).where(EventRow.id.in_(first)))
    }
