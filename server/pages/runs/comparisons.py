"""Several candidates against one baseline: by gates, alone and corrected for their number."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from server.api.common import Database, Named
from server.pages.rendering import BLANK_IS_ANY, page
from server.services.bank.register_model import list_models
from server.services.runs.compare import Comparison, compare

router = APIRouter(include_in_schema=False)

OFFERED = 50
"""Models in the form, newest first; others may be named in the address."""


class ComparisonsPage(BaseModel):
    """The selection, and what it gives once it has a baseline and a candidate."""

    baseline: str | None
    candidates: list[str]
    suite: str | None
    models: list[str]
    """Names to choose from."""
    comparison: Comparison | None


def comparisons_page(
    session: Database,
    baseline: Annotated[Named, BLANK_IS_ANY] = None,
    candidate: Annotated[list[str], Query(max_length=50)] = [],  # noqa: B006  (FastAPI copies it)
    suite: Annotated[Named, BLANK_IS_ANY] = None,
) -> ComparisonsPage:
    """The whole selection stands in the query string."""
    newest = list_models(session, name=None, cursor=None, limit=OFFERED).items
    return ComparisonsPage(
        baseline=baseline,
        candidates=candidate,
        suite=suite,
        models=list(dict.fromkeys(model.name for model in newest)),
        comparison=compare(session, baseline, candidate, suite) if baseline and candidate else None,
    )


page(router, "/comparisons", "runs/comparisons.html", comparisons_page)
