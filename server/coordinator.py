"""The coordinator: forms shards in each run's order, wakes workers, consumes results in order, decides, stops the rest.

`python -m server.coordinator`. One acts at a time: it holds an advisory lock on the very connection that it writes
through, so that losing the lock and losing the power to write are one event. Others stand by. Everything that it keeps in
memory is rebuilt from the database when it starts.
"""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime

import psycopg
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from server.broker import BROKER_ERRORS, CHANNEL, celery_app, remeasure, waiting, wake
from server.db.base import OwnerKind
from server.db.engine import make_engine
from server.db.run_tables import RunRow
from server.logs import configure_logs
from server.night_process import start as start_night
from server.services.audit import record
from server.services.failures.proof import advance_drafts
from server.services.failures.waivers import end_expired
from server.services.health.nightly import claim_night, cut_short
from server.services.queue.demands import (
    DemandOwner,
    count_missing,
    given_up,
    waiting_owners,
    withdraw,
)
from server.services.queue.shards import (
    claimable,
    drop_unwanted,
    form_shards,
    open_shards,
    places,
    take_back,
)
from server.services.runs.judge import RunEvidence, UndecidableError, document
from server.settings import Settings, get_settings
from server.storage import BlobStore
from suites.errors import error_text
from suites.vocabulary import STATUS_TRANSITIONS, RunVerdict, Status

log = logging.getLogger(__name__)

LOCK = 0x7EC0_0002
"""Advisory lock of the coordinator that acts."""

BUSY_S, IDLE_S, STANDBY_S = 1.0, 30.0, 1.0
"""Longest wait for a notification while there is work (leases end without one), while there is none, and for the lock."""

GATHER_S = 0.02
"""After a notification: results that arrive together are consumed together."""

RUNS_AT_ONCE = 16
"""Runs that shards are formed for; the others wait for their turn by priority and age."""

EVERYTHING = 1 << 30
"""A position behind the last of any owner."""

LOWEST = 9
"""Priority of what is driven after the decision."""

