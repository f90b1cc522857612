"""What a run asks for: both models' rollouts at every place of its order."""

from collections.abc import Iterator

from server.db.base import Role
from server.db.run_tables import RunRow
from server.services.queue.new_demands import NewDemand
from suites.definition.resolving import run_order
from suites.definition.suite_schema import SuiteVersion
from suites.rollout import DriveKey, ExecutionClass, SimulatorSpec


def run_demands(run: RunRow, version: SuiteVersion) -> Iterator[NewDemand]:
    """The candidate's in the run's order, then the baseline's; `version` is the run's."""
    simulator = SimulatorSpec(**run.simulator)
    sides = {
        Role.CANDIDATE: (run.candidate, ExecutionClass(**run.candidate_execution)),
        Role.BASELINE: (run.baseline, ExecutionClass(**run.baseline_execution)),
    }
    order = run_order(version, run.order_seed)
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
