"""The list of runs, and one run with its verdict."""

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from server.api.common import Blobs, Configured, Cursor, Database, Named
from server.db.bank_tables import SuiteVersionRow
from server.pages.forms import Form, needed, see
from server.pages.rendering import BLANK_IS_ANY, page
from server.services.documents.phrases import headline
from server.services.runs.breakdown import Breakdown, by_offset, case_positions, sandbox_levels
from server.services.runs.completion import complete_run
from server.services.runs.pairs import Change, PairView, count_changes, worst_pairs
from server.services.runs.reproduce import execution_words
from server.services.runs.run_counts import RunLine, add_counts
from server.services.runs.run_incidents import IncidentsView, read_incidents
from server.services.runs.run_views import RunFilter, RunView, list_runs, read_run
from suites.vocabulary import RunVerdict, Status

router = APIRouter(include_in_schema=False)

LINES = 50
WORST = 10


class RunsPage(BaseModel):
    """The list of runs, newest first."""

    lines: list[RunLine]
    next: str | None
    status: Status | None
    verdict: RunVerdict | None
    suite: str | None
    model: str | None
    live: bool
    """Something on it still changes."""
    public_url: str


class RunPage(BaseModel):
    """One run."""

    run: RunView
    headline: str
    changes: dict[Change, int]
    worst: list[PairView]
    cases: dict[str, int]
    """Must-pass cases by name to the position of their first repeat."""
    offsets: Breakdown
    sandbox: dict[str, list[str]]
    suite: dict[str, Any]
    """suites.definition.suite_schema.Suite as it was written."""
    reproduce: dict[str, str]
    """What to do again, by what it does: shell commands."""
    incidents: IncidentsView | None
    """Rare incidents, once the run is over."""


def runs_page(
    session: Database,
    settings: Configured,
    cursor: Cursor = None,
    status: Annotated[Status | None, BLANK_IS_ANY] = None,
    verdict: Annotated[RunVerdict | None, BLANK_IS_ANY] = None,
    suite: Named = None,
    model: Named = None,
) -> RunsPage:
    """Runs, newest first."""
    filters = RunFilter(status=status, verdict=verdict, suite=suite or None, model=model or None)
    found = list_runs(session, filters, cursor=cursor, limit=LINES)
    return RunsPage(
        lines=add_counts(session, found.items),
        next=found.next,
        status=status,
        verdict=verdict,
        suite=suite,
        model=model,
        live=any(run.status in (Status.QUEUED, Status.RUNNING) for run in found.items),
        public_url=settings.public_url,
    )


def run_page(run_id: str, session: Database, settings: Configured, blobs: Blobs) -> RunPage:
    """One run with everything that its page shows."""
    run = read_run(session, run_id, settings.public_url)
    changes = count_changes(session, run_id)
    return RunPage(
        run=run,
        headline=headline(run, changes),
        changes=changes,
        worst=worst_pairs(session, run_id, WORST),
        cases=case_positions(session, run_id),
        offsets=by_offset(session, run_id),
        sandbox=sandbox_levels(session, run_id),
        suite=session.get_one(SuiteVersionRow, run.suite.digest).document["suite"],
        reproduce=_commands(run),
        incidents=read_incidents(session, blobs, run_id) if run.over else None,
    )


def _commands(run: RunView) -> dict[str, str]:
    models = f"{run.candidate.digest[:12]} --baseline {run.baseline.digest[:12]}"
    suite = f"{run.suite.name}@{run.suite.digest[:12]}"
    words = execution_words(run.candidate_execution, run.baseline_execution)
    again = " ".join([f"redrive submit {models} --suite {suite}", *words])
    return {
        "Submit the same comparison": again,
        "Drive all of it, past the decision": f"redrive runs complete {run.id}",
    }


def complete(run_id: str, form: Form, session: Database, settings: Configured) -> RedirectResponse:
    """Drive what an early verdict left out."""
    complete_run(session, run_id, settings.lease_s, actor=needed(form, "actor"))
    return see(f"/runs/{run_id}")


@router.get("/")
def home() -> RedirectResponse:
    """The dashboard starts with the runs."""
    return RedirectResponse("/runs")


page(router, "/runs", "runs/runs.html", runs_page)
page(router, "/runs/{run_id}", "runs/run.html", run_page)
router.add_api_route("/runs/{run_id}/complete", complete, methods=["POST"])
