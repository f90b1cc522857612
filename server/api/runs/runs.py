"""Runs: submit, watch, read, cancel."""

import time
from collections.abc import AsyncIterator
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from server.api.common import Blobs, Configured, Cursor, Database, Limit
from server.problems import declares
from server.services.documents.comment import comment
from server.services.documents.html_report import report
from server.services.documents.junit import junit
from server.services.paging import Page
from server.services.runs.pairs import (
    Change,
    PairVerdict,
    PairView,
    Sort,
    count_changes,
    list_results,
    worst_pairs,
)
from server.services.runs.run_incidents import IncidentsView, read_incidents
from server.services.runs.run_views import (
    RunFilter,
    RunSummary,
    RunView,
    cancel_run,
    is_over,
    list_runs,
    read_run,
)
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


@router.post(
    "",
    responses={
        201: {"model": RunView, "description": "A new run"},
        200: {
            "model": RunView,
            "description": "The run that this was already, or that the key was used for",
        },
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
) -> RunView:
    """Compare a candidate with a baseline on a suite. An unchanged resubmission answers with the run that exists."""
    run, new = submit(session, body, idempotency_key, settings.lease_s)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/runs/{run.id}"
    return read_run(session, run.id, settings.public_url)


@router.get("", responses=declares("bad-request"))
def runs(
    session: Database,
    limit: Limit,
    cursor: Cursor = None,
    status: Status | None = None,
    verdict: RunVerdict | None = None,
    suite: Annotated[str | None, Query(max_length=200, description="Name or digest.")] = None,
    model: Annotated[
        str | None, Query(max_length=200, description="Digest or name, as candidate or baseline.")
    ] = None,
) -> Page[RunSummary]:
    """Runs, newest first."""
    return list_runs(
        session,
        RunFilter(status=status, verdict=verdict, suite=suite, model=model),
        cursor=cursor,
        limit=limit,
    )


def _over(request: Request, run_id: str) -> bool:
    with request.app.state.sessions() as session:
        return is_over(session, run_id)


def _read(request: Request, run_id: str) -> RunView:
    with request.app.state.sessions() as session:
        return read_run(session, run_id, request.app.state.settings.public_url)


@router.get("/{run_id}", responses=declares("not-found"))
async def run(
    run_id: str,
    request: Request,
    settings: Configured,
    wait: Annotated[
        float,
        Query(
            ge=0, le=300, description="Answer when the verdict is there, or after so many seconds."
        ),
    ] = 0,
) -> RunView:
    """One run. With `wait`, the answer comes as soon as the run is decided, or undecided when the time is over."""
    deadline = time.monotonic() + min(wait, settings.max_wait_s)
    while time.monotonic() < deadline and not await run_in_threadpool(_over, request, run_id):
        await anyio.sleep(settings.watch_interval_s)
    return await run_in_threadpool(_read, request, run_id)


async def _existing(run_id: str, request: Request) -> RunView:
    return await run_in_threadpool(_read, request, run_id)


@router.get("/{run_id}/events", response_class=EventSourceResponse, responses=declares("not-found"))
async def events(
    run_id: str,
    request: Request,
    settings: Configured,
    first: Annotated[RunView, Depends(_existing)],
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `progress` with the run whenever it changed, `decided` with it at the end."""
    deadline, view, last = time.monotonic() + settings.max_events_s, first, ""
    while True:
        text = view.model_dump_json()
        if view.over:
            yield ServerSentEvent(raw_data=text, event="decided")
            return
        if text != last:
            yield ServerSentEvent(raw_data=text, event="progress", retry=2000)
            last = text
        if time.monotonic() > deadline:
            return
        await anyio.sleep(settings.watch_interval_s)
        view = await run_in_threadpool(_read, request, run_id)


@router.get("/{run_id}/results", responses=declares("not-found", "bad-request"))
def results(
    run_id: str,
    session: Database,
    limit: Limit,
    cursor: Cursor = None,
    metric: Annotated[
        str | None, Query(max_length=100, description="The first gate's when not named.")
    ] = None,
    verdict: PairVerdict | None = None,
    change: Change | None = None,
    sort: Sort = "position",
) -> Page[PairView]:
    """The run pair by pair: both models at one place of the order, by one metric."""
    return list_results(
        session,
        run_id,
        metric=metric,
        verdict=verdict,
        change=change,
        sort=sort,
        cursor=cursor,
        limit=limit,
    )


@router.get("/{run_id}/incidents", responses=declares("not-found"))
def incidents(run_id: str, session: Database, blobs: Blobs) -> IncidentsView:
    """Rare incidents: rates per 1,000 h with exact intervals, distinct places, shares by offset, hours still needed."""
    return read_incidents(session, blobs, run_id)


@router.get(
    "/{run_id}/junit.xml",
    response_class=Response,
    responses={200: {"content": {"application/xml": {}}}, **declares("not-found")},
)
def junit_xml(run_id: str, session: Database, settings: Configured) -> Response:
    """Gates and must-pass cases as JUnit tests."""
    return Response(
        junit(read_run(session, run_id, settings.public_url)), media_type="application/xml"
    )


@router.get(
    "/{run_id}/comment.md", response_class=PlainTextResponse, responses=declares("not-found")
)
def comment_md(run_id: str, session: Database, settings: Configured) -> PlainTextResponse:
    """The pull-request comment, in Markdown."""
    view = read_run(session, run_id, settings.public_url)
    text = comment(view, count_changes(session, run_id), worst_pairs(session, run_id, 5))
    return PlainTextResponse(text, media_type="text/markdown")


@router.get("/{run_id}/report.html", response_class=HTMLResponse, responses=declares("not-found"))
def report_html(run_id: str, session: Database, settings: Configured) -> HTMLResponse:
    """The run as one HTML file that can be kept."""
    view = read_run(session, run_id, settings.public_url)
    return HTMLResponse(
        report(view, count_changes(session, run_id), worst_pairs(session, run_id, 10))
    )


@router.post("/{run_id}/cancel", responses=declares("not-found", "run-over"))
def cancel(
    run_id: str,
    session: Database,
    settings: Configured,
    actor: Annotated[str, Query(max_length=200, description="Who stops it.")] = "",
) -> RunView:
    """Stop a run. What was driven stays and is used by later runs."""
    cancel_run(session, run_id, actor=actor)
    session.flush()
    return read_run(session, run_id, settings.public_url)
