"""What workers write to the database, and nothing else does: claims, heartbeats, rollouts, results, alarms.

Every write of a shard is fenced: it takes effect only while the shard is leased under the fence of the claim, so a worker
that was taken for dead can't disturb its successor.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ARRAY, ColumnElement, and_, delete, func, literal, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.db.models import Alarm, Artifact, DriveKeyRow, Event, Probe, Quarantine, ResultRow, RolloutRow, Shard, Worker
from server.queue import notify
from server.storage import BlobStore
from suites.conditions import Judgement
from suites.errors import MachineError
from suites.judgement import MetricResult
from suites.metrics.registry import METRICS
from suites.rollout import DriveKey, Rollout, Trace
from suites.words import Outcome, ShardStatus

UNJUDGED_COLUMNS = frozenset({"policy_time_s"})
"""Wall times: they differ between equal rollouts."""

FORGET = timedelta(days=1)
"""Workers that were not heard of for so long are no longer listed."""

CONDITIONS_VERSION = 1
"""Of the language of conditions: a condition's own digest says the rest."""

_KEY = TypeAdapter(DriveKey)


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
        return and_(Shard.status == ShardStatus.LEASED, Shard.worker.startswith(f"{self.name}/", autoescape=True))


@dataclass(frozen=True, slots=True)
class Claim:
    """A shard that one process holds, and what is left to drive of it."""

    shard: int
    fence: int
    worker: str
    keys: tuple[DriveKey, ...]


