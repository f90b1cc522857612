"""Submit a run: everything that may be wrong is said before any compute; an unchanged resubmission is the existing run."""

import secrets
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.broker import notify
from server.db.bank_tables import ModelRow, SuiteRow, SuiteVersionRow
from server.db.base import OwnerKind, Role
from server.db.queue_tables import DemandRow, DriveKeyRow
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
from server.services.queue.executions import find_execution
from suites.definition.suite_schema import SuiteVersion
from suites.errors import Finding, SubmitterError
from suites.identity import canonical_json, digest
from suites.manifest import Manifest, load_manifest
from suites.rollout import DriveKey, ExecutionClass, SimulatorSpec
from suites.simulators import execution_of, simulator_spec
from suites.vocabulary import Status

MANY = 1000
"""Demands from which the database is told of them at once. Until its own statistics follow, in a minute or so, it would take
a run for one row and join the pairs of 6,000 by nested loops: 3 s for each look at its progress instead of 0.02 s."""


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
    """Only the first so many routes of the suite's order: a smaller run, another digest."""
    execution: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """What both models run on: `RUNTIME[/PRECISION[/DEVICE]]`, e.g. `openvino/bf16`; ONNX Runtime on the CPU when not given.
    Built-in models run as themselves."""
    source: Source = Field(default_factory=Source)
    requested_by: Annotated[str, Field(max_length=200)] = ""
    full: bool = False
    """Drive everything that was planned, even after the decision."""
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    """0 is served first, 9 last."""


def submit(
    session: Session, submission: Submission, idempotency_key: str, lease_s: float
) -> tuple[RunRow, bool]:
    """The run for a submission, and whether it is new. `lease_s`: workers that were silent for longer are not up.
    Raises Refused (404, 409, 422) or SubmitterError."""
    body = digest(submission.model_dump())
    if not session.scalar(
        select(func.pg_try_advisory_xact_lock(_lock_number("key", idempotency_key)))
    ):
        raise Refused("idempotency-in-progress", "another request holds this key")
    used = session.get(IdempotencyKeyRow, idempotency_key)
    if used is not None:
        if used.request_digest != body:
            raise Refused(
                "idempotency-key-reused",
                f"the key was used for run {used.run_id} with another body",
            )
        return session.get_one(RunRow, used.run_id), False
    run, new = _find_or_create(session, submission, lease_s)
    session.flush()
    session.add(IdempotencyKeyRow(key=idempotency_key, request_digest=body, run_id=run.id))
    return run, new


def _find_or_create(
    session: Session, submission: Submission, lease_s: float
) -> tuple[RunRow, bool]:
    candidate = find_model(session, submission.candidate)
    row = find_version(session, submission.suite)
    baseline = _baseline(session, submission, row)
    if submission.max_routes is not None:
        row = cut_version(session, row, submission.max_routes)
    version = stored_version(row)
    simulator = simulator_spec(version.suite.simulator.name, version.suite.simulator.parameters)
    manifests = {
        model.digest: load_manifest(canonical_json(model.manifest))
        for model in (candidate, baseline)
    }
    _check_kinds(version, manifests.values())
    chosen = (
        None
        if submission.execution is None
        else find_execution(session, submission.execution, lease_s)
    )
    executions = {
        Role.CANDIDATE: execution_of(manifests[candidate.digest], chosen),
        Role.BASELINE: execution_of(manifests[baseline.digest], chosen),
    }
    waivers = sorted(
        waiver.id for waiver in in_force(session, row.suite, datetime.now(UTC)).values()
    )
    identity = digest(
        [
            candidate.digest,
            baseline.digest,
            row.digest,
            *(digest(part) for part in (simulator, *executions.values())),
            *waivers,
        ]
    )
    session.execute(select(func.pg_advisory_xact_lock(_lock_number("run", identity))))
    live = (Status.QUEUED, Status.RUNNING, Status.FINISHED)
    existing = session.scalars(
        select(RunRow).where(RunRow.identity == identity, RunRow.status.in_(live))
    ).first()
    if existing is not None:
        existing.drive_all = existing.drive_all or submission.full
        return existing, False
    check_stored(session, version)
    run = RunRow(
        id=secrets.token_hex(6),
        identity=identity,
        candidate=candidate.digest,
        baseline=baseline.digest,
        suite_digest=row.digest,
        simulator=asdict(simulator),
        candidate_execution=asdict(executions[Role.CANDIDATE]),
        baseline_execution=asdict(executions[Role.BASELINE]),
        planned=len(version.planned),
        priority=submission.priority,
        drive_all=submission.full
        or version.suite.enriched is not None,  # a rate of what came first is biased
        status=Status.QUEUED,
        source=submission.source.model_dump(exclude_defaults=True),
        requested_by=submission.requested_by,
    )
    session.add(run)
    session.flush()
    create_demands(session, run, version)
    detail = {"candidate": run.candidate, "baseline": run.baseline, "suite": run.suite_digest}
    record(session, "run.submitted", ("run", run.id), actor=submission.requested_by, detail=detail)
    return run, True


