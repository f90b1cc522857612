"""Standing checks of the service itself: what is kept of them, what is shown, alarms."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.db.health_tables import AlarmRow, NightRow, ProbeRow, SelfCheckRow
from server.problems import Refused, not_found
from server.services.audit import record
from server.services.health.probes import ProbeView
from server.services.health.worker_checks import WorkerView
from server.services.runs.run_views import find_run
from suites.errors import Finding
from suites.verdict.planted_effects import SelfCheck

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
    """Numbers of the rollouts that are driven again. They are counted with all others then."""
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
    faults = list(report.faults)
    suite = run.suite_digest
    row = SelfCheckRow(run_id=run.id, suite_digest=suite, report=asdict(report), faults=faults)
    session.add(row)
    if faults:
        session.add(AlarmRow(kind="self_check", detail={"run": run.id, "faults": faults}))
    record(session, "run.self_checked", ("run", run.id), detail={"faults": faults})
    session.flush()
    session.refresh(row)
    return SelfCheckView.model_validate(row, from_attributes=True)


def read_checks(session: Session) -> ChecksView:
    """The newest of each kind, probes by how they ended, alarms that are open."""
    probe = ProbeRow
    equal, unequal, waiting, total = session.execute(
        select(
            func.count().filter(probe.equal.is_(True)),
            func.count().filter(probe.equal.is_(False)),
            func.count().filter(probe.driven.is_(None)),
            func.count(),
        ).select_from(probe)
    ).one()
    counts = {"equal": equal, "unequal": unequal, "waiting": waiting}
    alarms = select(AlarmRow).where(AlarmRow.acknowledged.is_(None)).order_by(AlarmRow.id.desc())
    newest = {
        "nights": select(NightRow).order_by(NightRow.night.desc()),
        "self_checks": select(SelfCheckRow).order_by(SelfCheckRow.id.desc()),
        "recent_probes": select(probe).order_by(probe.id.desc()),
        "alarms": alarms,
    }
    shown: dict[str, Any] = {
        name: session.scalars(query.limit(SHOWN)).all() for name, query in newest.items()
    }
    shown["probes"] = counts | {"failed": total - sum(counts.values())}
    return ChecksView.model_validate(shown, from_attributes=True)


def acknowledge(session: Session, alarm_id: int, *, actor: str) -> AlarmView:
    """Somebody has looked at it: it is no longer shown as open. Raises Refused (404, 409)."""
    alarm = session.get(AlarmRow, alarm_id, with_for_update=True)
    if alarm is None:
        raise not_found("alarm", str(alarm_id), "see GET /v1/checks")
    if alarm.acknowledged is not None:
        problem = f"somebody did at {alarm.acknowledged:%Y-%m-%d %H:%M}"
        finding = Finding("alarm", problem, "nothing to do")
        raise Refused("not-now", f"alarm {alarm_id} is acknowledged", finding)
    alarm.acknowledged = datetime.now(UTC)
    subject = ("alarm", str(alarm_id))
    record(session, "alarm.acknowledged", subject, actor=actor, detail={"kind": alarm.kind})
    return AlarmView.model_validate(alarm, from_attributes=True)
