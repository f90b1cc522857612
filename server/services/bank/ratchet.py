"""The ratchet: a case that is enforced, or that a released model passed, stays as it is in every later version."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.db.failure_tables import RatchetRow
from server.problems import Refused
from suites.definition.suite_schema import CaseSpec, Suite
from suites.errors import Finding


def check_ratchet(session: Session, before: Suite, after: Suite) -> None:
    """Raises Refused (409) naming every held case that `after` lacks or changes."""
    held = {
        row.case: row
        for row in session.scalars(select(RatchetRow).where(RatchetRow.suite == before.name))
    }
    kept = {case.name: case for case in after.cases}
    findings = tuple(
        Finding(
            f"cases.{case.name}",
            _loss(kept.get(case.name)),
            "put it back (`redrive suites show` has it), or waive it",
        )
        for case in before.cases
        if case.name in held and kept.get(case.name) != case
    )
    if findings:
        raise Refused(
            "ratchet",
            f"{len(findings)} enforced cases of {before.name} are missing or changed",
            findings,
        )


def _loss(case: CaseSpec | None) -> str:
    return "is missing" if case is None else "was changed"


def hold(session: Session, suite: str, cases: Iterable[str], model: str) -> None:
    """A model was released: every one of these `cases`, which it passed as they are now, is held from now on."""
    rows = [{"suite": suite, "case": case, "model": model} for case in cases]
    if rows:
        session.execute(insert(RatchetRow).values(rows).on_conflict_do_nothing())
