"""The cases of a run, and one of them: the plots, the frames, the numbers."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from server.api.common import Blobs, Cursor, Database
from server.db.bank_tables import SuiteVersionRow
from server.db.base import Role
from server.pages.rendering import BLANK_IS_ANY, page
from server.services.runs.pair_detail import RunCase, demanded, load_trace, read_case
from server.services.runs.pair_plots import Panel, TableRow, panels, table
from server.services.runs.pairs import Change, PairView, Sort, list_results
from server.services.runs.run_views import RunSummary, read_summary
from suites.metrics.registry import METRICS

router = APIRouter(include_in_schema=False)

LINES = 100


class Figures(BaseModel):
    """What the browser draws."""

    panels: list[Panel]


class PanelTable(BaseModel):
    """A panel in words and numbers."""

    panel: Panel
    rows: list[TableRow]


class CasePage(BaseModel):
    """One case."""

    case: RunCase
    tables: list[PanelTable]


class CasesPage(BaseModel):
    """The cases of a run."""

    run: RunSummary
    pairs: list[PairView]
    next: str | None
    change: Change | None
    metric: str
    sort: Sort
    words: list[Change]
    metrics: list[str]
    """What the form offers."""


def cases_page(
    run_id: str,
    session: Database,
    cursor: Cursor = None,
    change: Annotated[Change | None, BLANK_IS_ANY] = None,
    metric: Annotated[str | None, Query(max_length=100), BLANK_IS_ANY] = None,
    sort: Sort = "-delta",
) -> CasesPage:
    """The cases of a run by one metric (the first gate's when not named), the worst first."""
    run = read_summary(session, run_id)
    suite = session.get_one(SuiteVersionRow, run.suite.digest).document["suite"]
    offered = list(dict.fromkeys([*(gate["metric"] for gate in suite["gates"]), *METRICS]))
    named = metric or offered[0]
    found = list_results(
        session, run_id, metric=named, change=change, sort=sort, cursor=cursor, limit=LINES
    )
    return CasesPage(
        run=run,
        pairs=found.items,
        next=found.next,
        change=change,
        metric=named,
        sort=sort,
        words=list(Change),
        metrics=offered,
    )


def figures(run_id: str, position: int, session: Database, blobs: Blobs) -> Figures:
    """The plots of a case as data."""
    demands = demanded(session, run_id, position)
    candidate = load_trace(session, blobs, demands[Role.CANDIDATE].drive_key)
    baseline = load_trace(session, blobs, demands[Role.BASELINE].drive_key)
    return Figures(panels=panels(candidate, baseline))


def case_page(run_id: str, position: int, session: Database, blobs: Blobs) -> CasePage:
    """One case with everything that its page shows."""
    drawn = figures(run_id, position, session, blobs).panels
    tables = [PanelTable(panel=panel, rows=table(panel)) for panel in drawn]
    return CasePage(case=read_case(session, blobs, run_id, position), tables=tables)


router.add_api_route("/runs/{run_id}/cases/{position}/figures.json", figures, methods=["GET"])
page(router, "/runs/{run_id}/cases", "runs/cases.html", cases_page)
page(router, "/runs/{run_id}/cases/{position}", "runs/case.html", case_page)
