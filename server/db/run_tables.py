"""Tables of runs."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column

from server.db.base import Base, Digest
from suites.vocabulary import RunVerdict, Status


class RunRow(Base):
    """One candidate against one baseline on one suite digest, all frozen here."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    identity: Mapped[str] = mapped_column(Digest)
    """Digest of models, suite digest, simulator, execution classes, waivers: equal runs are one."""
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
    order_seed: Mapped[int] = mapped_column(BigInteger)
    """Of its order and of the signs of its judge: the suite's, or its own."""
    baseline_known: Mapped[dict[str, Any] | None] = mapped_column(JSON, deferred=True)
    """What was stored of the baseline when it was submitted, where the suite draws or caps by it or
    judges rates: services.runs.stored_baseline.Known."""
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
    """When there was a verdict; driving may go on, and a provisional pass may be withdrawn."""
    withdrawn_at: Mapped[datetime | None]
    """When later evidence contradicted a provisional pass; the verdict is what that says."""
    finished: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "uq_runs_live_identity",
            "identity",
            unique=True,
            postgresql_where=text("status IN ('queued', 'running', 'finished')"),
        ),
        Index(None, "created", "id"),
        Index(
            "ix_runs_open",
            "priority",
            "created",
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
        Index(None, "suite_digest"),
        Index(None, "candidate"),
        Index(None, "baseline"),
        CheckConstraint(
            "verdict IS NULL OR status IN ('running', 'finished')", name="verdict_has_run"
        ),
        CheckConstraint("planned > 0", name="planned_positive"),
    )


class SecretRow(Base):
    """A random secret of this installation, made when it is first used. No view shows it."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class IdempotencyKeyRow(Base):
    """What a client's `Idempotency-Key` was used for."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(primary_key=True)
    request_digest: Mapped[str] = mapped_column(Digest)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    created: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index(None, "created"), Index(None, "run_id"))
