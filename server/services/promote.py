"""Promoting a model: candidates meet it from now on, if it passes every case that is held or somebody answers for it."""

from datetime import UTC, datetime
from typing import NamedTuple

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from server.db.models import Run
from server.db.models import Suite as SuiteRow
from server.db.models import SuiteVersion as VersionRow
from server.db.surprises import Ratchet
from server.errors import Refused, not_found
from server.services.audit import record
from server.services.ratchet import hold_what_passed
from server.services.register_model import find_model
from server.services.register_suite import SuiteView, VersionView, find_version
from server.services.waivers import in_force
from suites.errors import Finding


class WaivedCase(BaseModel):
    """A held case that the promoted model did not pass."""

    case: str
    found: str
    """How the model stands on it."""
    waived: str
    """Who answers for it, until when and why."""


class Promoted(SuiteView):
    """A suite with its newly promoted model."""

    waived: list[WaivedCase]
    """Cases that it did not pass, each with its waiver."""


class Standing(NamedTuple):
    """How a model stands on a case."""

    run_id: str | None
    """Its newest run that judged the case as it is now; None: there is none."""
    passed: bool | None
    reason: str

    def __str__(self) -> str:
        if self.run_id is None:
            return "it was not driven on it"
        word = {True: "passed", False: "failed", None: "can't be told"}[self.passed]
        return f"{word} in run {self.run_id}" + (f": {self.reason}" if self.reason else "")


def promote(session: Session, name: str, model: str, *, actor: str = "") -> Promoted:
    """Make a model the one that candidates of a suite meet by default, and hold what it passed. Raises Refused: 404, or 409
    naming every held case that it does not pass and nobody waived."""
    suite = session.get(SuiteRow, name, with_for_update=True)
    if suite is None:
        raise not_found("suite", name, "see GET /v1/suites")
    found, newest = find_model(session, model), find_version(session, name)
    waived = _check_held(session, newest, found.digest, found.name)
    detail = {"model": found.digest, "before": suite.promoted, "waived": [case.case for case in waived]}
    record(session, "suite.promoted", ("suite", name), actor=actor, detail=detail)
    suite.promoted = found.digest
    hold_what_passed(session, name, found.digest)
    view = VersionView.model_validate(newest, from_attributes=True)
    return Promoted(name=name, promoted=found.digest, promoted_name=found.name, newest=view, waived=waived)


def _check_held(session: Session, version: VersionRow, model: str, name: str) -> list[WaivedCase]:
    cases = {case["name"] for case in version.document["suite"]["cases"]}
    held = sorted(cases & set(session.scalars(select(Ratchet.case).where(Ratchet.suite == version.suite))))
    stands = standings(session, version, model) if held else {}
    waivers = in_force(session, version.suite, datetime.now(UTC))
    waived, findings = [], []
    for case in held:
        found = stands.get(case, Standing(None, None, ""))
        if found.passed:
            continue
        if case in waivers:
            waived.append(WaivedCase(case=case, found=str(found), waived=waivers[case].words))
            continue
        run = f"run it: `redrive submit {name} --suite {version.suite}`; or " if found.run_id is None else ""
        answer = f'answer for it: `redrive cases waive {version.suite} {case} --owner YOU --reason "..." --days 14`'
        findings.append(Finding(f"cases.{case}", str(found), f"{run}{answer}"))
    if findings:
        raise Refused("held-cases", f"{name} does not pass {len(findings)} of the {len(held)} held cases", tuple(findings))
    return waived


def standings(session: Session, version: VersionRow, model: str) -> dict[str, Standing]:
    """A model's newest result, by name, on every case of a version that it was judged on in a run of the suite with that
    case and the simulator as they are in this version."""
    now = {case["name"]: case for case in version.document["suite"]["cases"]}
    query = (
        select(Run.id, Run.verdict_document["cases"], VersionRow.document["suite"])
        .join(VersionRow, VersionRow.digest == Run.suite_digest)
        .where(VersionRow.suite == version.suite, Run.candidate == model, Run.verdict.is_not(None))
        .order_by(Run.created.desc())
    )
    found: dict[str, Standing] = {}
    for run_id, judged, suite in session.execute(query):
        if suite["simulator"] != version.document["suite"]["simulator"]:
            continue
        then = {case["name"]: case for case in suite["cases"]}
        for case in judged or ():
            name = case["case"]
            if name in now and name not in found and then.get(name) == now[name]:
                found[name] = Standing(run_id, case["passed"], case.get("reason", ""))
    return found
