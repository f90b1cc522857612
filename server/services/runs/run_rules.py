"""What a run is judged by, all of it fixed when it was submitted."""

from collections import Counter
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from server.db.bank_tables import SuiteVersionRow
from server.db.run_tables import RunRow
from server.services.bank.register_suite import stored_version
from server.services.bank.waivers_in_force import in_force
from server.services.runs.run_demands import in_run_order, order_of
from server.services.runs.stored_baseline import known_then
from suites.definition.suite_schema import PlannedRollout, Suite, SuiteVersion, gated
from suites.run_plan import RunPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRules:
    """Of one run."""

    version: SuiteVersion
    places: tuple[PlannedRollout, ...]
    """In the run's order."""
    suite: Suite
    """As it is judged: with the run's own seed."""
    plan: RunPlan
    waivers: dict[str, str]
    """Case to the words of its waiver."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that are judged, each once."""
        return tuple(dict.fromkeys(gate.metric for gate in self.suite.gates))


def read_rules(session: Session, run: RunRow) -> RunRules:
    """The rules of a stored run."""
    version = stored_version(session.get_one(SuiteVersionRow, run.suite_digest))
    waivers = in_force(session, version.suite.name, run.created)
    places = order_of(run, version)
    return RunRules(
        version=version,
        places=places,
        suite=replace(version.suite, order_seed=run.order_seed),
        plan=_plan(version, places, run),
        waivers={case: waiver.words for case, waiver in waivers.items()},
    )


def _plan(version: SuiteVersion, places: tuple[PlannedRollout, ...], run: RunRow) -> RunPlan:
    known = known_then(run)
    judged = places[: gated(version.suite, [place.case for place in places])]
    segments = {place.scenario.segment_id for place in judged}
    return RunPlan(
        len(judged),
        stored=known.stored and in_run_order(known.stored, version, run),
        baseline_events=known.events,
        route_pairs=Counter(place.route for place in judged),
        slices={name: frozenset(segments.intersection(p)) for name, p in version.slices.items()},
    )
