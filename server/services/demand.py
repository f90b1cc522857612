"""Demands: who asks for which rollouts, in which order. Rollouts belong to nobody."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, and_, delete, func, or_, select
from sqlalchemy.orm import Session

from server.db.models import Demand, DriveKeyRow, OwnerKind, RolloutRow


class Owner(NamedTuple):
    """A run, proof, probe or search."""

    kind: OwnerKind
    id: str


def waiting_keys(session: Session, owner: Owner, start: int, stop: int) -> Sequence[Row[str, str, dict[str, Any]]]:
    """(digest, group_digest, execution) of rollouts that nobody drives yet, mandatory ones first, then those at positions
    [start, stop), in the owner's order."""
    query = (
        _missing(owner, DriveKeyRow.digest, DriveKeyRow.group_digest, DriveKeyRow.execution)
        .where(
            DriveKeyRow.shard_id.is_(None),
            DriveKeyRow.failure.is_(None),
            or_(Demand.mandatory, and_(Demand.position >= start, Demand.position < stop)),
        )
        .order_by(Demand.mandatory.desc(), Demand.position, Demand.role)
    )
    return session.execute(query).all()


def given_up(session: Session, owner: Owner) -> tuple[str, str] | None:
    """(case, reason) of the first rollout that this owner waits for and that ran out of attempts; None: nothing is lost."""
    row = session.execute(
        _missing(owner, Demand.case_id, DriveKeyRow.failure)
        .where(DriveKeyRow.failure.is_not(None))
        .order_by(Demand.position)
        .limit(1)
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def count_missing(session: Session, owner: Owner) -> int:
    """Demanded rollouts that are not stored yet."""
    return session.scalar(_missing(owner, func.count())) or 0


def withdraw(session: Session, owner: Owner, *, mandatory_too: bool) -> int:
    """Take back demands for rollouts that are not stored; returns how many. What is stored stays the owner's evidence, and
    shards that others wait for go on."""
    unwanted = _missing(owner, Demand.position, Demand.role).where(
        Demand.mandatory.is_not(True) if not mandatory_too else Demand.position >= 0
    )
    found = session.execute(unwanted).all()
    for role in {row.role for row in found}:
        session.execute(
            delete(Demand).where(
                Demand.owner_kind == owner.kind,
                Demand.owner_id == owner.id,
                Demand.role == role,
                Demand.position.in_([row.position for row in found if row.role == role]),
            )
        )
    return len(found)


def _missing(owner: Owner, *columns: Any) -> Select[*tuple[Any, ...]]:
    return (
        select(*columns)
        .select_from(Demand)
        .join(DriveKeyRow, DriveKeyRow.digest == Demand.drive_key)
        .outerjoin(RolloutRow, RolloutRow.drive_key == Demand.drive_key)
        .where(Demand.owner_kind == owner.kind, Demand.owner_id == owner.id, RolloutRow.drive_key.is_(None))
    )
