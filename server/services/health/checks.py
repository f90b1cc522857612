"""Standing checks of the service itself: self-checks of the judge, workers that differ, rollouts that don't repeat."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, aliased

from server.db.bank_tables import SuiteVersionRow
from server.db.base import OwnerKind, Role
from server.db.health_tables import AlarmRow, NightRow, ProbeRow, SelfCheckRow
from server.db.queue_tables import DemandRow, DriveKeyRow, ResultRow, RolloutRow
from server.db.run_tables import RunRow
from server.problems import Refused, not_found
from server.services.audit import record
from server.services.runs.run_views import find_run
from suites.errors import Finding
from suites.simulators import SIMULATORS
from suites.statistics.contrasts import sign_of
from suites.statistics.worker_residuals import DrivenPair, worker_residuals
from suites.verdict.planted_effects import SelfCheck
from suites.vocabulary import Outcome, Status

ALPHA_WORKERS = 0.01
"""Adjusted p-value below which a worker is called bad."""

LOOK_BACK = timedelta(days=14)
"""Runs that were made in this time say how the workers are."""

REPEATABLE = (Outcome.COMPLETED, Outcome.FAILED, Outcome.LEFT_TRUST_REGION)
"""How a rollout ended that must end so again; a crashed model or damaged data need not."""

SHOWN = 20
"""Of each kind, the newest."""


class SelfCheckView(BaseModel):
    """A self-check that was made."""

    id: int
    run_id: str
    suite_digest: str
    report: dict[str, Any]
    """suites.verdict.planted_effects.SelfCheck: rates with their intervals."""
    faults: list[str]
    """What errs more often than alpha; empty: nothing does, as far as was seen."""
    created: datetime


class WorkerView(BaseModel):
    """How differently one worker's rollouts lie among those of all."""

    worker: str
    population: str
    rollouts: int
    chi_square: float
    p: float
    """Adjusted for all workers and populations."""
    shift: float
    """Median relative difference of its rollouts: positive is worse."""
    bad: bool


class ProbeView(BaseModel):
    """A stored rollout that is driven again."""

    id: int
    drive_key: str
    asked: datetime
    driven: datetime | None
    worker: str | None
    equal: bool | None
    """Null while it waits, or where it could not be driven."""
    error: str


class AlarmView(BaseModel):
    """Something that must never happen did."""

    id: int
    kind: str
    drive_key: str | None
    detail: dict[str, Any]
    created: datetime


class NightReport(BaseModel):
    """What the checks of a night showed."""

    self_checks: list[int] = []
    """Their numbers."""
    left_out: dict[str, str] = {}
    """Run to why a self-check on it would show nothing."""
    workers: list[WorkerView] = []
    probes: list[int] = []
    """Numbers of the rollouts that are driven again; when they are, they are counted with all others."""
    faults: list[str] = []
    """Empty: nothing is wrong as far as was seen by then."""


class NightView(BaseModel):
    """The standing checks of a night."""

    night: date
    """The UTC day on which they were due."""
    started: datetime
    finished: datetime | None
    """Null while they are made, or where they were cut short."""
    error: str
    """Why they were cut short."""
    report: NightReport


