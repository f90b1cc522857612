"""Progress of a run: counts, rate, the worst case, in a bounded number of statements."""

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session, sessionmaker

from server.db.base import Role
from server.db.queue_tables import DriveKeyRow, RolloutRow, ShardRow
from server.db.run_tables import RunRow
from server.services.runs.progress import read_progress
from server.tests.stage import Stage
from suites.vocabulary import Outcome, ShardStatus

pytestmark = pytest.mark.services


def test_counts_rate_and_the_worst_case(overall: Stage, sessions: sessionmaker[Session]) -> None:
    overall.pair(0)
    overall.end(Role.CANDIDATE, 1, Outcome.FAILED, value=0.9)
    overall.end(Role.BASELINE, 1, value=0.2)
    with sessions.begin() as session:
        keys = session.scalars(
            select(DriveKeyRow).where(~DriveKeyRow.digest.in_(select(RolloutRow.drive_key)))
        ).all()
        shard = ShardRow(
            drive_keys=[k.digest for k in keys[:3]],
            group_digest="g",
            execution={},
            status=ShardStatus.LEASED,
            lease_until=func.now(),
            error_owner="machine",
            error="no memory",
        )
        session.add(shard)
        session.flush()
        for row in keys[:3]:
            row.shard_id = shard.id
        keys[3].failure = "given up"
        session.get_one(RunRow, overall.run_id).started = session.scalar(
            select(func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 10))
        )
    with sessions() as session:
        progress = read_progress(session, session.get_one(RunRow, overall.run_id))
    assert (progress.done, progress.total, progress.driving, progress.infra_failed) == (4, 24, 3, 1)
    assert progress.outcomes == {
        "candidate": {"completed": 1, "failed": 1},
        "baseline": {"completed": 2},
    }
    assert progress.errors == {"machine": 1}
    assert progress.rollouts_per_s == pytest.approx(4 / 10, rel=0.2)
    assert progress.seconds_left == pytest.approx(20 / (4 / 10), rel=0.2)
    assert progress.worst is not None
    assert (progress.worst.candidate, progress.worst.baseline, progress.worst.unit) == (
        0.9,
        0.2,
        "m",
    )


def test_the_number_of_statements_does_not_grow_with_the_run(
    overall: Stage, sessions: sessionmaker[Session]
) -> None:
    for position in range(6):
        overall.pair(position)
    statements: list[str] = []
    with sessions() as session:
        run = session.get_one(RunRow, overall.run_id)
        event.listen(
            session.connection(), "before_cursor_execute", lambda *seen: statements.append(seen[2])
        )
        read_progress(session, run)
    assert len(statements) <= 7
