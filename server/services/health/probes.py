"""Probes: stored rollouts that are driven again, to see whether they repeat to the bit."""

from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.db.health_tables import ProbeRow
from server.db.queue_tables import DriveKeyRow, RolloutRow
from server.problems import Refused
from suites.errors import Finding
from suites.simulators import SIMULATORS
from suites.vocabulary import Outcome

REPEATABLE = (Outcome.COMPLETED, Outcome.FAILED, Outcome.LEFT_TRUST_REGION)
"""How a rollout ended that must end so again; a crashed model or damaged data need not."""


class ProbeView(BaseModel):
    """A stored rollout that is driven again."""

    id: int
    drive_key: str
    asked: datetime
    driven: datetime | None
    worker: str | None
    equal: bool | None
    """Null while it waits, or where it could not be driven."""
    error: str


def ask_probes(session: Session, count: int) -> tuple[list[ProbeView], dict[str, list[int]]]:
    """Choose stored rollouts at random, of simulators at their current version. The probes, and
    their numbers by the device that must drive them. Raises Refused (409) where nothing is
    stored."""
    device = DriveKeyRow.execution["device"].astext
    simulator = DriveKeyRow.key["simulator"]
    named = func.concat(simulator["name"].as_string(), " ", simulator["version"].as_string())
    current = named.in_(f"{name} {kind.version}" for name, kind in SIMULATORS.items())
    chosen = session.execute(
        select(RolloutRow.drive_key, device)
        .join(DriveKeyRow, DriveKeyRow.digest == RolloutRow.drive_key)
        .where(RolloutRow.outcome.in_(REPEATABLE), current)
        .order_by(func.random())
        .limit(count)
    ).all()
    if not chosen:
        problem = "none is stored at the current version of its simulator"
        finding = Finding("rollouts", problem, "submit a run first")
        raise Refused("not-now", "there is nothing to drive again", finding)
    probes = [ProbeRow(drive_key=key) for key, _ in chosen]
    session.add_all(probes)
    session.flush()
    by_device: dict[str, list[int]] = {}
    for probe, (_, where) in zip(probes, chosen, strict=True):
        session.refresh(probe)
        by_device.setdefault(where, []).append(probe.id)
    return [ProbeView.model_validate(probe, from_attributes=True) for probe in probes], by_device


def read_probes(session: Session, numbers: list[int]) -> list[ProbeView]:
    """The probes with these numbers, in order."""
    rows = session.scalars(select(ProbeRow).where(ProbeRow.id.in_(numbers)).order_by(ProbeRow.id))
    return [ProbeView.model_validate(row, from_attributes=True) for row in rows]
