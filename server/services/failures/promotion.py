"""Promoting a model: candidates meet it from now on. It has a complete pass and passes every held
case, or is waived."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import BaseModel
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from server.db.bank_tables import ModelRow, SegmentRow, SuiteRow, SuiteVersionRow
from server.db.failure_tables import RatchetRow
from server.db.run_tables import RunRow
from server.problems import Refused, not_found
from server.services.audit import record
from server.services.bank.ratchet import hold
from server.services.bank.register_model import find_model
from server.services.bank.register_suite import SuiteView, VersionView, find_version
from server.services.bank.waivers_in_force import in_force
from server.services.failures.complete_pass import find_basis
from suites.errors import Finding
from suites.simulators import simulator_spec


class WaivedCase(BaseModel):
    """A held case that the promoted model did not pass."""

    case: str
    found: str
    """How the model stands on it."""
    waived: str
    """Who answers for it, until when and why."""


class Promoted(SuiteView):
    """A suite with its newly promoted model."""

    rests_on: str
    """The complete pass that allows it, or why none was needed."""
    run_id: str | None
    """That pass; null where none was needed."""
    waived: list[WaivedCase]
    """Cases that it did not pass, each with its waiver."""


class Standing(NamedTuple):
    """How a model stands on a case."""

    passed: bool | None
    """None: it can't be told, or no run judged the case as it is now."""
    words: str
    again: str = ""
    """What has to be driven first, where no run judged the case as it is now."""


class _Case(NamedTuple):
    """A case in a version of its suite."""

    spec: dict[str, Any]
    segment_digest: str


def promote(session: Session, name: str, model: str, *, actor: str = "") -> Promoted:
    """Make a model the one that candidates of a suite meet by default, and hold what it passed.
    Raises Refused: 404, or 409 where it has no complete pass, or naming every held case that it
    does not pass and nobody waived."""
    suite = session.get(SuiteRow, name, with_for_update=True)
    if suite is None:
        raise not_found("suite", name, "see GET /v1/suites")
    found = find_model(session, model)
    newest = find_version(session, name)
    basis = find_basis(session, suite, newest, found)
    stands = standings(session, newest, found)
    waived = _check_held(session, name, found.name, stands)
    models = {"model": found.digest, "before": suite.promoted}
    waivers = {"waived": [case.case for case in waived]}
    detail = models | waivers | {"rests_on": basis.words, "run": basis.run_id}
    record(session, "suite.promoted", ("suite", name), actor=actor, detail=detail)
    suite.promoted = found.digest
    passed = [case for case, standing in stands.items() if standing.passed]
    hold(session, name, passed, found.digest)
    view = VersionView.model_validate(newest, from_attributes=True)
    return Promoted(
        name=name,
        promoted=found.digest,
        promoted_name=found.name,
        newest=view,
        rests_on=basis.words,
        run_id=basis.run_id,
        waived=waived,
    )


def _check_held(
    session: Session, suite: str, model: str, stands: dict[str, Standing]
) -> list[WaivedCase]:
    ratchet = session.scalars(select(RatchetRow.case).where(RatchetRow.suite == suite))
    held = sorted(stands.keys() & set(ratchet))
    waivers = in_force(session, suite, datetime.now(UTC))
    waived = []
    findings = []
    for case in held:
        found = stands[case]
        if found.passed:
            continue
        if case in waivers:
            waived.append(WaivedCase(case=case, found=found.words, waived=waivers[case].words))
            continue
        waive = f'redrive cases waive {suite} {case} --owner YOU --reason "..." --days 14'
        answer = f"answer for it: `{waive}`"
        remedy = f"{found.again}; or {answer}" if found.again else answer
        findings.append(Finding(f"cases.{case}", found.words, remedy))
    if findings:
        message = f"{model} does not pass {len(findings)} of the {len(held)} held cases"
        raise Refused("held-cases", message, tuple(findings))
    return waived


def standings(session: Session, version: SuiteVersionRow, model: ModelRow) -> dict[str, Standing]:
    """How a model stands on every case of a version, by name. What counts is its newest result on
    the case as it is now: of the same words, on the bytes of its segment that are stored now, in
    the simulator's version of now."""
    runs = _judged_runs(session, version.suite, model)
    digests = {run.suite_digest for run in runs}
    driven = select(SuiteVersionRow).where(SuiteVersionRow.digest.in_(digests))
    then = {row.digest: _cases(row) for row in session.scalars(driven)}
    now = _cases(version)
    outdated = _outdated(session, now)
    choice = version.document["suite"]["simulator"]
    simulator = asdict(simulator_spec(choice["name"], choice["parameters"]))
    found: dict[str, Standing] = {}
    stale: dict[str, str] = {}
    for run in runs:
        for judged in run.judged or ():
            name = judged["case"]
            if name not in now or name in found:
                continue
            case = then[run.suite_digest][name]
            if name in outdated or case.segment_digest != now[name].segment_digest:
                since = "its segment was imported again"
            elif case != now[name] or run.simulator != simulator:
                since = "the case or its simulator was changed"
            else:
                found[name] = _standing(run.id, judged)
                continue
            stale.setdefault(name, f" as it is now: run {run.id} came before {since}")
    drive = f"run it: `redrive submit {model.name} --suite {version.suite}`"
    push = "its segment was imported again: `redrive suites push` the suite's file, then "
    for name in now.keys() - found.keys():
        words = f"it was not driven on it{stale.get(name, '')}"
        found[name] = Standing(None, words, f"{push}{drive}" if name in outdated else drive)
    return {name: found[name] for name in now}


def _judged_runs(session: Session, suite: str, model: ModelRow) -> Sequence[Row[*tuple[Any, ...]]]:
    """The runs of a candidate on any version of a suite that have a verdict, newest first."""
    judged = RunRow.verdict_document["cases"].label("judged")
    return session.execute(
        select(RunRow.id, RunRow.suite_digest, RunRow.simulator, judged)
        .join(SuiteVersionRow, SuiteVersionRow.digest == RunRow.suite_digest)
        .where(SuiteVersionRow.suite == suite)
        .where(RunRow.candidate == model.digest, RunRow.verdict.is_not(None))
        .order_by(RunRow.created.desc())
    ).all()


def _standing(run_id: str, judged: dict[str, Any]) -> Standing:
    word = {True: "passed", False: "failed", None: "can't be told"}[judged["passed"]]
    reason = f": {judged['reason']}" if judged.get("reason") else ""
    return Standing(judged["passed"], f"{word} in run {run_id}{reason}")


def _cases(version: SuiteVersionRow) -> dict[str, _Case]:
    planned = version.document["planned"]
    specs = version.document["suite"]["cases"]
    digests = {place["case"]: place["scenario"]["segment_digest"] for place in planned}
    return {spec["name"]: _Case(spec, digests[spec["name"]]) for spec in specs}


def _outdated(session: Session, cases: dict[str, _Case]) -> set[str]:
    """Cases whose segment was imported again after the version was made."""
    wanted = [case.spec["segment"] for case in cases.values()]
    columns = select(SegmentRow.segment_id, SegmentRow.digest)
    found = session.execute(columns.where(SegmentRow.segment_id.in_(wanted)))
    stored = {row.segment_id: row.digest for row in found}
    return {
        name
        for name, case in cases.items()
        if stored.get(case.spec["segment"]) != case.segment_digest
    }
