"""Completing a run: what an early verdict left out is driven, and nothing twice.

A pass before the whole set is driven is provisional. It may merge; only a complete one promotes.
"""

from dataclasses import asdict

from sqlalchemy.orm import Session

from server.db.bank_tables import ModelRow, SuiteVersionRow
from server.db.run_tables import RunRow
from server.problems import Refused
from server.services.audit import record
from server.services.bank.register_suite import check_stored, stored_version
from server.services.queue import demands
from server.services.queue.demands import run_owner
from server.services.queue.executions import find_execution
from server.services.queue.new_demands import add_demands
from server.services.runs.document_differences import differences
from server.services.runs.run_demands import run_demands
from server.services.runs.run_views import find_run, is_complete
from suites.definition.suite_schema import SuiteVersion
from suites.errors import Finding
from suites.execution_classes import execution_name, execution_of
from suites.identity import canonical_json
from suites.manifest import load_manifest
from suites.rollout import ExecutionClass
from suites.simulators import simulator_spec
from suites.vocabulary import UNDERWAY, Status

LIVE = UNDERWAY | {Status.FINISHED}


def complete_run(session: Session, run_id: str, lease_s: float, *, actor: str) -> None:
    """Go on driving a run to the end of its set; a complete one stays as it is. Raises Refused
    (404; 409 when it has no verdict to complete, or can't be driven on as it began),
    SubmitterError where a segment is not stored any more. `lease_s` as in `submit`."""
    find_run(session, run_id)
    run = session.get_one(RunRow, run_id, with_for_update=True, populate_existing=True)
    if run.status not in LIVE:
        raise Refused("run-over", f"run {run_id} is {run.status}")
    if run.status is Status.FINISHED and not is_complete(run):
        _check_unchanged(session, run, lease_s)
    version = stored_version(session.get_one(SuiteVersionRow, run.suite_digest))
    drive_rest(session, run, version, actor=actor)


def drive_rest(session: Session, run: RunRow, version: SuiteVersion, *, actor: str) -> None:
    """Have a run driven to the end of its set, whatever is decided. `run` is locked."""
    run.drive_all = True
    if run.verdict is None or is_complete(run):
        return
    owner = run_owner(run.id)
    # what was given up is tried again, and what is being driven goes on: keys keep their shards
    demands.withdraw(session, owner, mandatory_too=True)
    kept = demands.places(session, owner)
    missing = [d for d in run_demands(run, version) if (d.position, d.role) not in kept]
    if missing:
        check_stored(session, version)
        add_demands(session, owner, missing)
    if run.status is Status.FINISHED:
        run.status = Status.RUNNING
        run.finished = None
        run.error = ""
        detail = {"pairs": run.pairs_consumed, "of": run.planned}
        record(session, "run.resumed", ("run", run.id), actor=actor, detail=detail)


def _check_unchanged(session: Session, run: RunRow, lease_s: float) -> None:
    """One run is driven by one simulator on one runtime. Raises Refused (409), SubmitterError."""
    told = run.simulator["parameters"] | run.simulator["auxiliary"]
    now = {"simulator": asdict(simulator_spec(run.simulator["name"], told))}
    then = {"simulator": run.simulator}
    for role in ("candidate", "baseline"):
        then[role] = getattr(run, f"{role}_execution")
        document = session.get_one(ModelRow, getattr(run, role)).manifest
        name = execution_name(ExecutionClass(**then[role]))
        chosen = find_execution(session, name, lease_s) if name is not None else None
        now[role] = asdict(execution_of(load_manifest(canonical_json(document)), chosen))
    if found := differences(then, now):
        message = f"run {run.id} began (the first) with what is not there now (the other)"
        again = Finding("run", "one run has one simulator and runtime", "`redrive submit` it again")
        raise Refused("not-now", message, (*found, again))
