"""What a run asks for: both models' rollouts at every place of its order."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from server.db.base import Role
from server.db.run_tables import RunRow
from server.services.queue.new_demands import NewDemand
from server.services.runs.stored_baseline import known_then
from suites.definition.resolving import run_order
from suites.definition.suite_schema import PlannedRollout, SuiteVersion
from suites.rollout import DriveKey, ExecutionClass, SimulatorSpec
from suites.run_plan import StoredCosts
from suites.statistics.inclusion import inclusion


def run_demands(run: RunRow, version: SuiteVersion) -> Iterator[NewDemand]:
    """The candidate's in the run's order, then the baseline's; `version` is the run's."""
    simulator = SimulatorSpec(**run.simulator)
    sides = {
        Role.CANDIDATE: (run.candidate, ExecutionClass(**run.candidate_execution)),
        Role.BASELINE: (run.baseline, ExecutionClass(**run.baseline_execution)),
    }
    order = order_of(run, version)
    for role, (model, execution) in sides.items():
        for position, place in enumerate(order):
            key = DriveKey(
                model=model,
                scenario=place.scenario,
                repeat=place.repeat,
                simulator=simulator,
                execution=execution,
            )
            yield NewDemand(position, role, place.case_id, place.route, place.case is not None, key)


def order_of(run: RunRow, version: SuiteVersion) -> tuple[PlannedRollout, ...]:
    """The places of the run's order; `version` is the run's."""
    return _order(version, run, known_then(run).stored)


def in_run_order(stored: StoredCosts, version: SuiteVersion, run: RunRow) -> StoredCosts:
    """Costs of the version's pairs, as the run will meet them."""
    place_of = {p.case_id: at for at, p in enumerate(p for p in version.planned if p.case is None)}
    order = _order(version, run, stored)
    return stored.rows([place_of[place.case_id] for place in order if place.case is None])


def times_counted(run: RunRow, version: SuiteVersion, drawn: int) -> NDArray[np.float64] | None:
    """How many like it each planned pair of a run drawn by cost stands for, in the run's order, if
    it is among the first `drawn`: about 1 in the mean of those. None: all stand for one."""
    stored = known_then(run).stored
    if stored is None or version.suite.draw != "cost" or not drawn:
        return None
    weights = in_run_order(stored, version, run).weights
    return np.asarray(min(drawn, len(weights)) / len(weights) / inclusion(weights, drawn))


def _order(
    version: SuiteVersion, run: RunRow, stored: StoredCosts | None
) -> tuple[PlannedRollout, ...]:
    by_cost = stored is not None and version.suite.draw == "cost"
    return run_order(version, run.order_seed, stored.weights if stored and by_cost else None)
