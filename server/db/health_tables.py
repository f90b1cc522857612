"""Tables of what the service finds out about itself, and of the audit trail."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from server.db.base import Base, Digest, partial_index


class AlarmRow(Base):
    """Something that must never happen did: a person has to look."""

    __tablename__ = "alarms"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    """`unequal_bits`: one drive_key gave two traces. `bad_worker`: its rollouts lie differently.
    `self_check`: the judge errs more often than it may."""
    drive_key: Mapped[str | None] = mapped_column(Digest)
    detail: Mapped[dict[str, Any]]
    created: Mapped[datetime] = mapped_column(server_default=func.now())
    acknowledged: Mapped[datetime | None]

    __table_args__ = (partial_index("ix_alarms_open", "created", where="acknowledged IS NULL"),)


class SelfCheckRow(Base):
    """What a self-check of the judge showed on the stored results of a run."""

    __tablename__ = "self_checks"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    suite_digest: Mapped[str] = mapped_column(ForeignKey("suite_versions.digest"))
    report: Mapped[dict[str, Any]]
    """suites.verdict.planted_effects.SelfCheck."""
    faults: Mapped[list[str]]
    """What errs more often than alpha; empty: nothing does, as far as was seen."""
    created: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index(None, "run_id"), Index(None, "suite_digest"))


class ProbeRow(Base):
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


class NightRow(Base):
    """The standing checks of one night: made once, by whichever coordinator acts."""

    __tablename__ = "nights"

    night: Mapped[date] = mapped_column(primary_key=True)
    """The UTC day on which it was due."""
    started: Mapped[datetime] = mapped_column(server_default=func.now())
    finished: Mapped[datetime | None]
    """NULL while it is being made, or for ever where it was cut short."""
    report: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    """server.services.health.checks.NightReport."""
    error: Mapped[str] = mapped_column(server_default="")
    """Why it was cut short."""


class EventRow(Base):
    """Audit trail: what was done to what, when, by whom. Rows are only added."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    kind: Mapped[str] = mapped_column(String(60))
    """Verb in the past: `run.submitted`, `model.registered`, `segment.quarantined`."""
    subject_kind: Mapped[str] = mapped_column(String(20))
    subject_id: Mapped[str]
    actor: Mapped[str] = mapped_column(server_default="")
    request_id: Mapped[str] = mapped_column(server_default="")
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))

    __table_args__ = (Index(None, "subject_kind", "subject_id", "id"),)
