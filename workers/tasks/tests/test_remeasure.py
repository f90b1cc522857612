"""The remeasure task, on a real database."""

import pytest
from sqlalchemy import select

from server.db.queue_tables import ResultRow, RolloutRow
from server.storage import BlobStore
from suites.conditions import result_name
from workers.process import Process
from workers.tasks.remeasure import remeasure
from workers.tests.shards import Sessions, add_shard, key, must_take, put, rollout

pytestmark = pytest.mark.services


class TestRemeasure:
    def test_metrics_and_conditions_are_read_from_the_trace(
        self, here: Process, sessions: Sessions, blobs: BlobStore
    ) -> None:
        add_shard(sessions, 1)
        put(sessions, must_take(sessions), rollout(1), blobs)
        fast = {"name": "fast", "always": {"signal": "speed_mps", "above": 25}}
        remeasure([key(1).digest], ["lataccel_cost"], [fast])
        with sessions() as session:
            added = session.get_one(ResultRow, (key(1).digest, "lataccel_cost", 1))
            assert not added.valid, "its columns are not there, and that is said"
            condition = session.scalars(
                select(ResultRow).where(ResultRow.metric == result_name(fast))
            ).one()
            assert (condition.value, condition.instant_s) == (0.0, 0.0)

    def test_a_lost_trace_is_invalid_and_never_zero(
        self, here: Process, sessions: Sessions, blobs: BlobStore
    ) -> None:
        add_shard(sessions, 1)
        put(sessions, must_take(sessions), rollout(1), blobs)
        with sessions() as session:
            blobs.path(session.get_one(RolloutRow, key(1).digest).trace_sha256 or "").unlink()
        remeasure([key(1).digest], ["lataccel_cost"], [])
        with sessions() as session:
            assert "lost" in session.get_one(ResultRow, (key(1).digest, "lataccel_cost", 1)).reason
