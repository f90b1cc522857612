"""The ratchet: what is enforced, or a released model passed, stays as it is in later versions."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.db.failure_tables import RatchetRow
from server.problems import Refused
from suites.definition.suite_schema import Suite
from suites.errors import Finding


def check_ratchet(session: Session, before: Suite, after: Suite) -> None:
    """Raises Refused (409) naming every held case that `after` lacks or changes."""
    held = set(session.scalars(select(RatchetRow.case).where(RatchetRow.suite == before.name)))
    kept = {case.name: case for case in after.cases}
    remedy = "put it back (`redrive suites show` has it), or waive it"
    findings = []
    for case in before.cases:
        if case.name in held and kept.get(case.name) != case:
            problem = "was changed" if case.name in kept else "is missing"
            findings.append(Finding(f"cases.{case.name}", problem, remedy))
    if findings:
        message = f"{len(findings)} enforced cases of {before.name} are missing or changed"
        raise Refused("ratchet", message, tuple(findings))


def hold(session: Session, suite: str, cases: Iterable[str], model: str) -> None:
    """A model was released: these cases, which it passed as they are now, are held from now on."""
    rows = [{"suite": suite, "case": case, "model": model} for case in cases]
    if rows:
        session.execute(insert(RatchetRow).values(rows).on_conflict_do_nothing())
