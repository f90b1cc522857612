"""The coordinator: `python -m server.coordinator`.

    every tick:  take lost shards back
                 each open run:  judge its new results in order ── decided ── stop the rest
                                      └── open ── form shards for the next positions
                 expired waivers, proofs of drafts, other owners' shards
                 wake workers, start the checks of the night

One acts at a time: it holds an advisory lock on the very connection that it writes through, so that
losing the lock and losing the power to write are one event. Others stand by. Everything that it
keeps in memory is rebuilt from the database when it starts.
"""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime

import psycopg
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from server.broker import BROKER_ERRORS, CHANNEL, celery_app, remeasure, waiting, wake
from server.db.engine import make_engine
from server.db.run_tables import RunRow
from server.logs import configure_logs
from server.night_process import start as start_night
from server.services.audit import record
from server.services.failures.proof import advance_drafts
from server.services.failures.waivers import end_expired
from server.services.health.nightly import claim_night, cut_short
from server.services.queue import demands, shards
from server.services.queue.demands import run_owner
from server.services.runs.judge import RunEvidence, UndecidableError
from server.services.runs.run_views import withdrawal
from server.settings import Settings, get_settings
from server.storage import BlobStore
from suites.errors import error_text
from suites.judgement import document
from suites.simulators import SIMULATORS
from suites.vocabulary import UNDERWAY, RunVerdict, Status

log = logging.getLogger(__name__)

LOCK = 0x7EC0_0002
"""Advisory lock of the coordinator that acts."""

BUSY_S = 1.0
"""Longest wait for a notification while there is work: leases end without one."""
IDLE_S = 30.0
"""The same while there is none."""
STANDBY_S = 1.0
"""The wait for the lock."""

GATHER_S = 0.02
"""After a notification: results that arrive together are consumed together."""

RUNS_AT_ONCE = 16
"""Runs that shards are formed for; the others wait for their turn by priority and age."""

EVERYTHING = 1 << 30
"""A position behind the last of any owner."""

LOWEST = 9
"""Priority of what is driven after the decision."""

REMEASURE_KEYS = 64
"""Rollouts that one task measures again."""
REMEASURE_AGAIN_S = 60.0
"""When a request that brought nothing is repeated."""