REMEASURE_KEYS, REMEASURE_AGAIN_S = 64, 60.0
"""Rollouts that one task measures again; when a request that brought nothing is repeated."""


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
            take_back(session, self.settings)
            drop_unwanted(session)
            slots = sum(places(session, self.settings.lease_s).values())
            open_runs = session.scalars(
                select(RunRow.id)
                .where(RunRow.status.in_((Status.QUEUED, Status.RUNNING)))
                .order_by(RunRow.priority, RunRow.created, RunRow.id)
                .limit(RUNS_AT_ONCE)
            ).all()
        for run_id in open_runs:
            self._advance(run_id, max(slots, 1))
        self._forget(open_runs)
        with session.begin():
            end_expired(session)
            drafts = advance_drafts(session, self._blobs)
            self._serve_others()
            queued, slots_of = claimable(session), places(session, self.settings.lease_s)
            busy = open_shards(session) > 0
        self._wake_workers(queued, slots_of)
        self._check_at_night()
        return busy or bool(open_runs) or drafts > 0

    def _advance(self, run_id: str, slots: int) -> None:
        """One run: consume, decide, stop or go on. What goes wrong with one run never holds the others up."""
        try:
            with self.session.begin():
                run = self.session.get_one(
                    RunRow, run_id, with_for_update=True, populate_existing=True
                )
                if STATUS_TRANSITIONS[run.status]:
                    self._judge(run)
                if STATUS_TRANSITIONS[run.status]:
                    self._drive(run, slots)
        except OperationalError:
            raise
        except Exception as error:
            log.exception("run %s can't be judged", run_id)
            self._evidence.pop(run_id, None)
            with self.session.begin():
                run = self.session.get_one(
                    RunRow, run_id, with_for_update=True, populate_existing=True
                )
                self._end_in_error(
                    run, str(error) if isinstance(error, UndecidableError) else error_text(error)
                )

    def _judge(self, run: RunRow) -> None:
        session, owner = self.session, DemandOwner(OwnerKind.RUN, run.id)
        if run.status is Status.QUEUED:
            run.status, run.started = Status.RUNNING, datetime.now(UTC)
        evidence = self._evidence.get(run.id)
        rebuilt = evidence is None
        if evidence is None:
            evidence = self._evidence[run.id] = RunEvidence(session, run)
        if evidence.consume(session, beyond=run.drive_all) or rebuilt:
            verdict = evidence.verdict()
            run.verdict_document = document(verdict)
            if run.verdict is None:
                run.pairs_consumed, run.sentence = evidence.counted, verdict.sentence
                if verdict.verdict is not None:
                    self._decide(run, verdict.verdict)
            if evidence.broken or (evidence.gates_decided and not run.drive_all):
                withdraw(session, owner, mandatory_too=evidence.broken)
        self._measure_again(evidence)
        lost = given_up(session, owner) if run.verdict is None else None
        if lost is not None:
            self._end_in_error(run, f"{lost[0]} could not be driven (infra_failed): {lost[1]}")
        elif run.verdict is not None and count_missing(session, owner) == 0:
            run.status, run.finished = Status.FINISHED, datetime.now(UTC)

    def _decide(self, run: RunRow, verdict: RunVerdict) -> None:
        run.verdict, run.decided = verdict, datetime.now(UTC)
        detail = {"verdict": verdict, "pairs": run.pairs_consumed, "of": run.planned}
        record(self.session, "run.decided", ("run", run.id), detail=detail)
        log.info(
            "run %s: %s after %d of %d pairs", run.id, verdict, run.pairs_consumed, run.planned
        )

    def _end_in_error(self, run: RunRow, reason: str) -> None:
        """The run has no verdict; what others wait for goes on."""
        if not STATUS_TRANSITIONS[run.status]:
            return
        run.status, run.verdict, run.error, run.finished = (
            Status.ERRORED,
            None,
            reason,
            datetime.now(UTC),
        )
        withdraw(self.session, DemandOwner(OwnerKind.RUN, run.id), mandatory_too=True)
        record(self.session, "run.errored", ("run", run.id), detail={"error": reason})

    def _drive(self, run: RunRow, slots: int) -> None:
        """Shards for a bounded look-ahead, in whole blocks of positions: enough for every worker, little to throw away."""
        size = self._shard_size(run.simulator["name"])
        start = self._evidence[run.id].consumed
        stop = (start // size + 2 * slots + 1) * size
        priority = run.priority if run.verdict is None else LOWEST
        form_shards(self.session, DemandOwner(OwnerKind.RUN, run.id), (start, stop), size, priority)

    def _serve_others(self) -> None:
        """Proofs and searches want all that they demand, in their order."""
        for owner in waiting_owners(self.session):
            form_shards(self.session, owner, (0, EVERYTHING), self.settings.shard_rollouts, LOWEST)

    def _shard_size(self, simulator: str) -> int:
        return (
            self.settings.shard_rollouts_controls
            if simulator == "tinyphysics"
            else self.settings.shard_rollouts
        )

    def _measure_again(self, evidence: RunEvidence) -> None:
        """Results that the next pairs lack are measured from stored traces; nothing is driven for them."""
        now = time.monotonic()
        for name, keys in evidence.unmeasured.items():
            due = [
                key
                for key in sorted(keys)
                if now - self._asked.get((key, name), -REMEASURE_AGAIN_S) >= REMEASURE_AGAIN_S
            ]
            for first in range(0, len(due), REMEASURE_KEYS):
                part = due[first : first + REMEASURE_KEYS]
                condition = evidence.conditions.get(name)
                try:
                    if condition is None:
                        remeasure(self._celery, "cpu", part, metrics=[name])
                    else:
                        remeasure(self._celery, "cpu", part, conditions=[condition])
                except BROKER_ERRORS as error:
                    self._broker_away(error)
                    return
                self._asked |= {(key, name): now for key in part}

    def _check_at_night(self) -> None:
        """Have the standing checks made by a process of their own; nobody waits for it."""
        if self._night is not None and self._night[1].poll() is not None:
            night, process = self._night
            self._night = None
            if process.returncode:
                with self.session.begin():
                    cut_short(
                        self.session,
                        night,
                        f"its process ended with exit status {process.returncode}",
                    )
        if self._night is None:
            with self.session.begin():
                claimed = claim_night(self.session, self._now(), self.settings.nightly_hour)
            if claimed is not None:
                self._night = claimed, start_night(claimed)

    def _wake_workers(self, queued: dict[str, int], slots: dict[str, int]) -> None:
        """Keep about twice as many wake-ups waiting as there are places, and never more than there are shards."""
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

    def _forget(self, open_runs: Collection[str]) -> None:
        self._evidence = {
            run_id: evidence for run_id, evidence in self._evidence.items() if run_id in open_runs
        }


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
