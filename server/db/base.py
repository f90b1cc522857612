"""What all tables share: the declarative base, digests, and the vocabularies that are columns.

Documents that carry an identity (manifest, segment, suite version, drive_key) are JSON, not JSONB:
the text is kept as it was written, so the digest can be computed again. Everything else is JSONB.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import DateTime, Double, Enum, Index, MetaData, String, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase

from suites.vocabulary import CaseStatus, Outcome, RunVerdict, ShardStatus, Status

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
    """Column type of an enum: its words as text, and a CHECK."""
    return Enum(
        enum,
        native_enum=False,
        create_constraint=True,
        length=24,
        name=enum.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
    )


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of the rows that a condition in SQL picks."""
    return Index(name, *columns, unique=unique, postgresql_where=text(where))


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
        CaseStatus: _words(CaseStatus),
        Role: _words(Role),
        OwnerKind: _words(OwnerKind),
    }
