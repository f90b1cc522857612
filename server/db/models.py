"""The tables. Postgres is the queue of record and an index of what lies in the data folder.

Documents that carry an identity (manifest, segment, suite version, drive_key) are JSON, not JSONB: the text is kept as it
was written, so the digest can be computed again. Everything else is JSONB.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    Enum,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

from suites.words import Outcome, RunVerdict, ShardStatus, Status

Digest = String(64)


class Role(StrEnum):
    """Which of the two models of a comparison a demanded rollout is for."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"


class OwnerKind(StrEnum):
    """Who demands rollouts; rollouts belong to nobody."""

    RUN = "run"
    PROOF = "proof"
    SEARCH = "search"
    """Of the contract; nothing demands for one yet."""


def _words(enum: type[StrEnum]) -> Enum:
    return Enum(
        enum, native_enum=False, create_constraint=True, length=24, name=enum.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
    )  # fmt: skip


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy's own protocol)
        datetime: DateTime(timezone=True),
        str: Text,
        float: Double,
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        Status: _words(Status),
        RunVerdict: _words(RunVerdict),
        ShardStatus: _words(ShardStatus),
        Outcome: _words(Outcome),
        Role: _words(Role),
        OwnerKind: _words(OwnerKind),
    }


class Model(Base):
    """A registered model; its graphs lie in the blob store."""

    __tablename__ = "models"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    manifest: Mapped[dict[str, Any]] = mapped_column(JSON)
    created: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index(None, "created", "digest"), Index(None, "name"))


class Quarantine(Base):
    """Bytes of a segment that are kept out of new suite versions, whenever they are imported; others are not meant."""

    __tablename__ = "quarantines"

    segment_digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    reason: Mapped[str]
    since: Mapped[datetime] = mapped_column(server_default=func.now())


class Segment(Base):
    """Index of a stored segment's meta.json, which stays the truth."""

    __tablename__ = "segments"

    segment_id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(Digest)
    route: Mapped[str]
    kind: Mapped[str]
    tags: Mapped[list[str]]
    duration_s: Mapped[float]
    meta: Mapped[dict[str, Any]] = mapped_column(JSON)
    indexed: Mapped[datetime] = mapped_column(server_default=func.now())
    quarantined: Mapped[str | None] = column_property(
        select(Quarantine.reason).where(Quarantine.segment_digest == digest).scalar_subquery()
    )
    """Why it is kept out of new suite versions; NULL: it isn't."""

    __table_args__ = (Index(None, "digest"), Index(None, "route"), Index(None, "tags", postgresql_using="gin"))


class Suite(Base):
    """A name that suite versions are made under."""

    __tablename__ = "suites"

    name: Mapped[str] = mapped_column(primary_key=True)
    promoted: Mapped[str | None] = mapped_column(ForeignKey("models.digest"))
    """The model that candidates meet when no baseline is named."""
    created: Mapped[datetime] = mapped_column(server_default=func.now())


class SuiteVersion(Base):
    """A suite resolved against stored segments; immutable, linear."""

    __tablename__ = "suite_versions"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    suite: Mapped[str] = mapped_column(ForeignKey("suites.name"))
    number: Mapped[int | None]
    """1, 2, 3 ... along the line; NULL for a cut of a version to fewer routes, which is never the newest."""
    parent: Mapped[str | None] = mapped_column(ForeignKey("suite_versions.digest"))
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Canonical suites.schema.SuiteVersion."""
    planned: Mapped[int]
    """Rollouts of one model that the version asks for."""
    created: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("suite", "number"),
        Index("uq_suite_versions_line", "parent", unique=True, postgresql_where=text("number IS NOT NULL")),
        CheckConstraint("planned > 0", name="planned_positive"),
    )


class Run(Base):
    """One candidate against one baseline on one suite digest, all frozen here."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    identity: Mapped[str] = mapped_column(Digest)
    """Digest of candidate, baseline, suite digest, simulator and execution classes: equal runs are one run."""
    candidate: Mapped[str] = mapped_column(ForeignKey("models.digest"))
    baseline: Mapped[str] = mapped_column(ForeignKey("models.digest"))
    suite_digest: Mapped[str] = mapped_column(ForeignKey("suite_versions.digest"))
    simulator: Mapped[dict[str, Any]] = mapped_column(JSON)
    """suites.rollout.SimulatorSpec."""
    candidate_execution: Mapped[dict[str, Any]] = mapped_column(JSON)
    baseline_execution: Mapped[dict[str, Any]] = mapped_column(JSON)
    """suites.rollout.ExecutionClass."""
    planned: Mapped[int]
    """Pairs of the suite version."""
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="5")
    """0 is served first, 9 last."""
    status: Mapped[Status]
    verdict: Mapped[RunVerdict | None]
    """NULL until decided; an errored or cancelled run has none."""
    sentence: Mapped[str] = mapped_column(server_default="")
    verdict_document: Mapped[dict[str, Any] | None]
    """suites.judgement.Verdict as of the last look; a verdict only where `verdict` is set."""
    pairs_consumed: Mapped[int] = mapped_column(server_default="0")
    """Judged so far; once there is a verdict, those that it rests on."""
    error: Mapped[str] = mapped_column(server_default="")
    """Why it errored, and who must act."""
    source: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    """Where the candidate comes from, as CI says: commit, branch, pull_request, url."""
    requested_by: Mapped[str] = mapped_column(server_default="")
    drive_all: Mapped[bool] = mapped_column(server_default=text("false"))
    """Drive what was planned even after the decision (`--full`), at the lowest priority."""
    created: Mapped[datetime] = mapped_column(server_default=func.now())
    started: Mapped[datetime | None]
    decided: Mapped[datetime | None]
    """When the verdict became final; slices may still be driven afterwards."""
    finished: Mapped[datetime | None]

    __table_args__ = (
        Index("uq_runs_live_identity", "identity", unique=True,
              postgresql_where=text("status IN ('queued', 'running', 'finished')")),
        Index(None, "created", "id"),
        Index("ix_runs_open", "priority", "created", postgresql_where=text("status IN ('queued', 'running')")),
        Index(None, "suite_digest"), Index(None, "candidate"), Index(None, "baseline"),
        CheckConstraint("verdict IS NULL OR status IN ('running', 'finished')", name="verdict_has_run"),
        CheckConstraint("planned > 0", name="planned_positive"),
    )  # fmt: skip


