"""The ratchet: a case that is enforced, or that a released model passed, stays as it is in every later version."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.db.models import Run
from server.db.models import SuiteVersion as VersionRow
from server.db.surprises import Ratchet
from server.errors import Refused
from suites.errors import Finding
from suites.schema import CaseSpec, Suite


def check_ratchet(session: Session, before: Suite, after: Suite) -> None:
    """Raises Refused (409) naming every held case that `after` lacks or changes."""
    held = {row.case: row for row in session.scalars(select(Ratchet).where(Ratchet.suite == before.name))}
    kept = {case.name: case for case in after.cases}
    findings = tuple(
        Finding(f"cases.{case.name}", _loss(kept.get(case.name)), "put it back (`redrive suites show` has it), or waive it")
        for case in before.cases
        if case.name in held and kept.get(case.name) != case
    )
    if findings:
        raise Refused("ratchet", f"{len(findings)} enforced cases of {before.name} are missing or changed", findings)


def _loss(case: CaseSpec | None) -> str:
    return "is missing" if case is None else "was changed"


def hold_what_passed(session: Session, suite: str, model: str) -> None:
    """A model was released: every case that it passed in a run on this suite is held from now on."""
    query = select(Run.verdict_document).join(VersionRow, VersionRow.digest == Run.suite_digest)
    for document in session.scalars(query.where(VersionRow.suite == suite, Run.candidate == model, Run.verdict.is_not(None))):
        for case in (document or {}).get("cases", []):
            if case["passed"]:
                row = {"suite": suite, "case": case["case"], "model": model}
                session.execute(insert(Ratchet).values(row).on_conflict_do_nothing())
