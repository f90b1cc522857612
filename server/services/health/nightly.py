"""The night: the standing checks of the service, made by themselves once a day, whoever coordinates."""

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
from server.services.health.checks import NightReport, ask_probes, check_workers, store_self_check
from server.services.runs.judge import RunEvidence, UndecidableError
from suites.errors import RedriveError, error_text
from suites.verdict.planted_effects import self_check
from suites.vocabulary import Status

CATCH_UP = timedelta(hours=3)
"""A coordinator that was away at the hour makes the checks up to so much later; after that the next night is soon enough."""
SUITES, SIMULATED, PROBES = 3, 200, 20
"""Suites whose newest run is checked; simulated runs of each kind; stored rollouts that are driven again."""
LOOK_BACK = 200
"""Newest finished runs among which the suites are looked for."""


def claim_night(session: Session, now: datetime, hour: int) -> date | None:
    """The night (a UTC day) whose checks the caller has to make; None: it is not the time (`hour` below 0: never), or they
    were begun already, by this or by another coordinator."""
    since = now.astimezone(UTC) - timedelta(hours=hour)
    if hour < 0 or since - since.replace(hour=0, minute=0, second=0, microsecond=0) >= CATCH_UP:
        return None
    begun = (
        insert(NightRow)
        .values(night=since.date(), started=now)
        .on_conflict_do_nothing()
        .returning(NightRow.night)
    )
    return session.scalar(begun)


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
    """Self-checks on the newest run of some suites, the workers' residuals, and probes: `shard` of them to a message, driven
    when workers have nothing better to do. Short transactions: nothing is locked while it computes."""
    report = NightReport()
    with sessions() as session:
        chosen = _newest_runs(session)
    for run_id in chosen:
        try:
            with sessions() as session:
                evidence = RunEvidence(session, session.get_one(RunRow, run_id))
                table = evidence.table(session)
            checked = self_check(
                table, evidence.version.suite, runs=simulated, seed=night.toordinal()
            )
        except (RedriveError, UndecidableError) as error:
            report.left_out[run_id] = (
                str(error) if isinstance(error, UndecidableError) else error_text(error)
            )
            continue
        with sessions.begin() as session:
            kept = store_self_check(session, run_id, checked)
        report.self_checks.append(kept.id)
        report.faults += [f"run {run_id}: {fault}" for fault in kept.faults]
    with sessions.begin() as session:
        report.workers = check_workers(session)
    report.faults += sorted(
        {f"worker {view.worker} differs from the others" for view in report.workers if view.bad}
    )
    report.probes = _probe(sessions, celery, shard)
    with sessions.begin() as session:
        row = session.get_one(NightRow, night)
        row.finished, row.report = datetime.now(UTC), report.model_dump()
    return report


def _newest_runs(session: Session) -> list[str]:
    """The newest finished run of each suite that has gates, of two distinct models."""
    query = (
        select(RunRow.id, SuiteVersionRow.suite, SuiteVersionRow.document["suite"]["gates"])
        .join(SuiteVersionRow, SuiteVersionRow.digest == RunRow.suite_digest)
        .where(RunRow.status == Status.FINISHED, RunRow.candidate != RunRow.baseline)
        .order_by(RunRow.created.desc())
        .limit(LOOK_BACK)
    )
    newest: dict[str, str] = {}
    for run_id, suite, gates in session.execute(query):
        if gates:
            newest.setdefault(suite, run_id)
    return list(newest.values())[:SUITES]


def _probe(sessions: sessionmaker[Session], celery: Celery, shard: int) -> list[int]:
    try:
        with sessions.begin() as session:
            views, by_device = ask_probes(session, PROBES)
    except Refused:
        return []  # nothing is stored yet
    probe(celery, by_device, shard)
    return [view.id for view in views]