def create_demands(session: Session, run: RunRow, version: SuiteVersion) -> None:
    """Ask for both models' rollouts at every position of the version's order. Rollouts that exist already, for whatever
    run they were driven, are simply found; a drive_key that ran out of attempts before is tried again."""
    simulator = SimulatorSpec(**run.simulator)
    sides = {
        Role.CANDIDATE: (run.candidate, ExecutionClass(**run.candidate_execution)),
        Role.BASELINE: (run.baseline, ExecutionClass(**run.baseline_execution)),
    }
    keys: dict[str, dict[str, Any]] = {}
    demands: list[dict[str, Any]] = []
    for role, (model, execution) in sides.items():
        for position, planned in enumerate(version.planned):
            key = DriveKey(
                model=model,
                scenario=planned.scenario,
                repeat=planned.repeat,
                simulator=simulator,
                execution=execution,
            )
            name = key.digest
            keys[name] = {
                "digest": name,
                "key": key,
                "model": model,
                "segment_id": planned.scenario.segment_id,
                "group_digest": key.group,
                "execution": execution,
            }
            demands.append(
                {
                    "owner_kind": OwnerKind.RUN,
                    "owner_id": run.id,
                    "position": position,
                    "role": role,
                    "case_id": planned.case_id,
                    "route": planned.route,
                    "mandatory": planned.case is not None,
                    "drive_key": name,
                }
            )
    statement = insert(DriveKeyRow)
    again = statement.on_conflict_do_update(
        index_elements=["digest"],
        set_={"failure": None, "shard_id": None},
        where=DriveKeyRow.failure.is_not(None),
    )
    session.execute(
        again, [keys[name] for name in sorted(keys)]
    )  # sorted: two submissions lock rows in one order
    session.execute(insert(DemandRow), demands)
    if len(demands) >= MANY:
        session.execute(text("ANALYZE demands, drive_keys"))
    notify(session)


def _baseline(session: Session, submission: Submission, row: SuiteVersionRow) -> ModelRow:
    if submission.baseline is not None:
        return find_model(session, submission.baseline)
    promoted = session.get_one(SuiteRow, row.suite).promoted
    if promoted is None:
        finding = Finding(
            "baseline",
            f"none named, and suite {row.suite} has no promoted model",
            "name one, or `redrive suites promote`",
        )
        raise Refused("no-baseline", "no baseline was named and none is promoted", (finding,))
    return session.get_one(ModelRow, promoted)


def _check_kinds(version: SuiteVersion, manifests: Iterable[Manifest]) -> None:
    name = version.suite.simulator.name
    wanted = "controller" if name == "tinyphysics" else "camera"
    findings = tuple(
        Finding(
            "model", f"{m.name} is a {m.kind} model", f"the {name} simulator drives {wanted} models"
        )
        for m in manifests
        if m.kind != wanted
    )
    if findings:
        raise SubmitterError(f"suite {version.suite.name} can't drive these models", findings)


def _lock_number(*parts: str) -> int:
    return int(digest(list(parts))[:16], 16) - (1 << 63)
