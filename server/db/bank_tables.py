"""Tables of what there is to drive and to judge by: models, segments, suites."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, select
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, column_property, mapped_column

from server.db.base import Base, Digest, partial_index


class ModelRow(Base):
    """A registered model; its graphs lie in the blob store."""

    __tablename__ = "models"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    manifest: Mapped[dict[str, Any]] = mapped_column(JSON)
    created: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index(None, "created", "digest"), Index(None, "name"))


class QuarantineRow(Base):
    """Bytes of a segment that are kept out of new suite versions, whenever they are imported."""

    __tablename__ = "quarantines"

    segment_digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    reason: Mapped[str]
    since: Mapped[datetime] = mapped_column(server_default=func.now())


class SegmentRow(Base):
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
        select(QuarantineRow.reason).where(QuarantineRow.segment_digest == digest).scalar_subquery()
    )
    """Why it is kept out of new suite versions; NULL: it isn't."""

    __table_args__ = (
        Index(None, "digest"),
        Index(None, "route"),
        Index(None, "tags", postgresql_using="gin"),
    )


class SuiteRow(Base):
    """A name that suite versions are made under."""

    __tablename__ = "suites"

    name: Mapped[str] = mapped_column(primary_key=True)
    promoted: Mapped[str | None] = mapped_column(ForeignKey("models.digest"))
    """The model that candidates meet when no baseline is named."""
    created: Mapped[datetime] = mapped_column(server_default=func.now())


class SuiteVersionRow(Base):
    """A suite resolved against stored segments; immutable, linear."""

    __tablename__ = "suite_versions"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    suite: Mapped[str] = mapped_column(ForeignKey("suites.name"))
    number: Mapped[int | None]
    """1, 2, 3 ... along the line. NULL: a cut to fewer routes, which is never the newest."""
    parent: Mapped[str | None] = mapped_column(ForeignKey("suite_versions.digest"))
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Canonical suites.definition.suite_schema.SuiteVersion."""
    planned: Mapped[int]
    """Rollouts of one model that the version asks for."""
    created: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("suite", "number"),
        partial_index("uq_suite_versions_line", "parent", where="number IS NOT NULL", unique=True),
        CheckConstraint("planned > 0", name="planned_positive"),
    )
