"""Accepting a proven draft: the next version of its suite, which every later candidate meets."""

from dataclasses import replace
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.db.bank_tables import SegmentRow
from server.db.failure_tables import RatchetRow
from server.problems import Refused
from server.services.bank.register_suite import newest_version, register_suite, stored_version
from server.services.failures.case_status import follow, move
from server.services.failures.drafts import SPEC, DraftDetail, locked, read_draft
from suites.definition.suite_schema import SimulatorChoice, Suite
from suites.errors import Finding
from suites.rollout import SimulatorSpec
from suites.vocabulary import CaseStatus


def accept_draft(session: Session, draft_id: str, version: int, *, actor: str) -> DraftDetail:
    """A person has reviewed it: it becomes part of a new suite version. Of two who accept the same draft, the second is
    refused. Raises Refused (404, 409), SubmitterError when the suite can't take it."""
    draft = locked(session, draft_id, version)
    if draft.status is not CaseStatus.DRAFTED or draft.spec is None or draft.proof is None:
        problem = f"it is {draft.status}: {draft.reason}"
        finding = Finding("status", problem, "only a drafted case whose proof holds is accepted")
        raise Refused("not-now", f"draft {draft_id} is not proven", finding)
    spec = SPEC.validate_python(draft.spec)
    if session.get_one(SegmentRow, draft.segment_id).digest != draft.segment_digest:
        problem = f"{draft.segment_id} was imported again: what was proven on its bytes before may not hold on these"
        remedy = "reject this draft and draft the case again: its proof is driven anew"
        finding = Finding("segment", problem, remedy)
        raise Refused("not-now", f"the proof of draft {draft_id} is of another import", finding)
    newest = newest_version(session, draft.suite)
    suite = (
        stored_version(newest).suite
        if newest is not None
        else _new_suite(draft.suite, draft.simulator)
    )
    simulator = SimulatorSpec(**draft.simulator)
    if (suite.simulator.name, suite.simulator.parameters) != (simulator.name, simulator.parameters):
        problem = f"it drives {suite.simulator.name}"
        finding = Finding("suite", problem, "draft it for a suite of the simulator of the proof")
        raise Refused("not-now", "the case was proven in another simulator", finding)
    if any(case.name == spec.name for case in suite.cases):
        problem = f"{draft.suite} has a case {spec.name}"
        finding = Finding("name", problem, "draft it again under another name")
        raise Refused("not-now", "the suite has a case of that name", finding)
    move(session, draft, CaseStatus.REVIEWED, actor=actor)
    follow(session, draft, actor=actor)
    grown = replace(suite, cases=(*suite.cases, spec))
    registered, _ = register_suite(
        session, grown, parent=newest.digest if newest is not None else None, actor=actor
    )
    session.execute(
        insert(RatchetRow).values(suite=draft.suite, case=spec.name).on_conflict_do_nothing()
    )
    draft.suite_digest = registered.digest
    move(session, draft, CaseStatus.ENFORCED, actor=actor)
    follow(session, draft, actor=actor)
    return read_draft(session, draft_id)


def _new_suite(name: str, simulator: dict[str, Any]) -> Suite:
    return Suite(
        name=name,
        kind="specific",
        description="Surprises that became tests.",
        means_to_pass="None of these has happened again.",
        simulator=SimulatorChoice(name=simulator["name"], parameters=simulator["parameters"]),
    )
