"""What a night looks at; `redrive selfcheck --nightly` looks at the same."""

from collections.abc import Iterable
from typing import NamedTuple

SUITES = 3
"""Suites whose newest run is checked."""
LOOK_BACK = 200
"""Newest finished runs among which these suites are looked for."""
PROBES = 20
"""Stored rollouts that are driven again."""


class FinishedRun(NamedTuple):
    """A run, the name of its suite, and the digests of its models."""

    id: str
    suite: str
    candidate: str
    baseline: str


def newest_of_suites(finished: Iterable[FinishedRun]) -> list[str]:
    """Ids of the newest run of each suite, of two distinct models. `finished`: newest first."""
    newest: dict[str, str] = {}
    for run in finished:
        if run.candidate != run.baseline:
            newest.setdefault(run.suite, run.id)
    return list(newest.values())[:SUITES]
