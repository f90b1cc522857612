"""Many candidates against one baseline."""

from typing import Annotated

from fastapi import APIRouter, Query

from server.api.common import Database
from server.problems import declares
from server.services.runs.compare import Comparison, compare

router = APIRouter(prefix="/v1", tags=["comparisons"])


@router.get(
    "/comparisons",
    responses=declares("not-found", "ambiguous", "different-suites", "different-runtimes"),
)
def comparisons(
    session: Database,
    baseline: Annotated[
        str, Query(max_length=200, description="A model: digest, its first digits, or name.")
    ],
    candidate: Annotated[
        list[str],
        Query(min_length=1, max_length=50, description="The same, once for each candidate."),
    ],
    suite: Annotated[
        str | None,
        Query(max_length=200, description="A suite version; else the newest that all met."),
    ] = None,
) -> Comparison:
    """Models by gates against one baseline, on one suite digest.

    Different digests are refused with what differs. Each verdict is given alone and corrected
    for the number of candidates."""
    return compare(session, baseline, candidate, suite)
