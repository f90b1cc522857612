"""What the list of runs shows of each: how far it is, and how much of it can't be counted."""

from collections.abc import Sequence

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.db.base import OwnerKind
from server.db.queue_tables import DemandRow, RolloutRow
from server.db.run_tables import RunRow
from server.services.runs.run_views import RunSummary
from suites.vocabulary import FAILING, Status


class RunCounts(BaseModel):
    """Counts of one run."""

    done: int | None = None
    """Rollouts stored, two to a pair; null where the run is over."""
    total: int | None = None
    invalid: int | None = None
    """Pairs that could not be counted by some gate; null where nothing was judged."""
    failed: int | None = None
    """The candidate's rollouts that failed."""


class RunLine(BaseModel):
    """One row of the page."""

    run: RunSummary
    counts: RunCounts


def add_counts(session: Session, runs: Sequence[RunSummary]) -> list[RunLine]:
    """The runs with their counts: two statements, however many runs."""
    open_ids = [run.id for run in runs if run.status in (Status.QUEUED, Status.RUNNING)]
    counts = {run.id: RunCounts() for run in runs}
    document = RunRow.verdict_document
    judged = select(RunRow.id, document["gates"], document["outcomes"]["candidate"]).where(
        RunRow.id.in_(counts), document.is_not(None)
    )
    for run_id, gates, outcomes in session.execute(judged):
        counts[run_id].invalid = max((gate["invalid"] for gate in gates or ()), default=None)
        counts[run_id].failed = sum((outcomes or {}).get(word, 0) for word in FAILING)
    driven = session.execute(
        select(DemandRow.owner_id, func.count(), func.count(RolloutRow.drive_key))
        .outerjoin(RolloutRow, RolloutRow.drive_key == DemandRow.drive_key)
        .where(DemandRow.owner_kind == OwnerKind.RUN, DemandRow.owner_id.in_(open_ids))
        .group_by(DemandRow.owner_id)
    )
    for run_id, total, done in driven:
        counts[run_id].done = done
        counts[run_id].total = total
    return [RunLine(run=run, counts=counts[run.id]) for run in runs]