class Coordinator:
    """Acts on one connection, which holds the lock."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.session = Session(connection)
        self.settings = settings
        self._now = now
        self._night: tuple[date, subprocess.Popen[bytes]] | None = None
        self._celery = celery_app(settings)
        self._blobs = BlobStore(settings.blobs)
        self._evidence: dict[str, RunEvidence] = {}
        self._asked: dict[tuple[str, str], float] = {}
        self._broker_was_away = False

    def tick(self) -> bool:
        """Everything that there is to do now; whether something remains to be waited for."""
        session = self.session
        with session.begin():
            shards.take_back(session, self.settings)
            shards.drop_unwanted(session)
            slots = shards.places(session, self.settings.lease_s)
            open_runs = session.scalars(
                select(RunRow.id)
                .where(RunRow.status.in_(UNDERWAY))
                .order_by(RunRow.priority, RunRow.created, RunRow.id)
                .limit(RUNS_AT_ONCE)
            ).all()
        for run_id in open_runs:
            self._advance(run_id, max(sum(slots.values()), 1))
        self._evidence = {run: seen for run, seen in self._evidence.items() if run in open_runs}
        with session.begin():
            end_expired(session)
            drafts = advance_drafts(session, self._blobs)
            for owner in demands.waiting_owners(session):  # they want all that they demand
                size = self.settings.shard_rollouts
                shards.form_shards(session, owner, (0, EVERYTHING), size, LOWEST)
            queued = shards.claimable(session)
            busy = shards.open_shards(session) > 0
        self._wake_workers(queued, slots)
        self._check_at_night()
        return busy or bool(open_runs) or drafts > 0

    @contextmanager
    def _locked(self, run_id: str) -> Iterator[RunRow]:
        """The run as it is now, in a transaction that holds its row."""
        with self.session.begin():
            yield self.session.get_one(RunRow, run_id, with_for_update=True, populate_existing=True)

    def _advance(self, run_id: str, slots: int) -> None:
        """One run: consume, decide, stop or go on. An error of one never holds the others up."""
        try:
            with self._locked(run_id) as run:
                if run.status in UNDERWAY:
                    self._judge(run)
                if run.status in UNDERWAY:
                    self._drive(run, slots)
        except OperationalError:
            raise
        except Exception as error:
            log.exception("run %s can't be judged", run_id)
            self._evidence.pop(run_id, None)
            told = str(error) if isinstance(error, UndecidableError) else error_text(error)
            with self._locked(run_id) as run:
                self._end_in_error(run, told)

    def _judge(self, run: RunRow) -> None:
        session = self.session
        owner = run_owner(run.id)
        if run.status is Status.QUEUED:
            run.status = Status.RUNNING
            run.started = datetime.now(UTC)
        evidence = self._evidence.get(run.id)
        rebuilt = evidence is None
        if evidence is None:
            evidence = self._evidence[run.id] = RunEvidence(session, run)
        news = evidence.consume(session) or rebuilt
        if news and run.verdict is None:
            self._tell(run, evidence)
        if run.verdict is not None:
            while run.drive_all and evidence.consume(session, beyond=True):
                news = True
            if news:
                self._review(run, evidence)
        if news and (evidence.broken or (evidence.gates_decided and not run.drive_all)):
            demands.withdraw(session, owner, mandatory_too=evidence.broken)
        self._measure_again(evidence)
        lost = demands.given_up(session, owner)
        if run.verdict is None:
            if lost is not None:
                self._end_in_error(run, f"{lost[0]} could not be driven (infra_failed): {lost[1]}")
            return
        judged = lost is not None or evidence.settled(whole=run.drive_all)
        if judged and demands.count_missing(session, owner) == 0:
            run.status = Status.FINISHED
            run.finished = datetime.now(UTC)

    def _tell(self, run: RunRow, evidence: RunEvidence) -> None:
        """Write down what the run has shown, and its verdict once there is one."""
        verdict = evidence.verdict()
        run.verdict_document = document(verdict)
        run.pairs_consumed = evidence.counted
        run.sentence = verdict.sentence
        if verdict.verdict is None:
            return
        run.verdict = verdict.verdict
        run.decided = datetime.now(UTC)
        counts = run.pairs_consumed, run.planned
        detail = {"verdict": run.verdict, "pairs": counts[0], "of": counts[1]}
        record(self.session, "run.decided", ("run", run.id), detail=detail)
        log.info("run %s: %s after %d of %d pairs", run.id, run.verdict, *counts)

    def _review(self, run: RunRow, evidence: RunEvidence) -> None:
        """After the decision: a pass is confirmed or withdrawn by what came since; no other word
        changes, and no exit code that was given."""
        verdict = evidence.verdict()
        passed = run.verdict is RunVerdict.PASS
        if (passed or run.withdrawn_at) and (verdict.withdrawn or verdict.complete):
            word = verdict.verdict or RunVerdict.INCONCLUSIVE
            why = verdict.withdrawn or withdrawal(run) or "the whole set does not bear it out"
            if word is not RunVerdict.PASS:
                verdict = replace(verdict, withdrawn=why)
            if passed and word is not RunVerdict.PASS:
                run.withdrawn_at = datetime.now(UTC)
                detail = {"verdict": word, "reason": why}
                record(self.session, "run.withdrawn", ("run", run.id), detail=detail)
                log.info("run %s: its pass is withdrawn: %s", run.id, why)
            run.verdict = word
            run.sentence = verdict.sentence
            run.pairs_consumed = evidence.counted
        run.verdict_document = document(verdict)

    def _end_in_error(self, run: RunRow, reason: str) -> None:
        """The run has no verdict, or keeps the one that it has; what others wait for goes on."""
        if run.status not in UNDERWAY:
            return
        run.status = Status.ERRORED if run.verdict is None else Status.FINISHED
        run.error = reason
        run.finished = datetime.now(UTC)
        demands.withdraw(self.session, run_owner(run.id), mandatory_too=True)
        record(self.session, "run.errored", ("run", run.id), detail={"error": reason})

    def _drive(self, run: RunRow, slots: int) -> None:
        """Shards for a bounded look-ahead: enough for every worker, little to throw away.

        It ends at whole blocks of positions, so that every shard is full."""
        size = self.settings.shard_rollouts
        if SIMULATORS[run.simulator["name"]].light:
            size = self.settings.shard_rollouts_controls
        start = self._evidence[run.id].consumed
        stop = (start // size + 2 * slots + 1) * size
        priority = run.priority if run.verdict is None else LOWEST
        shards.form_shards(self.session, run_owner(run.id), (start, stop), size, priority)

    def _measure_again(self, evidence: RunEvidence) -> None:
        """Have results that the next pairs lack measured from stored traces; nothing is driven."""
        now = time.monotonic()
        for name, keys in evidence.unmeasured.items():
            due = [
                key
                for key in sorted(keys)
                if now - self._asked.get((key, name), -REMEASURE_AGAIN_S) >= REMEASURE_AGAIN_S
            ]
            condition = evidence.conditions.get(name)
            metrics = [name] if condition is None else []
            conditions = [] if condition is None else [condition]
            for first in range(0, len(due), REMEASURE_KEYS):
                part = due[first : first + REMEASURE_KEYS]
                try:
                    remeasure(self._celery, "cpu", part, metrics=metrics, conditions=conditions)
                except BROKER_ERRORS as error:
                    self._broker_away(error)
                    return
                self._asked |= {(key, name): now for key in part}

    def _check_at_night(self) -> None:
        """Have the standing checks made by a process of their own; nobody waits for it."""
        with self.session.begin():
            if self._night is not None and self._night[1].poll() is not None:
                night, process = self._night
                self._night = None
                if process.returncode:
                    status = f"its process ended with exit status {process.returncode}"
                    cut_short(self.session, night, status)
            if self._night is not None:
                return
            claimed = claim_night(self.session, self._now(), self.settings.nightly_hour)
        if claimed is not None:
            self._night = claimed, start_night(claimed)

    def _wake_workers(self, queued: dict[str, int], slots: dict[str, int]) -> None:
        """Keep twice as many wake-ups waiting as there are places, but no more than shards."""
        try:
            for device, count in queued.items():
                wanted = min(count, 2 * max(slots.get(device, 0), 1))
                wake(self._celery, device, max(0, wanted - waiting(self._celery, device)))
        except BROKER_ERRORS as error:
            self._broker_away(error)
            return
        self._broker_was_away = False

    def _broker_away(self, error: Exception) -> None:
        if not self._broker_was_away:
            log.warning("the broker is away, shards wait in the database: %s", error)
        self._broker_was_away = True


def serve(settings: Settings) -> None:
    """Stand by for the lock, then act, for ever. A lost connection means standing by again."""
    engine = make_engine(settings.sqlalchemy_url, pool_size=1)
    try:
        while True:
            try:
                with engine.connect() as connection:
                    _act(connection, settings)
            except (OperationalError, psycopg.OperationalError) as error:
                log.warning("the database went away: %s", error)
                time.sleep(STANDBY_S)
    finally:
        engine.dispose()


def _act(connection: Connection, settings: Settings) -> None:
    while not connection.scalar(select(func.pg_try_advisory_lock(LOCK))):
        connection.commit()
        time.sleep(STANDBY_S)
    connection.exec_driver_sql(f"LISTEN {CHANNEL}")
    connection.commit()
    log.info("coordinating")
    coordinator = Coordinator(connection, settings)
    while True:
        _wait(connection, BUSY_S if coordinator.tick() else IDLE_S)


def _wait(connection: Connection, timeout_s: float) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    for _ in driver.notifies(timeout=timeout_s, stop_after=1):
        time.sleep(GATHER_S)


def main() -> None:
    """Run until SIGTERM; an open transaction is rolled back by the database."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = get_settings()
    configure_logs(settings)
    serve(settings)


if __name__ == "__main__":
    main()
