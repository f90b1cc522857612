"""What a run's baseline has stored on the suite's planned pairs before anything is driven for it.

A draw by cost, and caps that are multiples of costs, need it whole; what a rate knows of the
baseline's events is more where it is whole. It is frozen on the run's row: whatever is stored
later, the judge and the exports read the same numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from server.db.queue_tables import ResultRow, RolloutRow
from server.db.run_tables import RunRow
from suites.definition.cost_draw import check_capped, draw_metric, draw_weights, needs_stored_costs
from suites.definition.suite_schema import PlannedRollout, SuiteVersion
from suites.errors import Finding, SubmitterError
from suites.formatting import plural
from suites.pair_table import HIGH, LOW, VALUE
from suites.rollout import DriveKey, ExecutionClass, SimulatorSpec
from suites.run_plan import StoredCosts
from suites.vocabulary import Estimand, Outcome

AT_ONCE = 5_000
"""Drive_keys in one statement."""


class Known(NamedTuple):
    """Of a run's baseline when it was submitted; pairs in the order of the suite's version."""

    stored: StoredCosts | None = None
    """None where the suite asks for none, or falls back to a uniform draw."""
    events: Mapping[str, int] = MappingProxyType({})
    """Metric that is judged as a rate to the events on all pairs, where all are stored."""

    def document(self) -> dict[str, Any]:
        """As the run's row has it."""
        stored = self.stored.document() if self.stored else None
        return {"stored": stored, "events": dict(self.events)}


def known_then(run: RunRow) -> Known:
    """What was frozen on a run's row."""
    if run.baseline_known is None:
        return Known()
    stored = run.baseline_known["stored"]
    costs = StoredCosts.of_document(stored) if stored else None
    return Known(costs, run.baseline_known["events"])


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineDrives:
    """How the baseline drives in a run."""

    model: str
    """Its digest ..."""
    name: str
    simulator: SimulatorSpec
    execution: ExecutionClass


def known_of_baseline(
    session: Session, version: SuiteVersion, drives: BaselineDrives, *, itself: bool
) -> Known | None:
    """What to freeze; None where the suite asks for nothing.

    `itself`: the candidate is the baseline, which needs no weights: such a run stores its costs.
    Raises SubmitterError where costs are missing or cannot weigh a draw.
    """
    suite = version.suite
    rates = {gate.metric for gate in suite.gates if gate.estimand is Estimand.RATE}
    by_cost = needs_stored_costs(suite) and not itself
    places = [place for place in version.planned if place.case is None]
    if not places or not (by_cost or rates):
        return None
    metrics = list(version.metric_versions)
    found, stored = _results(session, version, drives, places, metrics)
    events = {
        metric: int((found[VALUE, :, m] == 1).sum())
        for m, metric in enumerate(metrics)
        if metric in rates and stored[:, m].all()
    }
    if by_cost and stored.all():
        return Known(_costs(version, metrics, found), events)
    if by_cost and not suite.draw_else_uniform:
        raise _missing(version, drives, places, metrics, stored)
    return Known(None, events)


def _results(
    session: Session,
    version: SuiteVersion,
    drives: BaselineDrives,
    places: Sequence[PlannedRollout],
    metrics: Sequence[str],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """[VALUE, LOW, HIGH; pair; metric], NaN where the baseline has none, and [pair, metric] whether
    that is stored."""
    keys = [_key(drives, place) for place in places]
    place_of = {key: at for at, key in enumerate(keys)}
    found = np.full((3, len(places), len(metrics)), np.nan)
    stored = np.zeros((len(places), len(metrics)), dtype=np.bool_)
    versions = [(metric, version.metric_versions[metric]) for metric in metrics]
    row = ResultRow
    results = select(row.drive_key, row.metric, row.value, row.low, row.high)
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        wanted = results.where(
            row.drive_key.in_(some), tuple_(row.metric, row.version).in_(versions)
        )
        for key, metric, *numbers in session.execute(wanted):
            at = place_of[key], metrics.index(metric)
            stored[at] = True
            found[:, *at] = [np.nan if n is None else n for n in numbers]
        lost = select(RolloutRow.drive_key).where(
            RolloutRow.drive_key.in_(some), RolloutRow.outcome == Outcome.DATA_INVALID
        )
        for key in session.scalars(lost):
            stored[place_of[key]] = True
            found[:, place_of[key]] = np.nan
    return found, stored


def _key(drives: BaselineDrives, place: PlannedRollout) -> str:
    return DriveKey(
        model=drives.model,
        scenario=place.scenario,
        repeat=place.repeat,
        simulator=drives.simulator,
        execution=drives.execution,
    ).digest


def _costs(
    version: SuiteVersion, metrics: Sequence[str], found: NDArray[np.float64]
) -> StoredCosts:
    suite = version.suite
    weights = np.ones(found.shape[1])
    if suite.draw == "cost":
        metric = draw_metric(suite)
        weights = draw_weights(found[VALUE, :, metrics.index(metric)], suite.draw_share, metric)
    for gate in suite.gates:
        if suite.draw != "cost" and gate.relative_cap is not None:
            check_capped(found[VALUE, :, metrics.index(gate.metric)], gate.metric)
    costs = {metric: found[[LOW, HIGH], :, m] for m, metric in enumerate(metrics)}
    return StoredCosts(weights=weights, costs=costs)


def _missing(
    version: SuiteVersion,
    drives: BaselineDrives,
    places: Sequence[PlannedRollout],
    metrics: Sequence[str],
    stored: NDArray[np.bool_],
) -> SubmitterError:
    """Which are missing, and how to get them."""
    suite = version.suite
    lacking = np.flatnonzero(~stored.all(axis=1))
    of = f"{len(lacking):,} of {plural(len(places), 'planned pair')}"
    first = ", ".join(places[i].case_id for i in lacking[:3].tolist())
    problem = f"{drives.name} has no stored {' and '.join(metrics)} on {of}: {first}"
    remedy = (
        f"drive them once: `redrive submit {drives.name} --baseline {drives.name} "
        f"--suite {suite.name} --full`, or set draw_else_uniform in the suite"
    )
    why = "is drawn by the baseline's stored costs" if suite.draw == "cost" else "caps at them"
    return SubmitterError(f"suite {suite.name} {why}", Finding("baseline", problem, remedy))
