"""What a promotion rests on: a complete pass against the model that is promoted now.

A pass before the whole set is driven excludes what the release would feel only sometimes, and of
many tries one passes early by luck: it merges, it does not promote.
"""

from dataclasses import asdict
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.db.bank_tables import ModelRow, SuiteRow, SuiteVersionRow
from server.db.run_tables import RunRow
from server.problems import Refused
from server.services.runs.run_views import is_complete, is_provisional, withdrawal
from suites.errors import Finding
from suites.simulators import simulator_spec
from suites.vocabulary import RunVerdict


class Basis(NamedTuple):
    """What a promotion rests on."""

    words: str
    run_id: str | None = None
    """The complete pass; None where there was nothing to compare."""


def find_basis(
    session: Session, suite: SuiteRow, newest: SuiteVersionRow, model: ModelRow
) -> Basis:
    """A complete pass of the model on the newest version, in the current simulator. A suite without
    gates is judged by its cases alone, and its first release has nothing to be compared with.
    Raises Refused (409) naming the run to complete, or what to submit."""
    if not newest.document["suite"]["gates"]:
        return Basis("its must-pass cases: the suite has no gates")
    if suite.promoted is None:
        return Basis("nothing: it is the suite's first release, there was nothing to compare")
    if suite.promoted == model.digest:
        return Basis("nothing new: it was the released model already")
    runs = _judged(session, newest, model.digest, suite.promoted)
    for run in runs:
        if run.verdict is RunVerdict.PASS and is_complete(run) and run.withdrawn_at is None:
            return Basis(f"the complete pass of run {run.id}", run.id)
    released = session.get_one(ModelRow, suite.promoted)
    finding = _what_is(runs[0]) if runs else _not_met(newest, model, released)
    message = f"{model.name} has no complete pass against {released.name} on {newest.suite}"
    raise Refused("no-complete-pass", f"{message}@{newest.digest[:6]}", finding)


def _judged(
    session: Session, version: SuiteVersionRow, candidate: str, baseline: str
) -> list[RunRow]:
    """The decided runs of these two on a version in the simulator of now, newest first."""
    choice = version.document["suite"]["simulator"]
    simulator = asdict(simulator_spec(choice["name"], choice["parameters"]))
    runs = session.scalars(
        select(RunRow)
        .where(RunRow.candidate == candidate, RunRow.baseline == baseline)
        .where(RunRow.suite_digest == version.digest, RunRow.verdict.is_not(None))
        .order_by(RunRow.created.desc())
    )
    return [run for run in runs if run.simulator == simulator]


def _what_is(run: RunRow) -> Finding:
    """Why this run does not promote."""
    if is_provisional(run):
        after = f"{run.pairs_consumed:,} of {run.planned:,} pairs"
        remedy = f"drive the rest: `redrive runs complete {run.id}`, then promote again"
        return Finding("run", f"run {run.id} passed after {after}: provisionally", remedy)
    if run.withdrawn_at is not None:
        problem = f"the pass of run {run.id} is withdrawn: {withdrawal(run)}"
        return Finding("run", problem, "submit a model that passes on the whole set")
    remedy = f"`redrive runs show {run.id}` says why; submit a model that passes on the whole set"
    return Finding("run", f"run {run.id} is {run.verdict}", remedy)


def _not_met(version: SuiteVersionRow, model: ModelRow, released: ModelRow) -> Finding:
    told = f"{model.name} --suite {version.suite} --baseline {released.name} --full"
    problem = f"it did not meet {released.name} on the newest version of the suite"
    return Finding("run", problem, f"run all of it: `redrive submit {told}`")
