"""Runs: list, read, cancel. API, pages, comment and reports show these views."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import Row, Select, or_, select
from sqlalchemy.orm import Session, aliased

from server.broker import notify
from server.db.bank_tables import ModelRow, SuiteVersionRow
from server.db.run_tables import RunRow
from server.problems import Refused, not_found
from server.services.audit import record
from server.services.paging import Page, read_page
from server.services.queue.demands import run_owner, withdraw
from server.services.runs.lines import read_line
from server.services.runs.progress import Progress, read_progress
from suites.verdict.pass_rule import INVALID
from suites.vocabulary import STATUS_TRANSITIONS, UNDERWAY, RunVerdict, Status, Until

T = TypeVar("T")


class ModelName(BaseModel):
    """A model as it is named in a list."""

    digest: str
    name: str


class SuiteName(BaseModel):
    """A suite version as it is named in a list."""

    digest: str
    name: str
    number: int | None

    @property
    def short(self) -> str:
        """`highway@3f2a91`: what people read."""
        return f"{self.name}@{self.digest[:6]}"


class RunSummary(BaseModel):
    """One row of the list of runs."""

    id: str
    candidate: ModelName
    baseline: ModelName
    suite: SuiteName
    status: Status
    verdict: RunVerdict | None
    """Null until decided, and for ever where the run errored or was cancelled."""
    provisional: bool
    """A pass before the whole set was judged: it may merge, it may not promote."""
    complete: bool
    """The verdict rests on all that was planned."""
    withdrawn: str
    """Why an earlier pass does not stand any more; the verdict is what replaced it."""
    withdrawn_at: datetime | None
    standing: str
    """What a provisional or withdrawn pass is worth, or how to get valid data, in words; empty
    where the sentence says all."""
    sentence: str
    error: str
    """Why it errored, and who must act."""
    planned: int
    pairs_consumed: int
    source: dict[str, Any]
    requested_by: str
    created: datetime
    started: datetime | None
    decided: datetime | None
    finished: datetime | None


class RunView(RunSummary):
    """One run in full."""

    url: str
    """The run's page, for people."""
    line: str
    """What it is one of several tries of: `branch x`, `pull request 17`, else `model x`."""
    tries: int
    """Orders of the suite, in any version, that this line had met when it was submitted, its own
    included: of twenty checkpoints one passes early by luck more easily than of one."""
    progress: Progress
    verdict_document: dict[str, Any] | None
    """suites.judgement.Verdict as of the last look: a verdict only where `verdict` is set.
    Numbers that don't exist are null."""
    simulator: dict[str, Any]
    candidate_execution: dict[str, Any]
    baseline_execution: dict[str, Any]

    @property
    def over(self) -> bool:
        """It is decided, or never will be. Of a provisional pass more may be driven."""
        return self.verdict is not None or not self.underway

    @property
    def underway(self) -> bool:
        """Something of it is still driven or judged."""
        return self.status in UNDERWAY


_Candidate = aliased(ModelRow)
_Baseline = aliased(ModelRow)


def _query() -> Select[RunRow, str, str, str, int | None]:
    version = SuiteVersionRow
    return (
        select(RunRow, _Candidate.name, _Baseline.name, version.suite, version.number)
        .join(_Candidate, _Candidate.digest == RunRow.candidate)
        .join(_Baseline, _Baseline.digest == RunRow.baseline)
        .join(version, version.digest == RunRow.suite_digest)
    )


def is_complete(run: RunRow) -> bool:
    """Whether its verdict rests on the whole set. Verdicts of earlier engines do not say: theirs do
    where every pair was judged when it was given."""
    whole = run.pairs_consumed == run.planned
    told = run.verdict_document or {}
    return run.verdict is not None and bool(told.get("complete", whole))


def is_provisional(run: RunRow) -> bool:
    """A pass that later pairs may withdraw."""
    return run.verdict is RunVerdict.PASS and not is_complete(run)


def withdrawal(run: RunRow) -> str:
    """Why an earlier pass does not stand; empty where none was withdrawn."""
    return str((run.verdict_document or {}).get("withdrawn", ""))


def _standing(run: RunRow) -> str:
    if run.withdrawn_at is not None:
        return f"Its earlier pass is withdrawn: {withdrawal(run).rstrip('.')}."
    document = run.verdict_document or {}
    if run.verdict is RunVerdict.INCONCLUSIVE and _lacks_data(document):
        return _GET_DATA
    if not is_provisional(run):
        return ""
    rest = f"`redrive runs complete {run.id}` drives the rest, nothing twice"
    if run.status in UNDERWAY:
        judged = max(run.pairs_consumed, document.get("pairs_judged", 0))
        rest = f"the rest is being driven, {judged:,} of {run.planned:,} pairs are judged"
    return f"Provisional: it may merge, not promote; {rest}."


