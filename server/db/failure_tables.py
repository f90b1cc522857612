"""Tables of failures on their way to a test: reports, drafts of cases, ratchet, waivers."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, String, func, text
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column

from server.db.base import Base, Digest, partial_index
from suites.vocabulary import CaseStatus


class FieldReportRow(Base):
    """What a driver of the fleet complained of. Never deleted: its status says what came of it."""

    __tablename__ = "field_reports"

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    route: Mapped[str]
    """As it was pasted."""
    place: Mapped[str]
    """The same for all ways of writing it (suites.segment_lookup.same_place)."""
    time_s: Mapped[float]
    text: Mapped[str]
    model_version: Mapped[str] = mapped_column(server_default="")
    severity: Mapped[str] = mapped_column(String(10))
    reporter: Mapped[str]
    status: Mapped[CaseStatus]
    reason: Mapped[str] = mapped_column(server_default="")
    """Why it is where it is: not reproduced, rejected ..."""
    segment_id: Mapped[str | None]
    segment_time_s: Mapped[float | None]
    signature: Mapped[str]
    """What kind of complaint it is, from its words."""
    cluster: Mapped[str] = mapped_column(String(20))
    """Id of the first report of that place and signature."""
    version: Mapped[int] = mapped_column(server_default="1")
    created: Mapped[datetime] = mapped_column(server_default=func.now())
    updated: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (
        Index(None, "created", "id"),
        Index(None, "cluster"),
        Index(None, "status"),
        Index(None, "place"),
        Index(None, "segment_id"),
        CheckConstraint("(segment_id IS NULL) = (segment_time_s IS NULL)", name="located_whole"),
    )


class CaseDraftRow(Base):
    """A case that is to be: its models, its proof, and the suite version that it became part of."""

    __tablename__ = "case_drafts"

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    suite: Mapped[str]
    name: Mapped[str]
    status: Mapped[CaseStatus]
    report_id: Mapped[str | None] = mapped_column(ForeignKey("field_reports.id"))
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    note: Mapped[str]
    """Why it exists."""
    author: Mapped[str] = mapped_column(server_default="")
    offender: Mapped[str] = mapped_column(ForeignKey("models.digest"))
    control: Mapped[str] = mapped_column(ForeignKey("models.digest"))
    simulator: Mapped[dict[str, Any]] = mapped_column(JSON)
    """suites.rollout.SimulatorSpec."""
    segment_id: Mapped[str]
    segment_digest: Mapped[str] = mapped_column(Digest)
    at_s: Mapped[float]
    """The surprise, from the segment's start."""
    asked: Mapped[dict[str, Any] | None]
    """suites.definition.suite_schema.CaseSpec as a person wrote it. Without conditions they are
    proposed from where the offender leaves the control's behaviour, beginning with its offset."""
    spec: Mapped[dict[str, Any] | None]
    """suites.definition.suite_schema.CaseSpec that was proven; NULL until then."""
    as_written: Mapped[bool] = mapped_column(server_default=text("false"))
    """Window and offset of `asked` stay as they are. Else they shrink while the offender fails."""
    draws: Mapped[int] = mapped_column(SmallInteger)
    told: Mapped[str] = mapped_column(server_default="")
    """What the offender did, in one sentence."""
    reason: Mapped[str] = mapped_column(server_default="")
    """Why it is quarantined or rejected."""
    proof: Mapped[dict[str, Any] | None]
    """suites.case_proof.proving.Proof; NULL while it is driven."""
    suite_digest: Mapped[str | None] = mapped_column(ForeignKey("suite_versions.digest"))
    """The version that it became part of."""
    version: Mapped[int] = mapped_column(server_default="1")
    """Grows with every change: who accepts names the one that was read."""
    created: Mapped[datetime] = mapped_column(server_default=func.now())
    updated: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (
        Index(None, "created", "id"),
        Index(None, "report_id"),
        Index(None, "run_id"),
        Index(None, "suite", "name"),
        partial_index("ix_case_drafts_proving", "created", where="status = 'located'"),
        CheckConstraint(
            "status <> 'enforced' OR suite_digest IS NOT NULL", name="enforced_somewhere"
        ),
    )


class RatchetRow(Base):
    """A case that no version of its suite may drop or change any more."""

    __tablename__ = "ratchet"

    suite: Mapped[str] = mapped_column(ForeignKey("suites.name"), primary_key=True)
    case: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str | None] = mapped_column(ForeignKey("models.digest"))
    """The released model that passed it; NULL: enforced by a person's acceptance."""
    since: Mapped[datetime] = mapped_column(server_default=func.now())


class WaiverRow(Base):
    """Somebody answers for a failing case, for a time."""

    __tablename__ = "waivers"

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    suite: Mapped[str] = mapped_column(ForeignKey("suites.name"))
    case: Mapped[str]
    owner: Mapped[str]
    reason: Mapped[str]
    because_of: Mapped[str | None]
    """Another waived case of the suite with the same cause."""
    expires: Mapped[datetime]
    created: Mapped[datetime] = mapped_column(server_default=func.now())
    revoked: Mapped[datetime | None]

    @property
    def state(self) -> str:
        """`in force`, `expired` or `revoked`, as of now."""
        if self.revoked is None:
            return "in force" if datetime.now(UTC) < self.expires else "expired"
        return "revoked" if self.revoked < self.expires else "expired"

    @property
    def words(self) -> str:
        """As it stands on every verdict that it touches."""
        return f"waived by {self.owner} until {self.expires:%Y-%m-%d}: {self.reason}"

    __table_args__ = (
        partial_index("uq_waivers_in_force", "suite", "case", where="revoked IS NULL", unique=True),
        CheckConstraint("expires > created", name="expires_later"),
    )
