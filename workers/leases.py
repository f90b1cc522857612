"""Leases of shards: claims, heartbeats, ends.

Every write of a shard is fenced: it takes effect only while the shard is leased under the fence of
its claim. A worker that was taken for dead can't disturb its successor.

    queued -- claim --> leased -- finish --> done
                          |
                          +-- release, or no heartbeat --> the lease ends; the coordinator decides
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.broker import notify
from server.db.queue_tables import DriveKeyRow, RolloutRow, ShardRow, WorkerRow
from suites.rollout import DriveKey
from suites.vocabulary import ShardStatus
from workers.stored_inputs import read_drive_key

FORGET = timedelta(days=1)
"""After this long without a heartbeat a worker is no longer listed."""


DIED = "its process died: killed, out of memory, or past the time limit of a shard"


class LeaseLostError(Exception):
    """The shard was given to another worker, or cancelled: whatever is driven now is nobody's."""


@dataclass(frozen=True, slots=True)
class WorkerName:
    """One running worker (a parent process) and what it offers."""

    name: str
    host: str
    device: str
    concurrency: int
    runtimes: dict[str, str]
    """`RUNTIME/PRECISION` to the runtime's version, of what it computes where it runs."""

    def child(self, pid: int) -> str:
        """Who holds a shard: one process of this worker."""
        return f"{self.name}/{pid}"

    def holds(self) -> ColumnElement[bool]:
        """Shards that some process of this worker holds."""
        return and_(
            ShardRow.status == ShardStatus.LEASED,
            ShardRow.worker.startswith(f"{self.name}/", autoescape=True),
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """A shard that one process holds, and what is left to drive of it."""

    shard: int
    fence: int
    worker: str
    keys: tuple[DriveKey, ...]


def claim(
    session: Session, worker: str, device: str, runtimes: Mapping[str, str], lease_s: float
) -> Claim | None:
    """Take the first queued shard for this kind of device, by priority, then age; None for none.

    A shard for another runtime than `runtimes` (`RUNTIME/PRECISION` to version) is taken only where
    no worker that is up has it: to say so.
    """
    mine = and_(ShardRow.worker == worker, ShardRow.status == ShardStatus.LEASED)
    _expire(session, mine, "left behind by its process")
    first = (
        select(ShardRow.id)
        .where(_claimable(device, runtimes, lease_s))
        .order_by(ShardRow.priority, ShardRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    shard = session.execute(
        update(ShardRow)
        .where(ShardRow.id == first)
        .values(
            status=ShardStatus.LEASED,
            attempt=ShardRow.attempt + 1,
            fence=ShardRow.fence + 1,
            worker=worker,
            lease_until=func.now() + timedelta(seconds=lease_s),
            started=func.now(),
            error=None,
            error_owner=None,
        )
        .returning(ShardRow.id, ShardRow.fence, ShardRow.drive_keys)
    ).one_or_none()
    if shard is None:
        return None
    rows = session.execute(
        select(DriveKeyRow.digest, DriveKeyRow.key)
        .outerjoin(RolloutRow, RolloutRow.drive_key == DriveKeyRow.digest)
        .where(DriveKeyRow.digest.in_(shard.drive_keys), RolloutRow.drive_key.is_(None))
    )
    keys = {row.digest: read_drive_key(row.digest, row.key) for row in rows}
    undriven = tuple(keys[d] for d in shard.drive_keys if d in keys)
    return Claim(shard.id, shard.fence, worker, undriven)


def finish(session: Session, held: Claim) -> None:
    """The whole shard is driven. Raises LeaseLostError."""
    hold(session, held)
    session.execute(
        update(ShardRow)
        .where(ShardRow.id == held.shard)
        .values(
            status=ShardStatus.DONE,
            lease_until=None,
            finished=func.now(),
            error=None,
            error_owner=None,
        )
    )
    notify(session)


def release(session: Session, held: Claim, owner: str, error: str) -> None:
    """The attempt failed: end the lease. `owner`: who must act."""
    _expire(session, _leased(held.shard, held.fence), error, owner)


def heartbeat(
    session: Session, worker: WorkerName, lease_s: float, living: Callable[[], Iterable[int]]
) -> bool:
    """Prolong the leases of a worker's living processes and end those of the dead ones.

    Called in its parent process. True when the worker is idle although a shard that it could drive
    has waited for longer than a lease. `living` is asked after the leases were read: a process that
    started in between holds none of them.
    """
    told = asdict(worker) | {"seen": func.now()}
    new = insert(WorkerRow).values(told)
    session.execute(new.on_conflict_do_update(index_elements=[WorkerRow.name], set_=told))
    session.execute(delete(WorkerRow).where(WorkerRow.seen < func.now() - FORGET))
    held = session.execute(
        select(ShardRow.id, ShardRow.fence, ShardRow.worker).where(worker.holds())
    ).all()
    alive = {worker.child(pid) for pid in living()}
    lease = timedelta(seconds=lease_s)
    for shard in held:
        mine = _leased(shard.id, shard.fence)
        if shard.worker in alive:
            running = update(ShardRow).where(mine, ShardRow.lease_until > func.now())
            session.execute(running.values(lease_until=func.now() + lease))
        else:
            _expire(session, mine, DIED)
    long_ago = func.now() - lease
    for_me = _claimable(worker.device, worker.runtimes, lease_s)
    overdue = (
        select(ShardRow.id)
        .where(for_me, ShardRow.not_before < long_ago, ShardRow.created < long_ago)
        .exists()
    )
    return not held and bool(session.scalar(select(overdue)))


def depart(session: Session, worker: WorkerName) -> None:
    """An orderly end of a worker: what it holds is free at once and costs no attempt."""
    session.execute(
        update(ShardRow)
        .where(worker.holds())
        .values(
            lease_until=func.now(),
            attempt=ShardRow.attempt - 1,
            error="its worker was stopped",
            error_owner="machine",
        )
    )
    row = session.get(WorkerRow, worker.name)
    if row is not None:
        session.delete(row)
    notify(session)


def _leased(shard: int, fence: int) -> ColumnElement[bool]:
    """The shard while it is leased under this fence."""
    return and_(
        ShardRow.id == shard, ShardRow.fence == fence, ShardRow.status == ShardStatus.LEASED
    )


def _claimable(device: str, runtimes: Mapping[str, str], lease_s: float) -> ColumnElement[bool]:
    execution = ShardRow.execution
    runtime = func.concat(execution["runtime"].astext, "/", execution["precision"].astext)
    version = execution["version"].astext
    others = select(WorkerRow.name).where(
        WorkerRow.seen > func.now() - timedelta(seconds=lease_s),
        WorkerRow.device == device,
        WorkerRow.runtimes.op("->>")(runtime) == version,
    )
    return and_(
        ShardRow.status == ShardStatus.QUEUED,
        ShardRow.not_before <= func.now(),
        execution["device"].astext == device,
        or_(tuple_(runtime, version).in_(list(runtimes.items())), ~others.exists()),
    )


def hold(session: Session, held: Claim) -> None:
    """Keep the shard for this transaction. Raises LeaseLostError."""
    lease = select(ShardRow.id).where(_leased(held.shard, held.fence))
    if session.execute(lease.with_for_update(key_share=True)).one_or_none() is None:
        raise LeaseLostError(f"shard {held.shard} is no longer held under fence {held.fence}")


def _expire(
    session: Session, which: ColumnElement[bool], error: str, owner: str = "machine"
) -> None:
    ended = {"lease_until": func.now(), "error": error, "error_owner": owner}
    expired = update(ShardRow).where(which).values(ended).returning(ShardRow.id)
    if session.execute(expired).all():
        notify(session)
