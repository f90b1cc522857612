"""The queue of record: demands, drive_keys, shards, workers, and what was driven."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    String,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.orm import Mapped, mapped_column

from server.db.base import Base, Digest, OwnerKind, Role, partial_index
from suites.vocabulary import Outcome, ShardStatus


class DriveKeyRow(Base):
    """A rollout that was asked for, by its identity; driven when `rollouts` has the digest too."""

    __tablename__ = "drive_keys"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    key: Mapped[dict[str, Any]] = mapped_column(JSON)
    """suites.rollout.DriveKey."""
    model: Mapped[str] = mapped_column(ForeignKey("models.digest"))
    segment_id: Mapped[str]
    group_digest: Mapped[str] = mapped_column(Digest)
    """DriveKey.group: keys of one group may share a shard."""
    execution: Mapped[dict[str, Any]]
    shard_id: Mapped[int | None] = mapped_column(ForeignKey("shards.id", ondelete="SET NULL"))
    """The shard that it is in now; NULL: waiting for one (or driven, if a rollout exists)."""
    failure: Mapped[str | None]
    """Why it can't be driven (out of attempts): infra_failed for every run that demands it."""
    created: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index(None, "shard_id"),
        Index(None, "model"),
        partial_index(
            "ix_drive_keys_waiting", "group_digest", where="shard_id IS NULL AND failure IS NULL"
        ),
    )


class DemandRow(Base):
    """Run, proof or search `owner_id` asks for a rollout at `position` of its order."""

    __tablename__ = "demands"

    owner_kind: Mapped[OwnerKind] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    """Index into the suite version's `planned`."""
    role: Mapped[Role] = mapped_column(primary_key=True)
    case_id: Mapped[str]
    route: Mapped[str]
    mandatory: Mapped[bool] = mapped_column(server_default=text("false"))
    """Of a must-pass case: driven to the end even after the decision."""
    drive_key: Mapped[str] = mapped_column(ForeignKey("drive_keys.digest"))

    __table_args__ = (
        Index(None, "drive_key"),
        CheckConstraint("position >= 0", name="position_counts"),
    )


class ShardRow(Base):
    """A few drive_keys of one group that one worker drives in lock-step; leased, fenced."""

    __tablename__ = "shards"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    drive_keys: Mapped[list[str]] = mapped_column(ARRAY(Digest))
    group_digest: Mapped[str] = mapped_column(Digest)
    execution: Mapped[dict[str, Any]]
    status: Mapped[ShardStatus]
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="5")
    attempt: Mapped[int] = mapped_column(server_default="0")
    fence: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Grows with every claim; a writer with an older fence is refused."""
    lease_until: Mapped[datetime | None]
    worker: Mapped[str | None]
    error_owner: Mapped[str | None] = mapped_column(String(16))
    """Who must act on the last error: submitter, data, machine."""
    error: Mapped[str | None]
    not_before: Mapped[datetime] = mapped_column(server_default=func.now())
    """Earliest next claim: after a machine's failure others get the time to take it."""
    created: Mapped[datetime] = mapped_column(server_default=func.now())
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]

    __table_args__ = (
        partial_index(
            "ix_shards_open", "status", "priority", "id", where="status IN ('queued', 'leased')"
        ),
        CheckConstraint("cardinality(drive_keys) > 0", name="drives_something"),
        CheckConstraint("(status = 'leased') = (lease_until IS NOT NULL)", name="leased_until"),
    )


class WorkerRow(Base):
    """A worker that is up: its free places say how many wake-ups are worth sending."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    device: Mapped[str]
    """Device kind of the execution classes that it serves: `cpu`, `cuda`."""
    concurrency: Mapped[int]
    runtimes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    """`RUNTIME/PRECISION` to the runtime's version, of what it computes where it runs."""
    started: Mapped[datetime] = mapped_column(server_default=func.now())
    seen: Mapped[datetime] = mapped_column(server_default=func.now())
    """Its last heartbeat; rows older than a lease are gone workers."""


class RolloutRow(Base):
    """One rollout, stored once under its drive_key. Its numeric trace lies in the blob store."""

    __tablename__ = "rollouts"

    drive_key: Mapped[str] = mapped_column(ForeignKey("drive_keys.digest"), primary_key=True)
    outcome: Mapped[Outcome]
    reason: Mapped[str]
    ended_s: Mapped[float]
    trusted_share: Mapped[float]
    trace_sha256: Mapped[str | None] = mapped_column(Digest)
    """Blob of Trace.to_bytes(); NULL where not one step was driven."""
    trace_bits: Mapped[str | None] = mapped_column(Digest)
    """Digest of the judged columns: equal keys must have equal bits (wall times may differ)."""
    provenance: Mapped[dict[str, Any]]
    worker: Mapped[str]
    shard_id: Mapped[int | None] = mapped_column(BigInteger)
    fence: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("outcome <> 'infra_failed'", name="infra_is_never_scored"),
        Index(None, "created"),
    )


class ResultRow(Base):
    """One metric of one rollout, or one condition (`condition:<digest>`). Missing is not zero."""

    __tablename__ = "results"

    drive_key: Mapped[str] = mapped_column(ForeignKey("rollouts.drive_key"), primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[float | None]
    """NULL when not valid."""
    valid: Mapped[bool]
    low: Mapped[float | None]
    high: Mapped[float | None]
    """Best and worst that the value can be; equal to it unless the rollout was censored."""
    instant_s: Mapped[float | None]
    """Of a condition: when it was decided, from the window's start."""
    reason: Mapped[str] = mapped_column(server_default="")

    __table_args__ = (CheckConstraint("valid = (value IS NOT NULL)", name="missing_is_null"),)


class ArtifactRow(Base):
    """Pictures of a stored rollout, made by a worker on demand, and again at any time."""

    __tablename__ = "artifacts"

    drive_key: Mapped[str] = mapped_column(ForeignKey("rollouts.drive_key"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    """`log`, `view` (sheets of frames) or `video`."""
    sha256: Mapped[str | None] = mapped_column(Digest)
    """Its blob; NULL while it is not made."""
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    """Of a sheet: rate_hz, count, columns, tile_width, tile_height."""
    error: Mapped[str] = mapped_column(server_default="")
    """Why it can't be made."""
    requested: Mapped[datetime] = mapped_column(server_default=func.now())
    """When a worker was last asked for it."""
