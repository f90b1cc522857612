"""Runs: submit, list, cancel."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from server.api.common import Configured, Cursor, Database, Limit
from server.problems import declares
from server.services.paging import Page
from server.services.runs import run_views as service
from server.services.runs.completion import complete_run
from server.services.runs.submission import Submission, submit
from suites.vocabulary import RunVerdict, Status

router = APIRouter(prefix="/v1/runs", tags=["runs"])

KeyHeader = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="Any unique string; the same when you retry.",
    ),
]
SuiteFilter = Annotated[str | None, Query(max_length=200, description="Name or digest.")]
ModelFilter = Annotated[
    str | None, Query(max_length=200, description="Digest or name, as candidate or baseline.")
]
Actor = Annotated[str, Query(max_length=200, description="Who asks for it.")]
KNOWN = "The run that this was already, or that the key was used for"


@router.post(
    "",
    responses={
        201: {"model": service.RunView, "description": "A new run"},
        200: {"model": service.RunView, "description": KNOWN},
        **declares(
            "not-json",
            "idempotency-key-missing",
            "idempotency-key-reused",
            "idempotency-in-progress",
            "no-baseline",
            "not-found",
            "ambiguous",
            "invalid-submission",
            "too-large",
        ),
    },
)
def submit_run(
    body: Submission,
    idempotency_key: KeyHeader,
    response: Response,
    session: Database,
    settings: Configured,
) -> service.RunView:
    """Compare a candidate with a baseline on a suite.

    An unchanged resubmission answers with the run that exists."""
    run, new = submit(session, body, idempotency_key, settings.lease_s)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/runs/{run.id}"
    return service.read_run(session, run.id, settings.public_url)


@router.get("", responses=declares("bad-request"))
def runs(
    session: Database,
    limit: Limit,
    cursor: Cursor = None,
    status: Status | None = None,
    verdict: RunVerdict | None = None,
    suite: SuiteFilter = None,
    model: ModelFilter = None,
) -> Page[service.RunSummary]:
    """Runs, newest first."""
    filters = service.RunFilter(status=status, verdict=verdict, suite=suite, model=model)
    return service.list_runs(session, filters, cursor=cursor, limit=limit)


@router.post(
    "/{run_id}/complete",
    responses=declares("not-found", "run-over", "not-now", "invalid-submission"),
)
def complete(
    run_id: str, session: Database, settings: Configured, actor: Actor = ""
) -> service.RunView:
    """Drive what an early verdict left out, nothing twice. The verdict stays meanwhile; what the
    whole set says against a pass withdraws it. A complete run stays as it is."""
    complete_run(session, run_id, settings.lease_s, actor=actor)
    session.flush()
    return service.read_run(session, run_id, settings.public_url)


@router.post("/{run_id}/cancel", responses=declares("not-found", "run-over"))
def cancel(
    run_id: str, session: Database, settings: Configured, actor: Actor = ""
) -> service.RunView:
    """Stop a run. What was driven stays and is used by later runs."""
    service.cancel_run(session, run_id, actor=actor)
    session.flush()
    return service.read_run(session, run_id, settings.public_url)
