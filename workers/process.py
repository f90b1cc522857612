"""What one process of a worker holds; tasks have no other way to be handed anything."""

from dataclasses import dataclass, field

from sqlalchemy.orm import Session, sessionmaker

from server.settings import Settings
from server.storage import BlobStore
from workers.policy.sandbox.kept import KeptPolicies


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


def begin(process: Process) -> None:
    """This process has started: its tasks work with these."""
    _Here.process = process