class IdempotencyKey(Base):
    """What a client's `Idempotency-Key` was used for."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(primary_key=True)
    request_digest: Mapped[str] = mapped_column(Digest)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    created: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index(None, "created"), Index(None, "run_id"))


class DriveKeyRow(Base):
    """A rollout that was asked for, by its identity; driven when a row of `rollouts` has the same digest."""

    __tablename__ = "drive_keys"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    key: Mapped[dict[str, Any]] = mapped_column(JSON)
    """suites.rollout.DriveKey."""
    model: Mapped[str] = mapped_column(ForeignKey("models.digest"))
    segment_id: Mapped[str]
    group_digest: Mapped[str] = mapped_column(Digest)
    """Digest of model, simulator, vehicle and execution class: keys of one group may share a shard."""
    execution: Mapped[dict[str, Any]]
    shard_id: Mapped[int | None] = mapped_column(ForeignKey("shards.id", ondelete="SET NULL"))
    """The shard that it is in now; NULL: waiting for one (or driven, if a rollout exists)."""
    failure: Mapped[str | None]
    """Why it can't be driven (out of attempts): infra_failed for every run that demands it."""
    created: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index(None, "shard_id"),
        Index(None, "model"),
        Index("ix_drive_keys_waiting", "group_digest", postgresql_where=text("shard_id IS NULL AND failure IS NULL")),
    )


class Demand(Base):
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

    __table_args__ = (Index(None, "drive_key"), CheckConstraint("position >= 0", name="position_counts"))


class Shard(Base):
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
        Index("ix_shards_open", "status", "priority", "id", postgresql_where=text("status IN ('queued', 'leased')")),
        CheckConstraint("cardinality(drive_keys) > 0", name="drives_something"),
        CheckConstraint("(status = 'leased') = (lease_until IS NOT NULL)", name="leased_until"),
    )


class Worker(Base):
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
    """Digest of the judged columns alone: equal keys must have equal bits (wall times may differ)."""
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


class Artifact(Base):
    """Pictures of a stored rollout, made on demand by a worker; they can be made again at any time."""

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


class Alarm(Base):
    """Something that must never happen did: a person has to look."""

    __tablename__ = "alarms"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    """`unequal_bits`: one drive_key gave two traces. `bad_worker`: its rollouts lie differently. `self_check`: the judge errs
    more often than it may."""
    drive_key: Mapped[str | None] = mapped_column(Digest)
    detail: Mapped[dict[str, Any]]
    created: Mapped[datetime] = mapped_column(server_default=func.now())
    acknowledged: Mapped[datetime | None]

    __table_args__ = (Index("ix_alarms_open", "created", postgresql_where=text("acknowledged IS NULL")),)


class SelfCheckRow(Base):
    """What a self-check of the judge showed on the stored results of a run."""

    __tablename__ = "self_checks"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    suite_digest: Mapped[str] = mapped_column(ForeignKey("suite_versions.digest"))
    report: Mapped[dict[str, Any]]
    """suites.selfcheck.SelfCheck."""
    faults: Mapped[list[str]]
    """What errs more often than alpha; empty: nothing does, as far as was seen."""
    created: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index(None, "run_id"), Index(None, "suite_digest"))


class Probe(Base):
    """A stored rollout that is driven again to compare the bits."""

    __tablename__ = "probes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    drive_key: Mapped[str] = mapped_column(ForeignKey("rollouts.drive_key"))
    asked: Mapped[datetime] = mapped_column(server_default=func.now())
    driven: Mapped[datetime | None]
    worker: Mapped[str | None]
    """Who drove it again."""
    equal: Mapped[bool | None]
    """NULL while nobody has driven it, or where nobody could: `error` says why."""
    error: Mapped[str] = mapped_column(server_default="")

    __table_args__ = (
        Index(None, "drive_key"),
        CheckConstraint("equal IS NULL OR driven IS NOT NULL", name="equal_is_driven"),
    )


class Night(Base):
    """The standing checks of one night: made once, by whichever coordinator acts."""

    __tablename__ = "nights"

    night: Mapped[date] = mapped_column(primary_key=True)
    """The UTC day on which it was due."""
    started: Mapped[datetime] = mapped_column(server_default=func.now())
    finished: Mapped[datetime | None]
    """NULL while it is being made, or for ever where it was cut short."""
    report: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    """server.services.nightly.NightReport."""
    error: Mapped[str] = mapped_column(server_default="")
    """Why it was cut short."""


class Event(Base):
    """Audit trail: what was done to what, when, by whom. Rows are only added."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    kind: Mapped[str] = mapped_column(String(60))
    """Verb in the past: `run.submitted`, `run.decided`, `model.registered`, `segment.quarantined`."""
    subject_kind: Mapped[str] = mapped_column(String(20))
    subject_id: Mapped[str]
    actor: Mapped[str] = mapped_column(server_default="")
    request_id: Mapped[str] = mapped_column(server_default="")
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))

    __table_args__ = (Index(None, "subject_kind", "subject_id", "id"),)
