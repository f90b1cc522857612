"""The Celery app of a worker, and the heartbeat of its parent process.

The parent prolongs its children's leases. A child that computes can't; a killed one must not.
"""

import logging
import os
import signal
import socket
import threading
import warnings
from typing import Any

import psutil
from celery import Celery, signals
from celery.exceptions import SecurityWarning
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from server.broker import BROKER_ERRORS, celery_app, queue_name, waiting
from server.db.engine import make_engine, make_sessions
from server.settings import Settings
from server.storage import BlobStore
from workers.leases import WorkerName, depart, heartbeat
from workers.policy.runtimes.available import offered
from workers.process import Process, begin
from workers.tasks.register import register

log = logging.getLogger(__name__)

IDLE_BEATS = 6
"""Heartbeats without work while shards and messages wait: the worker has lost its broker."""


class Heartbeat(threading.Thread):
    """Says every third of a lease, from the worker's parent process, which of its children live."""

    def __init__(self, worker: WorkerName, settings: Settings, celery: Celery) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._celery = celery
        self._worker = worker
        self._lease_s = settings.lease_s
        # no pool: a connection for each beat survives every cut, and no fork inherits it
        patience = {"connect_timeout": 5}
        engine = create_engine(settings.sqlalchemy_url, poolclass=NullPool, connect_args=patience)
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
        """One heartbeat; whether this worker starves. An absent database is tried again later."""
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
    children = psutil.Process().children()
    return {child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE}


def run_worker(settings: Settings, *, name: str, device: str, concurrency: int) -> int:
    """Serve until stopped; returns the exit status. SIGTERM frees what it held at once."""
    # numba is loaded once here and shared by every fork
    import workers.simulation.views.reprojection  # noqa: F401

    if settings.log_level != "debug":  # two lines for every message say nothing
        logging.getLogger("celery").setLevel(logging.WARNING)
    worker = WorkerName(name, socket.gethostname(), device, concurrency, offered())
    app: Celery = celery_app(settings)
    register(app)
    beat = Heartbeat(worker, settings, app)

    def start_process(**_: Any) -> None:
        sessions = make_sessions(make_engine(settings.sqlalchemy_url, pool_size=1))
        blobs = BlobStore(settings.blobs)
        begin(Process(worker.child(os.getpid()), worker.runtimes, settings, sessions, blobs))

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
            hostname=f"{name}@{worker.host}",
            pool="prefork",
            concurrency=concurrency,
            queues=[queue_name(device)],
            loglevel=settings.log_level.upper(),
            quiet=True,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
    try:
        serving.start()
    finally:
        if beat.is_alive():
            beat.stop()
    return int(serving.exitcode or 0)
