"""Accepting a proven draft: the next version of its suite, which every later candidate meets."""

from dataclasses import replace

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.db.bank_tables import SegmentRow
from server.db.failure_tables import CaseDraftRow, RatchetRow
from server.problems import Refused
from server.services.bank.register_suite import newest_version, register_suite, stored_version
from server.services.failures.case_status import follow, move
from server.services.failures.drafts import SPEC, DraftDetail, locked, read_draft
from suites.definition.suite_schema import SimulatorChoice, Suite
from suites.errors import Finding
from suites.vocabulary import CaseStatus


def accept_draft(session: Session, draft_id: str, version: int, *, actor: str) -> DraftDetail:
    """A person has reviewed it: it enters a new suite version. Of two who accept, one is refused.
    Raises Refused (404, 409), SubmitterError when the suite can't take it."""
    draft = locked(session, draft_id, version)
    if draft.status is not CaseStatus.DRAFTED or draft.spec is None or draft.proof is None:
        problem = f"it is {draft.status}: {draft.reason}"
        finding = Finding("status", problem, "only a drafted case whose proof holds is accepted")
        raise Refused("not-now", f"draft {draft_id} is not proven", finding)
    spec = SPEC.validate_python(draft.spec)
    if session.get_one(SegmentRow, draft.segment_id).digest != draft.segment_digest:
        problem = f"{draft.segment_id} was imported again: "
        problem += "what was proven on its bytes before may not hold on these"
        remedy = "reject this draft and draft the case again: its proof is driven anew"
        finding = Finding("segment", problem, remedy)
        raise Refused("not-now", f"the proof of draft {draft_id} is of another import", finding)
    newest = newest_version(session, draft.suite)
    suite = _new_suite(draft) if newest is None else stored_version(newest).suite
    _check_room(suite, draft, spec.name)
    move(session, draft, CaseStatus.REVIEWED, actor=actor)
    follow(session, draft, actor=actor)
    grown = replace(suite, cases=(*suite.cases, spec))
    parent = newest.digest if newest is not None else None
    registered, _ = register_suite(session, grown, parent=parent, actor=actor)
    enforced = insert(RatchetRow).values(suite=draft.suite, case=spec.name)
    session.execute(enforced.on_conflict_do_nothing())
    draft.suite_digest = registered.digest
    move(session, draft, CaseStatus.ENFORCED, actor=actor)
    follow(session, draft, actor=actor)
    return read_draft(session, draft_id)


def _check_room(suite: Suite, draft: CaseDraftRow, case: str) -> None:
    """Raises Refused (409) when the suite drives otherwise than the proof, or has such a case."""
    if suite.simulator != _choice(draft):
        problem = f"it drives {suite.simulator.name}"
        finding = Finding("suite", problem, "draft it for a suite of the simulator of the proof")
        raise Refused("not-now", "the case was proven in another simulator", finding)
    if any(kept.name == case for kept in suite.cases):
        problem = f"{draft.suite} has a case {case}"
        finding = Finding("name", problem, "draft it again under another name")
        raise Refused("not-now", "the suite has a case of that name", finding)


def _choice(draft: CaseDraftRow) -> SimulatorChoice:
    """What the proof was driven in, whatever its version."""
    return SimulatorChoice(name=draft.simulator["name"], parameters=draft.simulator["parameters"])


def _new_suite(draft: CaseDraftRow) -> Suite:
    return Suite(
        name=draft.suite,
        kind="specific",
        description="Surprises that became tests.",
        means_to_pass="None of these has happened again.",
        simulator=_choice(draft),
    )
