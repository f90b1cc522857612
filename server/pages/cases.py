"""One case of a run: the plots, the frames, the numbers."""

from fastapi import APIRouter
from pydantic import BaseModel

from server.api.common import Blobs, Database
from server.db.models import Role
from server.pages.rendering import page
from server.services.case import RunCase, demanded, load_trace, read_case
from server.services.figures import Panel, TableRow, panels, table

router = APIRouter(include_in_schema=False)


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


def figures(run_id: str, position: int, session: Database, blobs: Blobs) -> Figures:
    """The plots of a case as data."""
    demands = demanded(session, run_id, position)
    candidate, baseline = (load_trace(session, blobs, demands[role].drive_key) for role in (Role.CANDIDATE, Role.BASELINE))
    return Figures(panels=panels(candidate, baseline))


def case_page(run_id: str, position: int, session: Database, blobs: Blobs) -> CasePage:
    """One case with everything that its page shows."""
    drawn = figures(run_id, position, session, blobs).panels
    return CasePage(
        case=read_case(session, blobs, run_id, position), tables=[PanelTable(panel=panel, rows=table(panel)) for panel in drawn]
    )


router.add_api_route("/runs/{run_id}/cases/{position}/figures.json", figures, methods=["GET"])
page(router, "/runs/{run_id}/cases/{position}", "case.html", case_page)
