"""Claims, fences and heartbeats on a real database."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from server.db.queue_tables import DriveKeyRow, ShardRow, WorkerRow
from server.storage import BlobStore
from suites.errors import MachineError
from workers.leases import WorkerName, claim, depart, heartbeat
from workers.tests.shards import (
    LEASE_S,
    ME,
    Sessions,
    add_shard,
    key,
    must_take,
    put,
    requeue,
    rollout,
    shard_of,
    take,
)

pytestmark = pytest.mark.services


class TestClaim:
    def test_by_priority_then_age_and_only_for_its_device(self, sessions: Sessions) -> None:
        add_shard(sessions, 0, device="cuda")
        later, first, second = (
            add_shard(sessions, 1, priority=9),
            add_shard(sessions, 2),
            add_shard(sessions, 3),
        )
        assert [must_take(sessions, pid).shard for pid in (1, 2, 3)] == [first, second, later]
        assert take(sessions, 4) is None

    def test_a_runtime_that_only_another_worker_has_is_left_to_it_while_it_is_up(
        self, sessions: Sessions
    ) -> None:
        number = add_shard(sessions, 1)
        openvino = {
            "runtime": "openvino",
            "version": "2026.1",
            "precision": "bfloat16",
            "device": "cpu",
        }
        long_ago = func.now() - timedelta(seconds=2 * LEASE_S)
        with sessions.begin() as session:
            session.execute(
                update(ShardRow).values(execution=openvino, created=long_ago, not_before=long_ago)
            )
            session.add(
                WorkerRow(
                    name="other",
                    host="h",
                    device="cpu",
                    concurrency=1,
                    runtimes={"openvino/bfloat16": "2026.1"},
                )
            )
        assert take(sessions) is None
        with sessions.begin() as session:
            assert not heartbeat(session, ME, LEASE_S, list), (
                "what waits for another does not starve this one"
            )
            held = claim(session, "other/1", "cpu", {"openvino/bfloat16": "2026.1"}, LEASE_S)
            assert held is not None
            assert held.shard == number
        requeue(sessions)
        with sessions.begin() as session:
            others = {"openvino/float32": "2026.1", "openvino/bfloat16": "2026.2"}
            session.execute(
                update(WorkerRow).where(WorkerRow.name == "other").values(runtimes=others)
            )
        assert must_take(sessions).shard == number, "nobody has it: taken, to say so"

    def test_two_workers_never_hold_the_same_shard(self, sessions: Sessions) -> None:
        one, two = add_shard(sessions, 1), add_shard(sessions, 2)
        with sessions.begin() as mine, sessions.begin() as theirs:
            a, b = claim(mine, "a/1", "cpu", {}, LEASE_S), claim(theirs, "b/1", "cpu", {}, LEASE_S)
        assert a is not None
        assert b is not None
        assert {a.shard, b.shard} == {one, two}

    def test_only_what_is_left_is_driven(self, sessions: Sessions, blobs: BlobStore) -> None:
        add_shard(sessions, 1, 2)
        put(sessions, must_take(sessions), rollout(1), blobs)
        requeue(sessions)
        assert [k.repeat for k in must_take(sessions).keys] == [2]

    def test_a_shard_that_waits_after_a_failure_is_left_alone(self, sessions: Sessions) -> None:
        add_shard(sessions, 1)
        with sessions.begin() as session:
            session.execute(update(ShardRow).values(not_before=func.now() + timedelta(hours=1)))
        assert take(sessions) is None

    def test_a_process_that_asks_again_holds_nothing_from_before(self, sessions: Sessions) -> None:
        number = add_shard(sessions, 1)
        add_shard(sessions, 2)
        must_take(sessions)
        must_take(sessions)
        assert shard_of(sessions, number).error == "left behind by its process"

    def test_a_key_that_reads_back_differently_is_refused(self, sessions: Sessions) -> None:
        add_shard(sessions, 1)
        with sessions.begin() as session:
            row = session.get_one(DriveKeyRow, key(1).digest)
            row.key = {**row.key, "repeat": 77}
        with pytest.raises(MachineError, match="reads back"):
            take(sessions)


class TestHeartbeat:
    def beat(self, sessions: Sessions, *living: int) -> bool:
        with sessions.begin() as session:
            return heartbeat(session, ME, LEASE_S, lambda: living)

    def ended(self, sessions: Sessions, number: int) -> bool:
        with sessions() as session:
            return bool(
                session.scalar(
                    select(ShardRow.lease_until <= func.now()).where(ShardRow.id == number)
                )
            )

    def test_the_living_keep_and_the_dead_lose_their_leases(self, sessions: Sessions) -> None:
        kept, lost = add_shard(sessions, 1), add_shard(sessions, 2)
        must_take(sessions, pid=1)
        must_take(sessions, pid=2)
        with sessions.begin() as session:
            session.execute(
                update(ShardRow).values(lease_until=func.now() + timedelta(seconds=LEASE_S / 4))
            )
        self.beat(sessions, 1)
        assert not self.ended(sessions, kept)
        assert self.ended(sessions, lost)
        with sessions() as session:
            almost = func.now() + timedelta(seconds=LEASE_S / 2)
            assert session.scalar(select(ShardRow.lease_until > almost).where(ShardRow.id == kept))
        assert "its process died" in (shard_of(sessions, lost).error or "")

    def test_it_says_what_the_worker_can_run(self, sessions: Sessions) -> None:
        with sessions.begin() as session:  # it was killed, and came back as something else
            session.add(
                WorkerRow(
                    name="me",
                    host="there",
                    device="cuda",
                    concurrency=9,
                    runtimes={"openvino/float32": "2026.1"},
                )
            )
        self.beat(sessions)
        self.beat(sessions)
        with sessions() as session:
            row = session.get_one(WorkerRow, "me")
            told = WorkerName(
                name="me",
                host=row.host,
                device=row.device,
                concurrency=row.concurrency,
                runtimes=row.runtimes,
            )
            assert told == ME

    def test_a_lease_that_ended_is_not_revived(self, sessions: Sessions) -> None:
        number = add_shard(sessions, 1)
        must_take(sessions, pid=1)
        with sessions.begin() as session:
            session.execute(update(ShardRow).values(lease_until=func.now()))
        self.beat(sessions, 1)
        assert self.ended(sessions, number)

    def test_an_orderly_end_costs_no_attempt(self, sessions: Sessions) -> None:
        number = add_shard(sessions, 1)
        self.beat(sessions, 1)
        must_take(sessions, pid=1)
        with sessions.begin() as session:
            depart(session, ME)
        assert self.ended(sessions, number)
        assert shard_of(sessions, number).attempt == 0
        with sessions() as session:
            assert session.scalar(select(func.count()).select_from(WorkerRow)) == 0

    def test_it_starves_when_shards_wait_and_it_holds_none(self, sessions: Sessions) -> None:
        add_shard(sessions, 1)
        assert not self.beat(sessions, 1), "it has just been queued"
        with sessions.begin() as session:
            long_ago = func.now() - timedelta(seconds=2 * LEASE_S)
            session.execute(update(ShardRow).values(created=long_ago, not_before=long_ago))
        assert self.beat(sessions, 1)
        must_take(sessions, pid=1)
        assert not self.beat(sessions, 1)