class ChecksView(BaseModel):
    """Where the standing checks stand: the newest of each kind."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    nights: list[NightView]
    self_checks: list[SelfCheckView]
    probes: dict[str, int]
    """Probes ever: equal, unequal, waiting, failed."""
    recent_probes: list[ProbeView]
    alarms: list[AlarmView]
    """Those that nobody has acknowledged."""


def store_self_check(session: Session, run_id: str, report: SelfCheck) -> SelfCheckView:
    """Keep what a self-check of a run showed; a fault raises an alarm. Raises Refused (404)."""
    run = find_run(session, run_id)
    row = SelfCheckRow(
        run_id=run.id,
        suite_digest=run.suite_digest,
        report=asdict(report),
        faults=list(report.faults),
    )
    session.add(row)
    if report.faults:
        session.add(AlarmRow(kind="self_check", detail={"run": run.id, "faults": row.faults}))
    record(session, "run.self_checked", ("run", run.id), detail={"faults": row.faults})
    session.flush()
    session.refresh(row)
    return SelfCheckView.model_validate(row, from_attributes=True)


def read_checks(session: Session) -> ChecksView:
    """The newest self-checks, probes by how they ended, alarms that are open."""
    checks = session.scalars(select(SelfCheckRow).order_by(SelfCheckRow.id.desc()).limit(SHOWN))
    probes = session.scalars(select(ProbeRow).order_by(ProbeRow.id.desc()).limit(SHOWN))
    alarms = session.scalars(
        select(AlarmRow)
        .where(AlarmRow.acknowledged.is_(None))
        .order_by(AlarmRow.id.desc())
        .limit(SHOWN)
    )
    equal, unequal, waiting, total = session.execute(
        select(
            func.count().filter(ProbeRow.equal.is_(True)),
            func.count().filter(ProbeRow.equal.is_(False)),
            func.count().filter(ProbeRow.driven.is_(None)),
            func.count(),
        ).select_from(ProbeRow)
    ).one()
    nights = session.scalars(select(NightRow).order_by(NightRow.night.desc()).limit(SHOWN))
    return ChecksView(
        nights=[NightView.model_validate(night, from_attributes=True) for night in nights],
        self_checks=[SelfCheckView.model_validate(check, from_attributes=True) for check in checks],
        probes={
            "equal": equal,
            "unequal": unequal,
            "waiting": waiting,
            "failed": total - equal - unequal - waiting,
        },
        recent_probes=[ProbeView.model_validate(probe, from_attributes=True) for probe in probes],
        alarms=[AlarmView.model_validate(alarm, from_attributes=True) for alarm in alarms],
    )


def check_workers(session: Session) -> list[WorkerView]:
    """The residual of every worker over the runs of the last two weeks, worst first. A bad worker raises an alarm, once
    until it is acknowledged."""
    views = compare_workers(session)
    known = set(
        session.scalars(
            select(AlarmRow.detail["worker"].astext).where(
                AlarmRow.kind == "bad_worker", AlarmRow.acknowledged.is_(None)
            )
        )
    )
    for view in views:
        if view.bad and view.worker not in known:
            known.add(view.worker)
            session.add(AlarmRow(kind="bad_worker", detail=view.model_dump()))
    return views


def compare_workers(session: Session) -> list[WorkerView]:
    """The same, but nobody is alarmed."""
    residuals = worker_residuals(list(_driven_pairs(session)))
    return [
        WorkerView(**asdict(residual), bad=residual.p < ALPHA_WORKERS) for residual in residuals
    ]


def acknowledge(session: Session, alarm_id: int, *, actor: str) -> AlarmView:
    """Somebody has looked at it: it is no longer shown as open. Raises Refused (404, 409)."""
    alarm = session.get(AlarmRow, alarm_id, with_for_update=True)
    if alarm is None:
        raise not_found("alarm", str(alarm_id), "see GET /v1/checks")
    if alarm.acknowledged is not None:
        finding = Finding(
            "alarm", f"somebody did at {alarm.acknowledged:%Y-%m-%d %H:%M}", "nothing to do"
        )
        raise Refused("not-now", f"alarm {alarm_id} is acknowledged", (finding,))
    alarm.acknowledged = datetime.now(UTC)
    record(
        session,
        "alarm.acknowledged",
        ("alarm", str(alarm_id)),
        actor=actor,
        detail={"kind": alarm.kind},
    )
    return AlarmView.model_validate(alarm, from_attributes=True)


def _driven_pairs(session: Session) -> Iterable[DrivenPair]:
    """Pairs of recent runs by the metrics of their gates, each once, with who drove them."""
    runs = session.execute(
        select(
            RunRow,
            SuiteVersionRow.document["suite"]["gates"],
            SuiteVersionRow.document["metric_versions"],
        )
        .join(SuiteVersionRow, SuiteVersionRow.digest == RunRow.suite_digest)
        .where(
            RunRow.created > datetime.now(UTC) - LOOK_BACK,
            RunRow.status.in_((Status.RUNNING, Status.FINISHED)),
        )
        .order_by(RunRow.created)
    ).all()
    seen = set()
    for run, gates, versions in runs:
        for metric in dict.fromkeys(gate["metric"] for gate in gates):
            for ours, theirs, mine, other, value, against in _pairs(
                session, run.id, metric, versions[metric]
            ):
                if (ours, theirs, metric) in seen or value + against <= 0:
                    continue
                seen.add((ours, theirs, metric))
                change = 2 * sign_of(metric) * (value - against) / (value + against)
                yield DrivenPair(
                    f"{run.candidate[:12]} and {run.baseline[:12]}, {metric}",
                    change,
                    _host(mine),
                    _host(other),
                )


def _host(worker: str) -> str:
    """The worker of a process: a worker's processes come and go, its machine stays."""
    return worker.rpartition("/")[0] or worker


