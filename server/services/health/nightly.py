"""The night: the standing checks of the service, made once a day, whoever coordinates."""

from datetime import UTC, date, datetime, timedelta

from celery import Celery
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, sessionmaker

from server.broker import probe
from server.db.bank_tables import SuiteVersionRow
from server.db.health_tables import NightRow
from server.db.run_tables import RunRow
from server.problems import Refused
from server.services.health.checks import NightReport, store_self_check
from server.services.health.night_choice import LOOK_BACK, PROBES, FinishedRun, newest_of_suites
from server.services.health.probes import ask_probes
from server.services.health.worker_checks import check_workers
from server.services.runs.judge import RunEvidence, UndecidableError
from suites.errors import RedriveError, error_text
from suites.verdict.planted_effects import SelfCheck, self_check
from suites.vocabulary import Status

CATCH_UP = timedelta(hours=3)
"""How long after the hour a coordinator that was away still makes the checks of that night."""
SIMULATED = 200
"""Simulated runs of each kind in a self-check."""


def claim_night(session: Session, now: datetime, hour: int) -> date | None:
    """The night (a UTC day) whose checks the caller has to make. None: it is not the time (`hour`
    below 0: never), or a coordinator has begun them already."""
    since = now.astimezone(UTC) - timedelta(hours=hour)
    if hour < 0 or since - since.replace(hour=0, minute=0, second=0, microsecond=0) >= CATCH_UP:
        return None
    begun = insert(NightRow).values(night=since.date(), started=now).on_conflict_do_nothing()
    return session.scalar(begun.returning(NightRow.night))


def cut_short(session: Session, night: date, error: str) -> None:
    """Say why a night's checks ended early, unless they said so themselves or finished."""
    open_night = update(NightRow).where(
        NightRow.night == night, NightRow.finished.is_(None), NightRow.error == ""
    )
    session.execute(open_night.values(error=error))


def make_checks(
    sessions: sessionmaker[Session],
    celery: Celery,
    night: date,
    *,
    shard: int,
    simulated: int = SIMULATED,
) -> NightReport:
    """Self-checks on the newest run of some suites, the workers' residuals, and probes. `shard`
    probes go into one message; they are driven when workers have nothing better to do. The
    transactions are short: nothing is locked while it computes."""
    report = NightReport()
    with sessions() as session:
        chosen = _newest_runs(session)
    for run_id in chosen:
        try:
            checked = _self_check(sessions, run_id, simulated, night.toordinal())
        except UndecidableError as error:
            report.left_out[run_id] = str(error)
            continue
        except RedriveError as error:
            report.left_out[run_id] = error_text(error)
            continue
        with sessions.begin() as session:
            kept = store_self_check(session, run_id, checked)
        report.self_checks.append(kept.id)
        report.faults += [f"run {run_id}: {fault}" for fault in kept.faults]
    with sessions.begin() as session:
        report.workers = check_workers(session)
    bad = sorted({view.worker for view in report.workers if view.bad})
    report.faults += [f"worker {worker} differs from the others" for worker in bad]
    report.probes = _probe(sessions, celery, shard)
    with sessions.begin() as session:
        row = session.get_one(NightRow, night)
        row.finished = datetime.now(UTC)
        row.report = report.model_dump()
    return report


def _newest_runs(session: Session) -> list[str]:
    """Ids of the runs to check; suites without gates have nothing to check."""
    version = SuiteVersionRow
    gates_of = version.document["suite"]["gates"]
    rows = session.execute(
        select(RunRow.id, version.suite, RunRow.candidate, RunRow.baseline, gates_of)
        .join(version, version.digest == RunRow.suite_digest)
        .where(RunRow.status == Status.FINISHED)
        .order_by(RunRow.created.desc())
        .limit(LOOK_BACK)
    )
    return newest_of_suites(FinishedRun(*run) for *run, gates in rows if gates)


def _self_check(
    sessions: sessionmaker[Session], run_id: str, simulated: int, seed: int
) -> SelfCheck:
    with sessions() as session:
        evidence = RunEvidence(session, session.get_one(RunRow, run_id))
        table = evidence.table(session)
    slices = evidence.judge.plan.slices
    return self_check(table, evidence.version.suite, runs=simulated, seed=seed, slices=slices)


def _probe(sessions: sessionmaker[Session], celery: Celery, shard: int) -> list[int]:
    try:
        with sessions.begin() as session:
            views, by_device = ask_probes(session, PROBES)
    except Refused:
        return []  # nothing is stored yet
    probe(celery, by_device, shard)
    return [view.id for view in views]
