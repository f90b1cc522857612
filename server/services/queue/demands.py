"""Demands: who asks for which rollouts, in which order. Rollouts belong to nobody."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, or_, select
from sqlalchemy.orm import Session

from server.db.base import OwnerKind, Role
from server.db.queue_tables import DemandRow, DriveKeyRow, RolloutRow


class DemandOwner(NamedTuple):
    """A run, proof or search. Probes demand nothing: a demand is answered from the store."""

    kind: OwnerKind
    id: str

    def owns(self, demand: type[DemandRow] = DemandRow) -> ColumnElement[bool]:
        """The condition that a demand is this owner's."""
        return and_(demand.owner_kind == self.kind, demand.owner_id == self.id)


def run_owner(run_id: str) -> DemandOwner:
    """The owner that a run is."""
    return DemandOwner(OwnerKind.RUN, run_id)


def waiting_keys(
    session: Session, owner: DemandOwner, start: int, stop: int
) -> Sequence[Row[str, str, dict[str, Any], int]]:
    """(digest, group_digest, execution, position) of the rollouts that nobody drives yet. Mandatory
    ones come first, then those at positions [start, stop), in the owner's order."""
    key = DriveKeyRow
    return session.execute(
        _missing(owner, key.digest, key.group_digest, key.execution, DemandRow.position)
        .where(key.shard_id.is_(None), key.failure.is_(None), _in_window(start, stop))
        .order_by(DemandRow.mandatory.desc(), DemandRow.position, DemandRow.role)
    ).all()


def shards_in_window(owner: DemandOwner, start: int, stop: int) -> Select[int | None]:
    """Query for the shards that drive what `waiting_keys` looks at."""
    return _missing(owner, DriveKeyRow.shard_id).where(
        DriveKeyRow.shard_id.is_not(None), _in_window(start, stop)
    )


def waiting_owners(session: Session) -> list[DemandOwner]:
    """Proofs and searches that wait for rollouts which nobody drives yet."""
    nobody = (DriveKeyRow.shard_id.is_(None), DriveKeyRow.failure.is_(None))
    owners = _unanswered(DemandRow.owner_kind, DemandRow.owner_id).distinct()
    rows = session.execute(owners.where(DemandRow.owner_kind != OwnerKind.RUN, *nobody))
    return [DemandOwner(*row) for row in rows]


def given_up(session: Session, owner: DemandOwner) -> tuple[str, str] | None:
    """(case, reason) of the first rollout of this owner that ran out of attempts; None: no one."""
    row = session.execute(
        _missing(owner, DemandRow.case_id, DriveKeyRow.failure)
        .where(DriveKeyRow.failure.is_not(None))
        .order_by(DemandRow.position)
        .limit(1)
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def count_missing(session: Session, owner: DemandOwner) -> int:
    """Demanded rollouts that are not stored yet and still can be."""
    return session.scalar(_missing(owner, func.count()).where(DriveKeyRow.failure.is_(None))) or 0


def withdraw(session: Session, owner: DemandOwner, *, mandatory_too: bool) -> None:
    """Take back demands for rollouts that are not stored. What is stored stays the owner's
    evidence. Shards that others wait for go on."""
    stored = select(RolloutRow).where(RolloutRow.drive_key == DemandRow.drive_key).exists()
    unwanted = delete(DemandRow).where(owner.owns(), ~stored)
    session.execute(unwanted if mandatory_too else unwanted.where(~DemandRow.mandatory))


def places(session: Session, owner: DemandOwner) -> set[tuple[int, Role]]:
    """Positions and roles that this owner demands."""
    rows = session.execute(select(DemandRow.position, DemandRow.role).where(owner.owns()))
    return {(position, role) for position, role in rows}


def _in_window(start: int, stop: int) -> ColumnElement[bool]:
    return or_(DemandRow.mandatory, and_(DemandRow.position >= start, DemandRow.position < stop))


def _missing(owner: DemandOwner, *columns: Any) -> Select[*tuple[Any, ...]]:
    return _unanswered(*columns).where(owner.owns())


def _unanswered(*columns: Any) -> Select[*tuple[Any, ...]]:
    """Demands whose rollout is not stored."""
    return (
        select(*columns)
        .select_from(DemandRow)
        .join(DriveKeyRow, DriveKeyRow.digest == DemandRow.drive_key)
        .outerjoin(RolloutRow, RolloutRow.drive_key == DemandRow.drive_key)
        .where(RolloutRow.drive_key.is_(None))
    )
