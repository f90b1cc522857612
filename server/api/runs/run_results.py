"""What a run found: pair by pair, by incidents, and as documents for people and CI systems."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, StreamingResponse

from server.api.common import Blobs, Configured, Cursor, Database, Limit
from server.problems import declares
from server.services.documents.comment import comment
from server.services.documents.html_report import report
from server.services.documents.junit import junit
from server.services.paging import Page
from server.services.runs import pairs as service
from server.services.runs.run_export import RunExport
from server.services.runs.run_incidents import IncidentsView, read_incidents
from server.services.runs.run_views import RunView, read_run

router = APIRouter(prefix="/v1/runs", tags=["runs"])

MetricChoice = Annotated[
    str | None, Query(max_length=100, description="The first gate's when not named.")
]


@router.get("/{run_id}/results", responses=declares("not-found", "bad-request"))
def results(
    run_id: str,
    session: Database,
    limit: Limit,
    cursor: Cursor = None,
    metric: MetricChoice = None,
    verdict: service.PairVerdict | None = None,
    change: service.Change | None = None,
    sort: service.Sort = "position",
) -> Page[service.PairView]:
    """The run pair by pair: both models at one place of the order, by one metric."""
    return service.list_results(
        session,
        run_id,
        metric=metric,
        verdict=verdict,
        change=change,
        sort=sort,
        cursor=cursor,
        limit=limit,
    )


@router.get(
    "/{run_id}/export.csv",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}, **declares("not-found")},
)
def export_csv(run_id: str, request: Request, session: Database) -> StreamingResponse:
    """All that `redrive verdict` needs to judge the run again: one header line of JSON, then a
    table with a row for each planned pair and model."""
    text = RunExport(session, run_id).text(request.app.state.sessions)
    name = f'attachment; filename="run-{run_id}.csv"'
    return StreamingResponse(text, media_type="text/csv", headers={"Content-Disposition": name})


@router.get("/{run_id}/incidents", responses=declares("not-found"))
def incidents(run_id: str, session: Database, blobs: Blobs) -> IncidentsView:
    """Rare incidents: rates per 1,000 h with exact intervals, places, hours still needed."""
    return read_incidents(session, blobs, run_id)


@router.get(
    "/{run_id}/junit.xml",
    response_class=Response,
    responses={200: {"content": {"application/xml": {}}}, **declares("not-found")},
)
def junit_xml(run_id: str, session: Database, settings: Configured) -> Response:
    """Gates and must-pass cases as JUnit tests."""
    xml = junit(read_run(session, run_id, settings.public_url))
    return Response(xml, media_type="application/xml")


@router.get(
    "/{run_id}/comment.md", response_class=PlainTextResponse, responses=declares("not-found")
)
def comment_md(run_id: str, session: Database, settings: Configured) -> PlainTextResponse:
    """The pull-request comment, in Markdown."""
    text = comment(*_content(session, settings, run_id, worst=5))
    return PlainTextResponse(text, media_type="text/markdown")


@router.get("/{run_id}/report.html", response_class=HTMLResponse, responses=declares("not-found"))
def report_html(run_id: str, session: Database, settings: Configured) -> HTMLResponse:
    """The run as one HTML file that can be kept."""
    return HTMLResponse(report(*_content(session, settings, run_id, worst=10)))


def _content(
    session: Database, settings: Configured, run_id: str, worst: int
) -> tuple[RunView, dict[service.Change, int], list[service.PairView]]:
    run = read_run(session, run_id, settings.public_url)
    return run, service.count_changes(session, run_id), service.worst_pairs(session, run_id, worst)
