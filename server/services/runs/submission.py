"""Submit a run: whatever is wrong is said before any compute.

An unchanged resubmission is the existing run."""

import secrets
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.db.bank_tables import ModelRow, SuiteRow, SuiteVersionRow
from server.db.run_tables import IdempotencyKeyRow, RunRow
from server.problems import Refused
from server.services.audit import record
from server.services.bank.register_model import find_model
from server.services.bank.register_suite import (
    check_stored,
    cut_version,
    find_version,
    stored_version,
)
from server.services.bank.waivers_in_force import in_force
from server.services.queue.demands import run_owner
from server.services.queue.executions import find_execution
from server.services.queue.new_demands import add_demands
from server.services.runs.completion import drive_rest
from server.services.runs.order_seed import order_seed
from server.services.runs.run_demands import run_demands
from server.services.runs.stored_baseline import BaselineDrives, Known, known_of_baseline
from suites.definition.suite_schema import SuiteVersion
from suites.errors import Finding, SubmitterError
from suites.execution_classes import execution_of
from suites.identity import canonical_json, digest
from suites.manifest import Manifest, load_manifest
from suites.rollout import ExecutionClass, SimulatorSpec
from suites.simulators import SIMULATORS, simulator_spec
from suites.vocabulary import Status


class Source(BaseModel):
    """Where a candidate comes from, as CI says: shown, never judged."""

    model_config = ConfigDict(extra="forbid")

    commit: Annotated[str, Field(max_length=200)] = ""
    branch: Annotated[str, Field(max_length=200)] = ""
    pull_request: Annotated[str, Field(max_length=200)] = ""
    url: Annotated[str, Field(max_length=2000)] = ""


class Submission(BaseModel):
    """What to compare, on what."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    candidate: Annotated[str, Field(min_length=1, max_length=200)]
    """A registered model: digest, its first digits, or name."""
    baseline: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The same; the suite's promoted model when not given."""
    suite: Annotated[str, Field(min_length=1, max_length=200)]
    """A suite by name (its newest version), `name@digest`, or digest."""
    max_routes: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """This number of routes, the first of the suite's order: a smaller run, another digest."""
    execution: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """What both models run on: `RUNTIME[/PRECISION[/DEVICE]]`, e.g. `openvino/bf16`; ONNX Runtime
    on the CPU when not given. Built-in models run as themselves."""
    source: Source = Field(default_factory=Source)
    requested_by: Annotated[str, Field(max_length=200)] = ""
    full: bool = False
    """Drive everything that was planned, even after the decision: only such a pass promotes. A run
    that was decided before goes on."""
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    """0 is served first, 9 last."""


def submit(
    session: Session, submission: Submission, idempotency_key: str, lease_s: float
) -> tuple[RunRow, bool]:
    """The run for a submission, and whether it is new. `lease_s`: workers that were silent for
    longer are not up. Raises Refused (404, 409, 422) or SubmitterError."""
    body = digest(submission.model_dump())
    held = func.pg_try_advisory_xact_lock(_lock_number("key", idempotency_key))
    if not session.scalar(select(held)):
        raise Refused("idempotency-in-progress", "another request holds this key")
    used = session.get(IdempotencyKeyRow, idempotency_key)
    if used is not None:
        if used.request_digest != body:
            problem = f"the key was used for run {used.run_id} with another body"
            raise Refused("idempotency-key-reused", problem)
        return session.get_one(RunRow, used.run_id), False
    run, new = _find_or_create(session, submission, lease_s)
    session.flush()
    session.add(IdempotencyKeyRow(key=idempotency_key, request_digest=body, run_id=run.id))
    return run, new


class _Planned(NamedTuple):
    """What a submission asks for, resolved: all that its identity is made of, but the waivers."""

    candidate: ModelRow
    baseline: ModelRow
    suite: SuiteVersionRow
    version: SuiteVersion
    simulator: SimulatorSpec
    candidate_execution: ExecutionClass
    baseline_execution: ExecutionClass

    def identity(self, waivers: Iterable[str]) -> str:
        """Digest: equal runs are one run."""
        how = (self.simulator, self.candidate_execution, self.baseline_execution)
        what = (self.candidate.digest, self.baseline.digest, self.suite.digest)
        return digest([*what, *(digest(part) for part in how), *sorted(waivers)])


