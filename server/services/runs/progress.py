"""Progress of a run, from counts alone: how far, how fast, how rollouts ended, the worst so far."""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Float, cast, func, select
from sqlalchemy.orm import Session

from server.db.bank_tables import SuiteVersionRow
from server.db.base import Role
from server.db.queue_tables import DemandRow, DriveKeyRow, RolloutRow, ShardRow
from server.db.run_tables import RunRow
from server.services.queue.demands import run_owner
from server.services.queue.gauges import RATE_WINDOW_S
from server.services.queue.paired_demands import PairedDemands
from suites.metrics.registry import METRICS
from suites.statistics.contrasts import sign_of
from suites.vocabulary import UNDERWAY, Outcome, ShardStatus


class WorstCase(BaseModel):
    """The case where the candidate lost most to the baseline so far: a place to look at, not a
    verdict."""

    case_id: str
    metric: str
    """Of the suite's first critical gate."""
    unit: str
    candidate: float
    baseline: float


class Progress(BaseModel):
    """Counts of rollouts (two to a pair), without any verdict."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    done: int
    """Rollouts that this run asked for and that are stored, driven for it or found."""
    total: int
    """Rollouts that it still asks for, and those done: a decision makes it smaller."""
    driving: int
    """In shards that a worker holds now."""
    rollouts_per_s: float | None
    """Of this run, over the last minute; null when nothing was driven in it."""
    seconds_left: float | None
    """At that rate; null when it isn't known, 0 when nothing is left."""
    outcomes: dict[str, dict[str, int]]
    """{"candidate": {outcome: count}, "baseline": {...}}."""
    infra_failed: int
    """Rollouts that could not be driven in all attempts: the run can't be decided on them."""
    errors: dict[str, int]
    """Shards of this run whose last attempt failed, by who must act: submitter, data, machine."""
    worst: WorstCase | None


def read_progress(session: Session, run: RunRow) -> Progress:
    """Progress of one run: six statements, whatever its size."""
    mine = run_owner(run.id).owns()
    counts = session.execute(
        select(DemandRow.role, RolloutRow.outcome, func.count())
        .outerjoin(RolloutRow, RolloutRow.drive_key == DemandRow.drive_key)
        .where(mine)
        .group_by(DemandRow.role, RolloutRow.outcome)
    ).all()
    outcomes: dict[str, dict[str, int]] = {Role.CANDIDATE.value: {}, Role.BASELINE.value: {}}
    for role, outcome, count in counts:
        if outcome is not None:
            outcomes[role.value][outcome.value] = count
    total = sum(count for _, _, count in counts)
    done = sum(sum(by_outcome.values()) for by_outcome in outcomes.values())
    over = run.status not in UNDERWAY
    rate = None if over else _rate(session, run)
    keys = select(DemandRow.drive_key).where(mine)
    of_mine = select(DriveKeyRow.shard_id).where(DriveKeyRow.digest.in_(keys))
    errors = session.execute(
        select(ShardRow.error_owner, func.count())
        .where(ShardRow.id.in_(of_mine), ShardRow.error_owner.is_not(None))
        .group_by(ShardRow.error_owner)
    ).all()
    driving = session.scalar(
        select(func.count())
        .select_from(DriveKeyRow)
        .join(ShardRow, ShardRow.id == DriveKeyRow.shard_id)
        .outerjoin(RolloutRow, RolloutRow.drive_key == DriveKeyRow.digest)
        .where(DriveKeyRow.digest.in_(keys), RolloutRow.drive_key.is_(None))
        .where(ShardRow.status == ShardStatus.LEASED)
    )
    failed = session.scalar(
        select(func.count())
        .select_from(DriveKeyRow)
        .where(DriveKeyRow.digest.in_(keys), DriveKeyRow.failure.is_not(None))
    )
    left = total - done
    return Progress(
        done=done,
        total=total,
        driving=driving or 0,
        rollouts_per_s=rate,
        infra_failed=failed or 0,
        seconds_left=0.0 if over or not left else left / rate if rate else None,
        outcomes=outcomes,
        errors={str(owner): count for owner, count in errors},
        worst=_worst(session, run),
    )


def _rate(session: Session, run: RunRow) -> float | None:
    """Rollouts of this run that were driven in the last minute of its life, per second."""
    a_minute_ago = func.now() - timedelta(seconds=RATE_WINDOW_S)
    since = func.greatest(func.coalesce(run.started, func.now()), a_minute_ago)
    count, seconds = session.execute(
        select(func.count(), cast(func.extract("epoch", func.now() - func.min(since)), Float))
        .select_from(DemandRow)
        .join(RolloutRow, RolloutRow.drive_key == DemandRow.drive_key)
        .where(run_owner(run.id).owns(), RolloutRow.created >= since)
    ).one()
    return count / seconds if count and seconds else None


def _worst(session: Session, run: RunRow) -> WorstCase | None:
    """By the first critical gate's metric: the pair with the largest loss."""
    suite = select(SuiteVersionRow.document["suite"]["gates"])
    gates = session.scalar(suite.where(SuiteVersionRow.digest == run.suite_digest)) or []
    critical = (gate["metric"] for gate in gates if gate["critical"])
    metric = next((METRICS[name] for name in critical if name in METRICS), None)
    if metric is None:
        return None
    pairs = PairedDemands(run_owner(run.id), (metric.name, metric.version))
    demand = pairs.candidate.demand
    candidate = pairs.candidate.result
    baseline = pairs.baseline.result
    loss = (candidate.value - baseline.value) * sign_of(metric.name)
    scored = pairs.candidate.rollout.outcome != Outcome.DATA_INVALID
    row = session.execute(
        pairs.select(demand.case_id, candidate.value, baseline.value)
        .where(candidate.valid, baseline.valid, scored, loss > 0)
        .order_by(loss.desc(), demand.position)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return WorstCase(
        case_id=row[0], metric=metric.name, unit=metric.unit, candidate=row[1], baseline=row[2]
    )