def claim(session: Session, worker: str, device: str, runtimes: Mapping[str, str], lease_s: float) -> Claim | None:
    """Take the first queued shard for this kind of device, by priority, then age; one for a runtime that is not of these
    (`RUNTIME/PRECISION` to version) only where no worker that is up has it, to say so. None when nothing is to do."""
    _expire(session, and_(Shard.worker == worker, Shard.status == ShardStatus.LEASED), "left behind by its process")
    first = (
        select(Shard.id)
        .where(_claimable(device, runtimes, lease_s))
        .order_by(Shard.priority, Shard.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    shard = session.execute(
        update(Shard)
        .where(Shard.id == first)
        .values(
            status=ShardStatus.LEASED, attempt=Shard.attempt + 1, fence=Shard.fence + 1, worker=worker,
            lease_until=func.now() + timedelta(seconds=lease_s), started=func.now(), error=None, error_owner=None,
        )
        .returning(Shard.id, Shard.fence, Shard.drive_keys)
    ).one_or_none()  # fmt: skip
    if shard is None:
        return None
    rows = session.execute(
        select(DriveKeyRow.digest, DriveKeyRow.key)
        .outerjoin(RolloutRow, RolloutRow.drive_key == DriveKeyRow.digest)
        .where(DriveKeyRow.digest.in_(shard.drive_keys), RolloutRow.drive_key.is_(None))
    )
    keys = {row.digest: read_key(row.digest, row.key) for row in rows}
    return Claim(shard.id, shard.fence, worker, tuple(keys[d] for d in shard.drive_keys if d in keys))


def read_key(digest: str, document: object) -> DriveKey:
    """A stored drive_key. Raises MachineError where it is not the one that its digest says."""
    key = _KEY.validate_python(document)
    if key.digest != digest:
        raise MachineError(f"drive_key {digest[:12]} reads back as {key.digest[:12]}: this code can't know what it means")
    return key


def store(session: Session, held: Claim, rollout: Rollout, measured: Mapping[str, MetricResult], blobs: BlobStore) -> bool:
    """Store a rollout and its results, once per drive_key. False: it was there already; other bits raise an alarm.
    Raises LeaseLostError."""
    trace = rollout.trace
    sha256 = blobs.put(trace.to_bytes()) if trace is not None else None
    bits = trace_bits(trace) if trace is not None else None
    _hold(session, held)
    digest = rollout.key.digest
    new = session.execute(
        insert(RolloutRow)
        .values(
            drive_key=digest, outcome=rollout.outcome, reason=rollout.reason, ended_s=rollout.ended_s,
            trusted_share=rollout.trusted_share, trace_sha256=sha256, trace_bits=bits, provenance=rollout.provenance,
            worker=held.worker, shard_id=held.shard, fence=held.fence,
        )
        .on_conflict_do_nothing()
        .returning(RolloutRow.drive_key)
    ).one_or_none()  # fmt: skip
    if new is None:
        same_bits(session, rollout, bits, held.worker)
        return False
    store_results(session, digest, measured)
    if rollout.outcome is Outcome.DATA_INVALID:
        _quarantine(session, rollout, held.worker)
    return True


def _quarantine(session: Session, rollout: Rollout, worker: str) -> None:
    """Keep the bytes that can't be driven out of new suite versions, once."""
    scenario = rollout.key.scenario
    values = {"segment_digest": scenario.segment_digest, "reason": rollout.reason}
    new = insert(Quarantine).values(values).on_conflict_do_nothing().returning(Quarantine.segment_digest)
    if session.execute(new).one_or_none() is not None:
        detail = {"digest": scenario.segment_digest, "reason": rollout.reason, "drive_key": rollout.key.digest}
        session.add(
            Event(kind="segment.quarantined", subject_kind="segment", subject_id=scenario.segment_id, actor=worker, detail=detail)
        )


def store_results(session: Session, drive_key: str, measured: Mapping[str, MetricResult]) -> None:
    """Results of one stored rollout, at the current versions of the metrics; those that are there stay."""
    rows = [
        {
            "drive_key": drive_key, "metric": name, "version": METRICS[name].version, "valid": result.valid,
            "value": result.value if result.valid else None, "low": _number(result.low) if result.valid else None,
            "high": _number(result.high) if result.valid else None, "reason": result.reason,
        }
        for name, result in measured.items()
    ]  # fmt: skip
    _insert_results(session, rows)


def store_artifact(
    session: Session, drive_key: str, kind: str, sha256: str | None = None, detail: dict[str, Any] | None = None, error: str = ""
) -> None:
    """A picture that was asked for, or why there can be none."""
    values = {"sha256": sha256, "detail": detail or {}, "error": error}
    session.execute(update(Artifact).where(Artifact.drive_key == drive_key, Artifact.kind == kind).values(values))


def store_conditions(session: Session, drive_key: str, judged: Mapping[str, Judgement]) -> None:
    """Conditions of one stored rollout, by result name; value 1 where it held, none where it can't be told."""
    rows = [
        {
            "drive_key": drive_key, "metric": name, "version": CONDITIONS_VERSION, "valid": judgement.held is not None,
            "value": None if judgement.held is None else float(judgement.held), "reason": judgement.reason,
            "instant_s": judgement.instant_s,
        }
        for name, judgement in judged.items()
    ]  # fmt: skip
    _insert_results(session, rows)


def _insert_results(session: Session, rows: list[dict[str, Any]]) -> None:
    if rows:  # one array for each column: a short statement, whose text is always the same
        names = list(rows[0])
        lists = [func.unnest(literal([row[name] for row in rows], ARRAY(ResultRow.__table__.c[name].type))) for name in names]
        session.execute(insert(ResultRow).from_select(names, select(*lists)).on_conflict_do_nothing())
    notify(session)


def finish(session: Session, held: Claim) -> None:
    """The whole shard is driven. Raises LeaseLostError."""
    _hold(session, held)
    session.execute(
        update(Shard)
        .where(Shard.id == held.shard)
        .values(status=ShardStatus.DONE, lease_until=None, finished=func.now(), error=None, error_owner=None)
    )
    notify(session)


def release(session: Session, held: Claim, owner: str, error: str) -> None:
    """The attempt failed: end the lease, so that the coordinator decides what follows. `owner`: who must act."""
    mine = and_(Shard.id == held.shard, Shard.fence == held.fence, Shard.status == ShardStatus.LEASED)
    _expire(session, mine, error, owner)


def heartbeat(session: Session, worker: WorkerName, lease_s: float, living: Callable[[], Iterable[int]]) -> bool:
    """From a worker's parent process: prolong the leases of its living processes, end those of the dead ones. True when
    the worker is idle although a shard that it could drive has waited for longer than a lease.

    `living` is asked after the leases were read: a process that started in between holds none of them.
    """
    told = {
        "name": worker.name, "host": worker.host, "device": worker.device, "concurrency": worker.concurrency,
        "runtimes": worker.runtimes, "seen": func.now(),
    }  # fmt: skip
    session.execute(insert(Worker).values(told).on_conflict_do_update(index_elements=[Worker.name], set_=told))
    session.execute(delete(Worker).where(Worker.seen < func.now() - FORGET))
    held = session.execute(select(Shard.id, Shard.fence, Shard.worker).where(worker.holds())).all()
    alive = {worker.child(pid) for pid in living()}
    lease = timedelta(seconds=lease_s)
    for shard in held:
        mine = and_(Shard.id == shard.id, Shard.fence == shard.fence, Shard.status == ShardStatus.LEASED)
        if shard.worker in alive:
            session.execute(update(Shard).where(mine, Shard.lease_until > func.now()).values(lease_until=func.now() + lease))
        else:
            _expire(session, mine, "its process died: killed, out of memory, or past the time limit of a shard")
    long_ago = func.now() - lease
    for_me = _claimable(worker.device, worker.runtimes, lease_s)
    overdue = select(Shard.id).where(for_me, Shard.not_before < long_ago, Shard.created < long_ago).exists()
    return not held and bool(session.scalar(select(overdue)))


def depart(session: Session, worker: WorkerName) -> None:
    """An orderly end of a worker: what it holds is free at once and costs no attempt."""
    session.execute(
        update(Shard)
        .where(worker.holds())
        .values(lease_until=func.now(), attempt=Shard.attempt - 1, error="its worker was stopped", error_owner="machine")
    )
    row = session.get(Worker, worker.name)
    if row is not None:
        session.delete(row)
    notify(session)


def probed(session: Session, number: int, worker: str, rollout: Rollout | None, error: str = "") -> None:
    """What became of a probe: a stored rollout was driven again, or could not be (`error`). Nothing but that is stored."""
    probe = session.get_one(Probe, number)
    if probe.driven is not None:
        return
    probe.driven, probe.worker, probe.error = datetime.now(UTC), worker, error
    if rollout is not None:
        bits = trace_bits(rollout.trace) if rollout.trace is not None else None
        probe.equal = same_bits(session, rollout, bits, worker)


def trace_bits(trace: Trace) -> str:
    """sha256 of everything in a trace that is judged: equal keys must give equal digests."""
    hasher = hashlib.sha256(f"{trace.simulator} {trace.rate_hz!r} {trace.feedback} {trace.planned_steps}".encode())
    for name in sorted(trace.columns.keys() - UNJUDGED_COLUMNS):
        column = trace.columns[name]
        hasher.update(f"{name} {column.dtype.str} {column.shape}".encode())
        hasher.update(column.tobytes())
    return hasher.hexdigest()


def same_bits(session: Session, rollout: Rollout, bits: str | None, worker: str) -> bool:
    """Whether a rollout that was stored before is the same one; where it isn't, an alarm says so."""
    stored = session.get_one(RolloutRow, rollout.key.digest)
    if (stored.outcome, stored.trace_bits) == (rollout.outcome, bits):
        return True
    session.add(
        Alarm(
            kind="unequal_bits", drive_key=stored.drive_key,
            detail={
                "stored": {"outcome": stored.outcome, "trace_bits": stored.trace_bits, "worker": stored.worker},
                "now": {"outcome": rollout.outcome, "trace_bits": bits, "worker": worker},
            },
        )
    )  # fmt: skip
    return False


def _claimable(device: str, runtimes: Mapping[str, str], lease_s: float) -> ColumnElement[bool]:
    runtime = func.concat(Shard.execution["runtime"].astext, "/", Shard.execution["precision"].astext)
    version = Shard.execution["version"].astext
    others = select(Worker.name).where(
        Worker.seen > func.now() - timedelta(seconds=lease_s), Worker.device == device,
        Worker.runtimes.op("->>")(runtime) == version,
    )  # fmt: skip
    return and_(
        Shard.status == ShardStatus.QUEUED, Shard.not_before <= func.now(), Shard.execution["device"].astext == device,
        or_(tuple_(runtime, version).in_(list(runtimes.items())), ~others.exists()),
    )  # fmt: skip


def _hold(session: Session, held: Claim) -> None:
    lease = (
        select(Shard.id)
        .where(Shard.id == held.shard, Shard.fence == held.fence, Shard.status == ShardStatus.LEASED)
        .with_for_update(key_share=True)
    )
    if session.execute(lease).one_or_none() is None:
        raise LeaseLostError(f"shard {held.shard} is no longer held under fence {held.fence}")


def _expire(session: Session, which: ColumnElement[bool], error: str, owner: str = "machine") -> None:
    expired = session.execute(
        update(Shard).where(which).values(lease_until=func.now(), error=error, error_owner=owner).returning(Shard.id)
    ).all()
    if expired:
        notify(session)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
