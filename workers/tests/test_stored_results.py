"""What is stored of a rollout, once and under its lease, on a real database."""

import pytest
from sqlalchemy import func, select

from server.db.bank_tables import SegmentRow
from server.db.health_tables import AlarmRow, EventRow
from server.db.queue_tables import ResultRow, RolloutRow, ShardRow
from server.storage import BlobStore
from suites.metrics import measure
from suites.rollout import Rollout
from suites.vocabulary import Outcome, ShardStatus
from workers.leases import LeaseLostError, finish, release
from workers.stored_results import trace_bits
from workers.tests.shards import (
    Sessions,
    add_shard,
    key,
    must_take,
    put,
    requeue,
    rollout,
    shard_of,
)

pytestmark = pytest.mark.services


class TestStore:
    def test_once_with_its_results_and_trace(self, sessions: Sessions, blobs: BlobStore) -> None:
        number = add_shard(sessions, 1)
        held, made = must_take(sessions), rollout(1)
        assert put(sessions, held, made, blobs)
        with sessions.begin() as session:
            finish(session, held)
        with sessions() as session:
            row = session.get_one(RolloutRow, key(1).digest)
            assert made.trace is not None
            assert blobs.get(row.trace_sha256 or "") == made.trace.to_bytes()
            assert (
                session.scalar(select(func.count()).select_from(ResultRow))
                == len(measure(made.trace, made.outcome))
                > 0
            )
        assert shard_of(sessions, number).status is ShardStatus.DONE

    def test_the_same_bits_again_change_nothing(self, sessions: Sessions, blobs: BlobStore) -> None:
        add_shard(sessions, 1)
        held = must_take(sessions)
        assert put(sessions, held, rollout(1), blobs)
        assert not put(sessions, held, rollout(1, wall_s=0.7), blobs), "wall times are not judged"
        with sessions() as session:
            assert session.scalar(select(func.count()).select_from(AlarmRow)) == 0

    def test_other_bits_raise_an_alarm_and_are_not_stored(
        self, sessions: Sessions, blobs: BlobStore
    ) -> None:
        add_shard(sessions, 1)
        held = must_take(sessions)
        first = rollout(1)
        put(sessions, held, first, blobs)
        put(sessions, held, rollout(1, speed=20.000001), blobs)
        assert first.trace is not None
        with sessions() as session:
            alarm = session.scalars(select(AlarmRow)).one()
            assert (alarm.kind, alarm.drive_key) == ("unequal_bits", key(1).digest)
            assert session.get_one(RolloutRow, key(1).digest).trace_bits == trace_bits(first.trace)

    def test_whoever_lost_the_lease_writes_nothing(
        self, sessions: Sessions, blobs: BlobStore
    ) -> None:
        add_shard(sessions, 1)
        before = must_take(sessions)
        requeue(sessions)
        after = must_take(sessions, pid=2)
        with pytest.raises(LeaseLostError):
            put(sessions, before, rollout(1), blobs)
        with sessions.begin() as session:
            release(session, before, "us", "too late")
        with sessions() as session:
            assert session.scalar(select(func.count()).select_from(RolloutRow)) == 0
            assert session.get_one(ShardRow, after.shard).error is None
        assert put(sessions, after, rollout(1), blobs)

    def test_damaged_data_quarantines_the_segment(
        self, sessions: Sessions, blobs: BlobStore
    ) -> None:
        add_shard(sessions, 1)
        with sessions.begin() as session:
            session.add(
                SegmentRow(
                    segment_id="s",
                    digest="d" * 64,
                    route="s",
                    kind="camera",
                    tags=[],
                    duration_s=1.0,
                    meta={},
                )
            )
        damaged = Rollout(
            key=key(1),
            outcome=Outcome.DATA_INVALID,
            reason="frames.mp4 is cut",
            ended_s=0.0,
            trace=None,
        )
        put(sessions, must_take(sessions), damaged, blobs)
        with sessions() as session:
            assert session.get_one(SegmentRow, "s").quarantined == "frames.mp4 is cut"
            (event,) = session.scalars(select(EventRow).where(EventRow.subject_id == "s"))
            assert (event.kind, event.actor, event.detail["reason"]) == (
                "segment.quarantined",
                "me/1",
                "frames.mp4 is cut",
            )