_GET_DATA = (
    "Too many pairs are without valid data: their segments are kept out of new suite versions "
    "until they are imported again. Import them, `redrive suites push` the suite's file and submit."
)


def _lacks_data(document: dict[str, Any]) -> bool:
    """Whether pairs without valid data stand between a run and its verdict."""
    invalid = [c.get("data_invalid", 0) for c in document.get("outcomes", {}).values()]
    many = max(invalid, default=0) > INVALID * document.get("pairs_judged", math.inf)
    return many or "cluster in slice" in document.get("sentence", "")


def _fields(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    run, candidate, baseline, suite, number = row[:5]
    own = RunSummary.model_fields.keys() & RunRow.__table__.columns.keys()
    return {name: getattr(run, name) for name in own} | {
        "provisional": is_provisional(run),
        "complete": is_complete(run),
        "withdrawn": withdrawal(run),
        "standing": _standing(run),
        "candidate": ModelName(digest=run.candidate, name=candidate),
        "baseline": ModelName(digest=run.baseline, name=baseline),
        "suite": SuiteName(digest=run.suite_digest, name=suite, number=number),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs a list takes: all that match every rule given."""

    status: Status | None = None
    verdict: RunVerdict | None = None
    suite: str | None = None
    """Name or digest."""
    model: str | None = None
    """Digest or exact name, as candidate or baseline."""


def list_runs(
    session: Session, filters: RunFilter, *, cursor: str | None, limit: int
) -> Page[RunSummary]:
    """Newest first."""
    query = _query()
    if filters.status is not None:
        query = query.where(RunRow.status == filters.status)
    if filters.verdict is not None:
        query = query.where(RunRow.verdict == filters.verdict)
    if filters.suite is not None:
        query = query.where(
            or_(SuiteVersionRow.suite == filters.suite, RunRow.suite_digest == filters.suite)
        )
    if filters.model is not None:
        columns = (RunRow.candidate, RunRow.baseline, _Candidate.name, _Baseline.name)
        query = query.where(or_(*(column == filters.model for column in columns)))
    by = (RunRow.created, RunRow.id)
    return read_page(
        session, query, by, cursor=cursor, limit=limit, view=lambda row: RunSummary(**_fields(row))
    )


def find_run(session: Session, run_id: str) -> RunRow:
    """The row of a run. Raises Refused (404)."""
    return _found(session.get(RunRow, run_id), run_id)


def _found(row: T | None, run_id: str) -> T:
    if row is None:
        raise not_found("run", run_id, "see GET /v1/runs or `redrive runs list`")
    return row


def _find_named(session: Session, run_id: str) -> Row[*tuple[Any, ...]]:
    """The run with the names of its models and its suite."""
    return _found(session.execute(_query().where(RunRow.id == run_id)).first(), run_id)


def read_summary(session: Session, run_id: str) -> RunSummary:
    """One run as a list shows it. Raises Refused (404)."""
    return RunSummary(**_fields(_find_named(session, run_id)))


def read_run(session: Session, run_id: str, public_url: str) -> RunView:
    """One run with its progress. Raises Refused (404)."""
    row = _find_named(session, run_id)
    run = row[0]
    line, tries = read_line(session, run, candidate=row[1], suite=row[3])
    return RunView(
        **_fields(row),
        line=line,
        tries=tries,
        url=f"{public_url.rstrip('/')}/runs/{run.id}",
        progress=read_progress(session, run),
        verdict_document=run.verdict_document,
        simulator=run.simulator,
        candidate_execution=run.candidate_execution,
        baseline_execution=run.baseline_execution,
    )


def is_over(session: Session, run_id: str, until: Until = "decided") -> bool:
    """Whether it is decided or never will be; or whether nothing of it is driven any more: one
    statement. Raises Refused (404)."""
    asked = select(RunRow.status, RunRow.verdict).where(RunRow.id == run_id)
    row = _found(session.execute(asked).first(), run_id)
    decided = until == "decided" and row.verdict is not None
    return decided or row.status not in UNDERWAY


def cancel_run(session: Session, run_id: str, *, actor: str) -> None:
    """Stop a run: its demands for what is not driven go, and the coordinator stops the shards that
    nobody else needs. What was driven stays its evidence. Cancelling twice changes nothing. Raises
    Refused (404; 409 when it is over)."""
    find_run(session, run_id)
    run = session.get_one(RunRow, run_id, with_for_update=True, populate_existing=True)
    if run.status is Status.CANCELLED:
        return
    if Status.CANCELLED not in STATUS_TRANSITIONS[run.status] or run.verdict is not None:
        raise Refused("run-over", f"run {run_id} is {run.verdict or run.status}")
    run.status = Status.CANCELLED
    run.finished = datetime.now(UTC)
    withdraw(session, run_owner(run_id), mandatory_too=True)
    record(session, "run.cancelled", ("run", run_id), actor=actor)
    notify(session)
