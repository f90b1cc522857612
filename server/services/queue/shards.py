"""The queue of record: form shards, take back what was lost, drop what nobody wants."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from server.db.queue_tables import DemandRow, DriveKeyRow, RolloutRow, ShardRow, WorkerRow
from server.services.queue.demands import DemandOwner, shards_in_window, waiting_keys
from server.settings import Settings
from suites.vocabulary import ShardStatus

OVERDUE = 1.2
"""A shard that is held longer than its limit times this is taken back, whatever its worker says."""

WHO_ACTS = {
    "submitter": "whoever submitted it has to correct it",
    "data": "the owner of the data has to import it again",
    "machine": "whoever runs the workers has to put that right; submitted again, it is tried again",
    "us": "a fault of ours: report it with the worker's log; submitted again, it is tried again",
}
"""What comes after an error, by who must act (ShardRow.error_owner)."""


def form_shards(
    session: Session, owner: DemandOwner, window: tuple[int, int], size: int, priority: int
) -> int:
    """Put the rollouts that nobody drives yet into shards; returns how many shards.

    A shard holds one group and at most `size` positions out of `window` [start, stop). Both models
    of a position stand in one shard, so that their segment is decoded once. Keys that are in a
    shard already, for whatever owner, are shared, and that shard gets the more urgent priority."""
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
    less_urgent = (
        ShardRow.status == ShardStatus.QUEUED,
        ShardRow.priority > priority,
        ShardRow.id.in_(shards_in_window(owner, *window)),
    )
    session.execute(update(ShardRow).where(*less_urgent).values(priority=priority))
    return formed


def take_back(session: Session, settings: Settings) -> int:
    """Decide on every shard whose lease has ended: done, again, split, or given up; how many."""
    overdue = func.now() - timedelta(seconds=OVERDUE * settings.shard_limit_s + settings.lease_s)
    over = or_(ShardRow.lease_until <= func.now(), ShardRow.started <= overdue)
    leased = select(ShardRow).where(ShardRow.status == ShardStatus.LEASED, over)
    ended = session.scalars(leased.with_for_update(skip_locked=True)).all()
    for shard in ended:
        _decide(session, shard, settings.shard_attempts)
    return len(ended)


def _decide(session: Session, shard: ShardRow, most_attempts: int) -> None:
    left = _undriven(session, shard)
    if shard.error is None:
        shard.error = "its worker was lost"
        shard.error_owner = "machine"
    who = WHO_ACTS[shard.error_owner or "us"]
    if not left:
        _end(shard, ShardStatus.DONE)
    elif shard.error_owner == "submitter":
        _give_up(session, shard, left, f"{shard.error} ({who})")
    elif shard.attempt < most_attempts:
        shard.status = ShardStatus.QUEUED
        shard.lease_until = None
        # the first time at once; then others, or better times, get their chance
        wait_s = 2.0**shard.attempt if shard.attempt > 1 else 0.0
        shard.not_before = func.now() + timedelta(seconds=wait_s)
    elif len(left) > 1:
        # one of them may be the cause: each gets a shard of its own
        _end(shard, ShardStatus.CANCELLED)
        for digest in left:
            _add(session, [digest], shard.group_digest, shard.execution, shard.priority)
    else:
        reason = f"given up after {shard.attempt} attempts: {shard.error} ({who})"
        _give_up(session, shard, left, reason)


def drop_unwanted(session: Session) -> int:
    """Take keys that nobody demands out of queued shards; how many shards were cancelled."""
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
        in_shard = DriveKeyRow.shard_id == shard.id
        session.execute(update(DriveKeyRow).where(in_shard, ~_is_demanded()).values(shard_id=None))
        wanted = set(session.scalars(select(DriveKeyRow.digest).where(in_shard)))
        if wanted:
            shard.drive_keys = [digest for digest in shard.drive_keys if digest in wanted]
        else:
            _end(shard, ShardStatus.CANCELLED)
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
    counted = select(WorkerRow.device, func.sum(WorkerRow.concurrency)).where(alive)
    rows = session.execute(counted.group_by(WorkerRow.device))
    return {device: int(count) for device, count in rows}


def _is_demanded() -> ColumnElement[bool]:
    return select(DemandRow).where(DemandRow.drive_key == DriveKeyRow.digest).exists()


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
    in_shard = update(DriveKeyRow).where(DriveKeyRow.digest.in_(digests))
    session.execute(in_shard.values(shard_id=shard.id))


def _undriven(session: Session, shard: ShardRow) -> list[str]:
    stored = select(RolloutRow.drive_key).where(RolloutRow.drive_key.in_(shard.drive_keys))
    driven = set(session.scalars(stored))
    return [digest for digest in shard.drive_keys if digest not in driven]


def _end(shard: ShardRow, status: ShardStatus) -> None:
    shard.status = status
    shard.lease_until = None
    shard.finished = func.now()


def _give_up(session: Session, shard: ShardRow, digests: Iterable[str], reason: str) -> None:
    _end(shard, ShardStatus.FAILED)
    lost = update(DriveKeyRow).where(DriveKeyRow.digest.in_(list(digests)))
    session.execute(lost.values(failure=reason, shard_id=None))
