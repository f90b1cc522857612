"""New demands: ask for rollouts, whether they exist already or not."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.broker import notify
from server.db.base import Role
from server.db.queue_tables import DemandRow, DriveKeyRow
from server.services.queue.demands import DemandOwner
from suites.rollout import DriveKey

MANY = 1000
"""Demands from which the database is told of them at once. Until its own statistics follow, in a
minute or so, it would take a run for one row and join the pairs of 6,000 by nested loops: 3 s for
each look at its progress instead of 0.02 s."""


class NewDemand(NamedTuple):
    """One rollout that is asked for."""

    position: int
    role: Role
    case_id: str
    route: str
    mandatory: bool
    key: DriveKey


def add_demands(session: Session, owner: DemandOwner, demands: Iterable[NewDemand]) -> None:
    """Ask for these rollouts. Those that exist, for whomever they were driven, are simply found. A
    drive_key that ran out of attempts before is tried again."""
    keys: dict[str, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    for demand in demands:
        key = demand.key
        digest = key.digest
        keys[digest] = {
            "digest": digest,
            "key": key,
            "model": key.model,
            "segment_id": key.scenario.segment_id,
            "group_digest": key.group,
            "execution": key.execution,
        }
        wanted = demand._asdict()
        del wanted["key"]
        rows.append(wanted | {"owner_kind": owner.kind, "owner_id": owner.id, "drive_key": digest})
    again = insert(DriveKeyRow).on_conflict_do_update(
        index_elements=["digest"],
        set_={"failure": None, "shard_id": None},
        where=DriveKeyRow.failure.is_not(None),
    )
    # sorted: two submissions lock rows in one order
    session.execute(again, [keys[digest] for digest in sorted(keys)])
    session.execute(insert(DemandRow), rows)
    if len(rows) >= MANY:
        session.execute(text("ANALYZE demands, drive_keys"))
    notify(session)
