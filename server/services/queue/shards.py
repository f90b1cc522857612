"""The coordinator's side of the queue of record: form shards, take back what was lost, drop what nobody wants."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from server.db.queue_tables import DemandRow, DriveKeyRow, RolloutRow, ShardRow, WorkerRow
from server.services.queue.demands import DemandOwner, shards_in_window, waiting_keys
from server.settings import Settings
from suites.vocabulary import ShardStatus

OVERDUE = 1.2
"""A shard that is held so much longer than the limit is taken back, whatever its worker says."""

WHO_ACTS = {
    "submitter": "whoever submitted it has to correct it",
    "data": "the owner of the data has to import it again",
    "machine": "whoever runs the workers has to put that right; submitted again, it is tried again",
    "us": "a fault of ours: report it with the worker's log; submitted again, it is tried again",
}
"""What comes after an error, by who must act (Shard.error_owner)."""


def form_shards(
    session: Session, owner: DemandOwner, window: tuple[int, int], size: int, priority: int
) -> int:
    """Put the rollouts that nobody drives yet into shards of one group and at most `size` positions, both models of a
    position together: a segment is then decoded once for both. Returns how many shards. `window`: positions [start, stop)
    to look at. Keys that are in a shard already, for whatever owner, are shared; such a
    shard is served at the more urgent owner's priority."""
    groups: dict[str, dict[int, list[str]]] = {}
    executions: dict[str, dict[str, Any]] = {}
    for digest, group, execution, position in waiting_keys(session, owner, *window):
        if digest not in executions:
            executions[digest] = execution
            groups.setdefault(group, {}).setdefault(position, []).append(digest)
    formed = 0
    for group, positions in groups.items():
        pairs = list(positions.values())
        for first in range(0, len(pairs), size):
            part = [digest for pair in pairs[first : first + size] for digest in pair]
            _add(session, part, group, executions[part[0]], priority)
            formed += 1
    shared = shards_in_window(owner, *window)
    session.execute(
        update(ShardRow)
        .where(
            ShardRow.status == ShardStatus.QUEUED,
            ShardRow.priority > priority,
            ShardRow.id.in_(shared),
        )
        .values(priority=priority)
    )
    return formed


def take_back(session: Session, settings: Settings) -> int:
    """Decide on every shard whose lease has ended: done after all, again, split, or given up. Returns how many."""
    overdue = func.now() - timedelta(seconds=OVERDUE * settings.shard_limit_s + settings.lease_s)
    ended = session.scalars(
        select(ShardRow)
        .where(
            ShardRow.status == ShardStatus.LEASED,
            or_(ShardRow.lease_until <= func.now(), ShardRow.started <= overdue),
        )
        .with_for_update(skip_locked=True)
    ).all()
    for shard in ended:
        left = _undriven(session, shard)
        if shard.error is None:
            shard.error, shard.error_owner = "its worker was lost", "machine"
        if not left:
            _end(session, shard, ShardStatus.DONE)
        elif shard.error_owner == "submitter":
            _give_up(session, shard, left, f"{shard.error} ({WHO_ACTS['submitter']})")
        elif shard.attempt < settings.shard_attempts:
            shard.status, shard.lease_until = ShardStatus.QUEUED, None
            # the first time at once; then others, or better times, get their chance
            shard.not_before = func.now() + timedelta(
                seconds=2.0**shard.attempt if shard.attempt > 1 else 0.0
            )
        elif len(left) > 1:
            _end(session, shard, ShardStatus.CANCELLED)
            for digest in left:
                _add(session, [digest], shard.group_digest, shard.execution, shard.priority)
        else:
            who = WHO_ACTS[shard.error_owner or "us"]
            _give_up(
                session,
                shard,
                left,
                f"given up after {shard.attempt} attempts: {shard.error} ({who})",
            )
    return len(ended)


def drop_unwanted(session: Session) -> int:
    """Take keys that nobody demands any more out of queued shards; returns how many shards were cancelled."""
    unwanted = (
        select(DriveKeyRow.shard_id)
        .join(ShardRow, ShardRow.id == DriveKeyRow.shard_id)
        .where(ShardRow.status == ShardStatus.QUEUED, ~_is_demanded())
    )
    queued = session.scalars(
        select(ShardRow)
        .where(ShardRow.status == ShardStatus.QUEUED, ShardRow.id.in_(unwanted))
        .with_for_update(skip_locked=True)  # one that is being claimed is driven
    ).all()
    cancelled = 0
    for shard in queued:
        session.execute(
            update(DriveKeyRow)
            .where(DriveKeyRow.shard_id == shard.id, ~_is_demanded())
            .values(shard_id=None)
        )
        wanted = set(
            session.scalars(select(DriveKeyRow.digest).where(DriveKeyRow.shard_id == shard.id))
        )
        if wanted:
            shard.drive_keys = [digest for digest in shard.drive_keys if digest in wanted]
        else:
            shard.status, shard.finished = ShardStatus.CANCELLED, func.now()
            cancelled += 1
    return cancelled


def claimable(session: Session) -> dict[str, int]:
    """Shards that a worker could claim now, by device kind."""
    device = ShardRow.execution["device"].astext
    rows = session.execute(
        select(device, func.count())
        .where(ShardRow.status == ShardStatus.QUEUED, ShardRow.not_before <= func.now())
        .group_by(device)
    )
    return {row[0]: row[1] for row in rows}


def open_shards(session: Session) -> int:
    """Shards that are queued or leased."""
    open_ones = ShardRow.status.in_((ShardStatus.QUEUED, ShardStatus.LEASED))
    return session.scalar(select(func.count()).select_from(ShardRow).where(open_ones)) or 0


def places(session: Session, lease_s: float) -> dict[str, int]:
    """Processes of the workers that gave a sign of life within a lease, by device kind."""
    alive = WorkerRow.seen > func.now() - timedelta(seconds=lease_s)
    rows = session.execute(
        select(WorkerRow.device, func.sum(WorkerRow.concurrency))
        .where(alive)
        .group_by(WorkerRow.device)
    )
    return {device: int(count) for device, count in rows}


def _is_demanded() -> Any:
    return select(DemandRow.drive_key).where(DemandRow.drive_key == DriveKeyRow.digest).exists()


def _add(
    session: Session, digests: Sequence[str], group: str, execution: dict[str, Any], priority: int
) -> None:
    shard = ShardRow(
        drive_keys=list(digests),
        group_digest=group,
        execution=execution,
        status=ShardStatus.QUEUED,
        priority=priority,
    )
    session.add(shard)
    session.flush()
    session.execute(
        update(DriveKeyRow).where(DriveKeyRow.digest.in_(digests)).values(shard_id=shard.id)
    )


def _undriven(session: Session, shard: ShardRow) -> list[str]:
    driven = set(
        session.scalars(
            select(RolloutRow.drive_key).where(RolloutRow.drive_key.in_(shard.drive_keys))
        )
    )
    return [digest for digest in shard.drive_keys if digest not in driven]


def _end(session: Session, shard: ShardRow, status: ShardStatus) -> None:
    shard.status, shard.lease_until, shard.finished = status, None, func.now()


def _give_up(session: Session, shard: ShardRow, digests: Iterable[str], reason: str) -> None:
    _end(session, shard, ShardStatus.FAILED)
    session.execute(
        update(DriveKeyRow)
        .where(DriveKeyRow.digest.in_(list(digests)))
        .values(failure=reason, shard_id=None)
    )
