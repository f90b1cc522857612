"""One run, and waiting for its verdict."""

import time
from collections.abc import AsyncIterator
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from server.api.common import Configured
from server.problems import declares
from server.services.runs.run_views import RunView, is_over, read_run
from suites.vocabulary import Until

router = APIRouter(prefix="/v1/runs", tags=["runs"])

Wait = Annotated[
    float,
    Query(ge=0, le=300, description="Answer when the verdict is there, or after these seconds."),
]

For = Annotated[
    Until, Query(description="What `wait` is for: the verdict, or that nothing more is driven.")
]


# Waiting holds no session: each look takes one from the pool and gives it back.
def _over(request: Request, run_id: str, until: Until) -> bool:
    with request.app.state.sessions() as session:
        return is_over(session, run_id, until)


def _read(request: Request, run_id: str) -> RunView:
    with request.app.state.sessions() as session:
        return read_run(session, run_id, request.app.state.settings.public_url)


@router.get("/{run_id}", responses=declares("not-found"))
async def run(
    run_id: str, request: Request, settings: Configured, wait: Wait = 0, until: For = "decided"
) -> RunView:
    """One run. With `wait`, the answer comes once it is decided, or undecided when time is over."""
    deadline = time.monotonic() + min(wait, settings.max_wait_s)
    while time.monotonic() < deadline:
        if await run_in_threadpool(_over, request, run_id, until):
            break
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
    """Server-sent events: `progress` with the run whenever it changed, then `decided`."""
    deadline = time.monotonic() + settings.max_events_s
    view = first
    last = ""
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
