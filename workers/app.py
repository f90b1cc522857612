"""The Celery app of a worker: what each of its processes holds, and the parent's heartbeat.

The parent prolongs its children's leases: a child that computes can't, and one that is killed must not.
"""

import logging
import os
import signal
import socket
import threading
import warnings
from dataclasses import dataclass, field
from typing import Any

import psutil
from celery import Celery, signals
from celery.exceptions import SecurityWarning
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from server.db.engine import make_engine, make_sessions
from server.queue import BROKER_ERRORS, celery_app, queue_name, waiting
from server.settings import Settings
from server.storage import BlobStore
from workers.policy.kept import KeptPolicies
from workers.policy.runtimes import offered
from workers.results import WorkerName, depart, heartbeat

log = logging.getLogger(__name__)

IDLE_BEATS = 6
"""A worker that is idle for so many heartbeats while shards and messages wait has lost its broker without knowing."""


@dataclass(frozen=True, slots=True)
class Process:
    """What one process of a worker drives with."""

    worker: str
    runtimes: dict[str, str]
    settings: Settings
    sessions: sessionmaker[Session]
    blobs: BlobStore
    kept: KeptPolicies = field(default_factory=KeptPolicies)
    """Models that are ready for its next shard."""


class _Here:
    """This process, set when it starts; tasks have no other way to be handed anything."""

    process: Process | None = None


def this_process() -> Process:
    """What tasks of this process work with."""
    if _Here.process is None:
        raise RuntimeError("tasks run in the processes of a worker")
    return _Here.process


class Heartbeat(threading.Thread):
    """Says every third of a lease, from the worker's parent process, which of its children live."""

    def __init__(self, worker: WorkerName, settings: Settings, celery: Celery) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._celery = celery
        self._worker = worker
        self._lease_s = settings.lease_s
        # no pool: a connection of its own for each beat survives every cut, and is never inherited by a fork
        engine = create_engine(settings.sqlalchemy_url, poolclass=NullPool, connect_args={"connect_timeout": 5})
        self._sessions = make_sessions(engine)
        self._stopped = threading.Event()

    def run(self) -> None:
        idle = 0
        while idle < IDLE_BEATS:
            idle = idle + 1 if self.beat() and self._messages_wait() else 0
            if self._stopped.wait(self._lease_s / 3):
                return
        # seen after broker outages: a consumer that no longer consumes. A fresh worker does.
        log.error("messages wait and none comes: this worker ends, to be started again")
        os.kill(os.getpid(), signal.SIGTERM)

    def beat(self) -> bool:
        """One heartbeat; a database that is away is tried again at the next one. Whether this worker starves."""
        try:
            with self._sessions.begin() as session:
                return heartbeat(session, self._worker, self._lease_s, _living_children)
        except SQLAlchemyError as error:
            log.warning("heartbeat failed: %s", error)
            return False

    def _messages_wait(self) -> bool:
        try:
            return waiting(self._celery, self._worker.device) > 0
        except BROKER_ERRORS:
            return False

    def stop(self) -> None:
        """End it, and hand back what this worker holds."""
        self._stopped.set()
        self.join(timeout=self._lease_s)
        try:
            with self._sessions.begin() as session:
                depart(session, self._worker)
        except SQLAlchemyError as error:
            log.warning("leases run out by themselves: %s", error)


def _living_children() -> set[int]:
    return {child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE}


def run_worker(settings: Settings, *, name: str, device: str, concurrency: int) -> int:
    """Serve until stopped; returns the exit status. SIGTERM stops it at once: what it held is free for others."""
    import workers.simulation.reprojection  # noqa: F401  (numba: loaded once here, shared by every fork)
    from workers.tasks import register

    if settings.log_level != "debug":
        logging.getLogger("celery").setLevel(logging.WARNING)  # two lines for every message say nothing
    worker = WorkerName(
        name=name, host=socket.gethostname(), device=device, concurrency=concurrency, runtimes=offered()
    )  # fmt: skip
    app: Celery = celery_app(settings)
    register(app)
    beat = Heartbeat(worker, settings, app)

    def start_process(**_: Any) -> None:
        _Here.process = Process(
            worker=worker.child(os.getpid()), runtimes=worker.runtimes, settings=settings, blobs=BlobStore(settings.blobs),
            sessions=make_sessions(make_engine(settings.sqlalchemy_url, pool_size=1)),
        )  # fmt: skip

    def keep_logging(**_: Any) -> None:
        """Connected so that Celery leaves the logs as they are configured."""

    def start_beat(**_: Any) -> None:
        if not beat.is_alive():  # the consumer is ready again after every broken connection
            log.info("worker %s drives on %s in %d processes", name, device, concurrency)
            beat.start()

    signals.worker_process_init.connect(start_process, weak=False)
    signals.setup_logging.connect(keep_logging, weak=False)
    signals.worker_ready.connect(start_beat, weak=False)
    with warnings.catch_warnings():
        # root inside a container is no danger here: messages are JSON, and models run locked down
        warnings.simplefilter("ignore", SecurityWarning)
        serving = app.Worker(
            hostname=f"{name}@{worker.host}", pool="prefork", concurrency=concurrency, queues=[queue_name(device)],
            loglevel=settings.log_level.upper(), quiet=True, without_gossip=True, without_mingle=True, without_heartbeat=True,
        )  # fmt: skip
    try:
        serving.start()
    finally:
        if beat.is_alive():
            beat.stop()
    return int(serving.exitcode or 0)