def _find_or_create(
    session: Session, submission: Submission, lease_s: float
) -> tuple[RunRow, bool]:
    planned = _plan(session, submission, lease_s)
    waivers = in_force(session, planned.suite.suite, datetime.now(UTC)).values()
    identity = planned.identity(waiver.id for waiver in waivers)
    session.execute(select(func.pg_advisory_xact_lock(_lock_number("run", identity))))
    live = (Status.QUEUED, Status.RUNNING, Status.FINISHED)
    same = select(RunRow).where(RunRow.identity == identity, RunRow.status.in_(live))
    existing = session.scalars(same.with_for_update()).first()
    if existing is not None:
        if submission.full:
            drive_rest(session, existing, planned.version, actor=submission.requested_by)
        return existing, False
    check_stored(session, planned.version)
    known = _known_of_baseline(session, planned)
    run = _create(session, submission, planned, identity)
    run.baseline_known = known and known.document()
    add_demands(session, run_owner(run.id), run_demands(run, planned.version))
    detail = {"candidate": run.candidate, "baseline": run.baseline, "suite": run.suite_digest}
    record(session, "run.submitted", ("run", run.id), actor=submission.requested_by, detail=detail)
    return run, True


def _plan(session: Session, submission: Submission, lease_s: float) -> _Planned:
    """Everything that is named is found, and fits together."""
    candidate = find_model(session, submission.candidate)
    row = find_version(session, submission.suite)
    baseline = _baseline(session, submission, row)
    if submission.max_routes is not None:
        row = cut_version(session, row, submission.max_routes)
    version = stored_version(row)
    named = version.suite.simulator
    documents = (candidate.manifest, baseline.manifest)
    manifests = [load_manifest(canonical_json(document)) for document in documents]
    simulator = simulator_spec(named.name, named.parameters)
    _check_kinds(version, manifests)
    chosen = None
    if submission.execution is not None:
        chosen = find_execution(session, submission.execution, lease_s)
    executions = [execution_of(manifest, chosen) for manifest in manifests]
    return _Planned(candidate, baseline, row, version, simulator, *executions)


def _create(session: Session, submission: Submission, planned: _Planned, identity: str) -> RunRow:
    version = planned.version
    ordered_for = planned.candidate.digest, planned.suite.digest
    run = RunRow(
        id=secrets.token_hex(6),
        identity=identity,
        candidate=planned.candidate.digest,
        baseline=planned.baseline.digest,
        suite_digest=planned.suite.digest,
        simulator=asdict(planned.simulator),
        candidate_execution=asdict(planned.candidate_execution),
        baseline_execution=asdict(planned.baseline_execution),
        planned=len(version.planned),
        order_seed=order_seed(session, version.suite, *ordered_for),
        priority=submission.priority,
        # an enriched suite's rate of what came first would be biased
        drive_all=submission.full or version.suite.enriched is not None,
        status=Status.QUEUED,
        source=submission.source.model_dump(exclude_defaults=True),
        requested_by=submission.requested_by,
    )
    session.add(run)
    session.flush()
    return run


def _known_of_baseline(session: Session, planned: _Planned) -> Known | None:
    """What is stored of the baseline, as it drives in this run. Raises SubmitterError."""
    drives = BaselineDrives(
        model=planned.baseline.digest,
        name=planned.baseline.name,
        simulator=planned.simulator,
        execution=planned.baseline_execution,
    )
    alike = planned.candidate_execution == planned.baseline_execution
    itself = alike and planned.candidate.digest == planned.baseline.digest
    return known_of_baseline(session, planned.version, drives, itself=itself)


def _baseline(session: Session, submission: Submission, row: SuiteVersionRow) -> ModelRow:
    if submission.baseline is not None:
        return find_model(session, submission.baseline)
    promoted = session.get_one(SuiteRow, row.suite).promoted
    if promoted is None:
        problem = f"none named, and suite {row.suite} has no promoted model"
        finding = Finding("baseline", problem, "name one, or `redrive suites promote`")
        raise Refused("no-baseline", "no baseline was named and none is promoted", finding)
    return session.get_one(ModelRow, promoted)


def _check_kinds(version: SuiteVersion, manifests: Iterable[Manifest]) -> None:
    name = version.suite.simulator.name
    wanted = SIMULATORS[name].models
    remedy = f"the {name} simulator drives {wanted} models"
    found = [
        Finding("model", f"{m.name} is a {m.kind} model", remedy)
        for m in manifests
        if m.kind != wanted
    ]
    findings = tuple(dict.fromkeys(found))  # a model may meet itself
    if findings:
        raise SubmitterError(f"suite {version.suite.name} can't drive these models", findings)


def _lock_number(*parts: str) -> int:
    return int(digest(list(parts))[:16], 16) - (1 << 63)
