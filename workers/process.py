"""What one process of a worker holds: settings, database, blobs, and models that stay open."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from server.settings import Settings
from server.storage import BlobStore
from workers.policy.sandbox.kept import KeptPolicies

log = logging.getLogger(__name__)

TRIES = 6
PAUSE_S = 0.2
"""A transaction that the database cut is repeated. The pauses double: about 6 s in all."""

P = ParamSpec("P")
T = TypeVar("T")


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

    def write(
        self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`work(session, ...)` in a transaction, again where it was cut: all work is idempotent."""
        for attempt in range(TRIES):
            try:
                with self.sessions.begin() as session:
                    return work(session, *args, **kwargs)
            except OperationalError as error:
                if attempt == TRIES - 1:
                    raise
                log.warning("the database went away: %s", error)
                time.sleep(PAUSE_S * 2**attempt)
        raise AssertionError("unreachable")


class _Here:
    """This process, set when it starts: tasks have no other way to be handed anything."""

    process: Process | None = None


def this_process() -> Process:
    """What tasks of this process work with."""
    if _Here.process is None:
        raise RuntimeError("tasks run in the processes of a worker")
    return _Here.process


def begin(process: Process) -> None:
    """This process has started: its tasks work with these."""
    _Here.process = process