def _pairs(session: Session, run_id: str, metric: str, version: int) -> Iterable[Any]:
    ours, theirs = aliased(DemandRow), aliased(DemandRow)
    sides = aliased(RolloutRow), aliased(RolloutRow)
    results = aliased(ResultRow), aliased(ResultRow)
    query = select(
        ours.drive_key,
        theirs.drive_key,
        sides[0].worker,
        sides[1].worker,
        results[0].value,
        results[1].value,
    ).join(
        theirs,
        and_(
            theirs.owner_kind == ours.owner_kind,
            theirs.owner_id == ours.owner_id,
            theirs.position == ours.position,
            theirs.role == Role.BASELINE,
        ),
    )
    for demand, side, result in zip((ours, theirs), sides, results, strict=True):
        query = query.join(side, side.drive_key == demand.drive_key).join(
            result,
            and_(
                result.drive_key == side.drive_key,
                result.metric == metric,
                result.version == version,
                result.valid,
            ),
        )
    return session.execute(
        query.where(
            ours.owner_kind == OwnerKind.RUN,
            ours.owner_id == run_id,
            ours.role == Role.CANDIDATE,
            *(side.outcome == Outcome.COMPLETED for side in sides),
        ).order_by(ours.position)
    )


def ask_probes(session: Session, count: int) -> tuple[list[ProbeView], dict[str, list[int]]]:
    """Choose stored rollouts at random, of simulators at their current version, to be driven again.

    The probes, and their numbers by the device that must drive them. Raises Refused (409) where nothing is stored."""
    device, version = (
        DriveKeyRow.execution["device"].astext,
        DriveKeyRow.key["simulator"]["version"].as_string(),
    )
    name = DriveKeyRow.key["simulator"]["name"].as_string()
    chosen = session.execute(
        select(RolloutRow.drive_key, device)
        .join(DriveKeyRow, DriveKeyRow.digest == RolloutRow.drive_key)
        .where(
            RolloutRow.outcome.in_(REPEATABLE),
            func.concat(name, " ", version).in_(f"{n} {v}" for n, v in SIMULATORS.items()),
        )
        .order_by(func.random())
        .limit(count)
    ).all()
    if not chosen:
        finding = Finding(
            "rollouts",
            "none is stored at the current version of its simulator",
            "submit a run first",
        )
        raise Refused("not-now", "there is nothing to drive again", (finding,))
    probes = [ProbeRow(drive_key=key) for key, _ in chosen]
    session.add_all(probes)
    session.flush()
    by_device: dict[str, list[int]] = {}
    for probe, (_, where) in zip(probes, chosen, strict=True):
        session.refresh(probe)
        by_device.setdefault(where, []).append(probe.id)
    return [ProbeView.model_validate(probe, from_attributes=True) for probe in probes], by_device


def read_probes(session: Session, numbers: list[int]) -> list[ProbeView]:
    """The probes with these numbers, in order."""
    rows = session.scalars(select(ProbeRow).where(ProbeRow.id.in_(numbers)).order_by(ProbeRow.id))
    return [ProbeView.model_validate(row, from_attributes=True) for row in rows]
