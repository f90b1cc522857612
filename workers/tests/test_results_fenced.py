"""Claims, fences, heartbeats and results on a real database."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session, sessionmaker

from server.db.bank_tables import ModelRow, SegmentRow
from server.db.engine import make_engine, make_sessions
from server.db.health_tables import AlarmRow, EventRow
from server.db.queue_tables import DriveKeyRow, ResultRow, RolloutRow, ShardRow, WorkerRow
from server.settings import Settings
from server.storage import BlobStore
from suites.conditions import result_name
from suites.errors import MachineError
from suites.metrics import measure
from suites.rollout import DriveKey, ExecutionClass, Rollout, Scenario, SimulatorSpec, Trace
from suites.vocabulary import Outcome, ShardStatus
from workers import process as process_module
from workers import tasks
from workers.leases import (
    Claim,
    LeaseLostError,
    WorkerName,
    claim,
    depart,
    finish,
    heartbeat,
    release,
)
from workers.policy.sandbox.kept import KeptPolicies
from workers.process import Process
from workers.stored_results import store, trace_bits

pytestmark = pytest.mark.services
LEASE_S = 3600.0  # whatever the machine does between two statements is shorter
EXECUTION = ExecutionClass(runtime="builtin", version="1")
ME = WorkerName(
    name="me", host="here", device="cpu", concurrency=2, runtimes={"onnxruntime/float32": "1.2"}
)


@pytest.fixture
def sessions(database_url: str) -> Iterator[sessionmaker[Session]]:
    engine: Engine = make_engine(database_url, pool_size=2)
    with make_sessions(engine).begin() as session:
        session.add(ModelRow(digest="m" * 64, name="m", kind="camera", manifest={}))
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path)


def key(number: int) -> DriveKey:
    return DriveKey(
        model="m" * 64,
        repeat=number,
        simulator=SimulatorSpec(name="reprojection", version="1"),
        execution=EXECUTION,
        scenario=Scenario(segment_id="s", segment_digest="d" * 64, start_s=0.0, end_s=1.0),
    )


def rollout(
    number: int, outcome: Outcome = Outcome.COMPLETED, speed: float = 20.0, wall_s: float = 0.001
) -> Rollout:
    columns = {
        "t_s": np.arange(5) / 20,
        "policy_time_s": np.full(5, wall_s),
        "speed_mps": np.full(5, speed),
        "curvature": np.zeros(5),
        "acceleration_mps2": np.zeros(5),
    }
    trace = Trace(simulator="reprojection", rate_hz=20.0, columns=columns, planned_steps=5)
    return Rollout(key=key(number), outcome=outcome, ended_s=0.25, trace=trace)


def add_shard(
    sessions: sessionmaker[Session], *numbers: int, priority: int = 5, device: str = "cpu"
) -> int:
    with sessions.begin() as session:
        execution = {"runtime": "builtin", "version": "1", "precision": "float32", "device": device}
        shard = ShardRow(
            drive_keys=[key(n).digest for n in numbers],
            group_digest="g",
            execution=execution,
            status=ShardStatus.QUEUED,
            priority=priority,
        )
        session.add(shard)
        session.flush()
        for n in numbers:
            session.add(
                DriveKeyRow(
                    digest=key(n).digest,
                    key=key(n),
                    model="m" * 64,
                    segment_id="s",
                    group_digest="g",
                    execution=execution,
                    shard_id=shard.id,
                )
            )
        return shard.id


def take(sessions: sessionmaker[Session], pid: int = 1, device: str = "cpu") -> Claim | None:
    with sessions.begin() as session:
        return claim(session, ME.child(pid), device, ME.runtimes, LEASE_S)


def must_take(sessions: sessionmaker[Session], pid: int = 1) -> Claim:
    held = take(sessions, pid)
    assert held is not None
    return held


def put(sessions: sessionmaker[Session], held: Claim, made: Rollout, blobs: BlobStore) -> bool:
    with sessions.begin() as session:
        return store(session, held, made, measure(made.trace, made.outcome), blobs)


def shard_of(sessions: sessionmaker[Session], number: int) -> ShardRow:
    with sessions() as session:
        return session.get_one(ShardRow, number)


def requeue(sessions: sessionmaker[Session]) -> None:
    """What the coordinator does with a lease that ended."""
    with sessions.begin() as session:
        session.execute(update(ShardRow).values(status=ShardStatus.QUEUED, lease_until=None))


class TestClaim:
    def test_by_priority_then_age_and_only_for_its_device(
        self, sessions: sessionmaker[Session]
    ) -> None:
        add_shard(sessions, 0, device="cuda")
        later, first, second = (
            add_shard(sessions, 1, priority=9),
            add_shard(sessions, 2),
            add_shard(sessions, 3),
        )
        assert [must_take(sessions, pid).shard for pid in (1, 2, 3)] == [first, second, later]
        assert take(sessions, 4) is None

    def test_a_runtime_that_only_another_worker_has_is_left_to_it_while_it_is_up(
        self, sessions: sessionmaker[Session]
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

    def test_two_workers_never_hold_the_same_shard(self, sessions: sessionmaker[Session]) -> None:
        one, two = add_shard(sessions, 1), add_shard(sessions, 2)
        with sessions.begin() as mine, sessions.begin() as theirs:
            a, b = claim(mine, "a/1", "cpu", {}, LEASE_S), claim(theirs, "b/1", "cpu", {}, LEASE_S)
        assert a is not None
        assert b is not None
        assert {a.shard, b.shard} == {one, two}

    def test_only_what_is_left_is_driven(
        self, sessions: sessionmaker[Session], blobs: BlobStore
    ) -> None:
        add_shard(sessions, 1, 2)
        put(sessions, must_take(sessions), rollout(1), blobs)
        requeue(sessions)
        assert [k.repeat for k in must_take(sessions).keys] == [2]

    def test_a_shard_that_waits_after_a_failure_is_left_alone(
        self, sessions: sessionmaker[Session]
    ) -> None:
        add_shard(sessions, 1)
        with sessions.begin() as session:
            session.execute(update(ShardRow).values(not_before=func.now() + timedelta(hours=1)))
        assert take(sessions) is None

    def test_a_process_that_asks_again_holds_nothing_from_before(
        self, sessions: sessionmaker[Session]
    ) -> None:
        number = add_shard(sessions, 1)
        add_shard(sessions, 2)
        must_take(sessions)
        must_take(sessions)
        assert shard_of(sessions, number).error == "left behind by its process"

    def test_a_key_that_reads_back_differently_is_refused(
        self, sessions: sessionmaker[Session]
    ) -> None:
        add_shard(sessions, 1)
        with sessions.begin() as session:
            row = session.get_one(DriveKeyRow, key(1).digest)
            row.key = {**row.key, "repeat": 77}
        with pytest.raises(MachineError, match="reads back"):
            take(sessions)


class TestStore:
    def test_once_with_its_results_and_trace(
        self, sessions: sessionmaker[Session], blobs: BlobStore
    ) -> None:
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

    def test_the_same_bits_again_change_nothing(
        self, sessions: sessionmaker[Session], blobs: BlobStore
    ) -> None:
        add_shard(sessions, 1)
        held = must_take(sessions)
        assert put(sessions, held, rollout(1), blobs)
        assert not put(sessions, held, rollout(1, wall_s=0.7), blobs), "wall times are not judged"
        with sessions() as session:
            assert session.scalar(select(func.count()).select_from(AlarmRow)) == 0

    def test_other_bits_raise_an_alarm_and_are_not_stored(
        self, sessions: sessionmaker[Session], blobs: BlobStore
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
        self, sessions: sessionmaker[Session], blobs: BlobStore
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
        self, sessions: sessionmaker[Session], blobs: BlobStore
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


class TestHeartbeat:
    def beat(self, sessions: sessionmaker[Session], *living: int) -> bool:
        with sessions.begin() as session:
            return heartbeat(session, ME, LEASE_S, lambda: living)

    def ended(self, sessions: sessionmaker[Session], number: int) -> bool:
        with sessions() as session:
            return bool(
                session.scalar(
                    select(ShardRow.lease_until <= func.now()).where(ShardRow.id == number)
                )
            )

    def test_the_living_keep_and_the_dead_lose_their_leases(
        self, sessions: sessionmaker[Session]
    ) -> None:
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

    def test_it_says_what_the_worker_can_run(self, sessions: sessionmaker[Session]) -> None:
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

    def test_a_lease_that_ended_is_not_revived(self, sessions: sessionmaker[Session]) -> None:
        number = add_shard(sessions, 1)
        must_take(sessions, pid=1)
        with sessions.begin() as session:
            session.execute(update(ShardRow).values(lease_until=func.now()))
        self.beat(sessions, 1)
        assert self.ended(sessions, number)

    def test_an_orderly_end_costs_no_attempt(self, sessions: sessionmaker[Session]) -> None:
        number = add_shard(sessions, 1)
        self.beat(sessions, 1)
        must_take(sessions, pid=1)
        with sessions.begin() as session:
            depart(session, ME)
        assert self.ended(sessions, number)
        assert shard_of(sessions, number).attempt == 0
        with sessions() as session:
            assert session.scalar(select(func.count()).select_from(WorkerRow)) == 0

    def test_it_starves_when_shards_wait_and_it_holds_none(
        self, sessions: sessionmaker[Session]
    ) -> None:
        add_shard(sessions, 1)
        assert not self.beat(sessions, 1), "it has just been queued"
        with sessions.begin() as session:
            long_ago = func.now() - timedelta(seconds=2 * LEASE_S)
            session.execute(update(ShardRow).values(created=long_ago, not_before=long_ago))
        assert self.beat(sessions, 1)
        must_take(sessions, pid=1)
        assert not self.beat(sessions, 1)


@pytest.fixture
def here(
    sessions: sessionmaker[Session],
    blobs: BlobStore,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Process:
    process = Process(
        worker="me/1",
        runtimes=ME.runtimes,
        settings=Settings(database_url=database_url),
        sessions=sessions,
        blobs=blobs,
    )
    monkeypatch.setattr(process_module._Here, "process", process)
    return process


def test_a_worker_that_finds_no_work_holds_no_model(
    here: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[KeptPolicies] = []
    monkeypatch.setattr(
        KeptPolicies, "close", lambda kept: closed.append(kept)
    )  # a function, to be bound
    tasks.drive("cpu")
    assert closed == [here.kept]


class TestRemeasure:
    def test_metrics_and_conditions_are_read_from_the_trace(
        self, here: Process, sessions: sessionmaker[Session], blobs: BlobStore
    ) -> None:
        add_shard(sessions, 1)
        put(sessions, must_take(sessions), rollout(1), blobs)
        fast = {"name": "fast", "always": {"signal": "speed_mps", "above": 25}}
        tasks.remeasure([key(1).digest], ["lataccel_cost"], [fast])
        with sessions() as session:
            added = session.get_one(ResultRow, (key(1).digest, "lataccel_cost", 1))
            assert not added.valid, "its columns are not there, and that is said"
            condition = session.scalars(
                select(ResultRow).where(ResultRow.metric == result_name(fast))
            ).one()
            assert (condition.value, condition.instant_s) == (0.0, 0.0)

    def test_a_lost_trace_is_invalid_and_never_zero(
        self, here: Process, sessions: sessionmaker[Session], blobs: BlobStore
    ) -> None:
        add_shard(sessions, 1)
        put(sessions, must_take(sessions), rollout(1), blobs)
        with sessions() as session:
            blobs.path(session.get_one(RolloutRow, key(1).digest).trace_sha256 or "").unlink()
        tasks.remeasure([key(1).digest], ["lataccel_cost"], [])
        with sessions() as session:
            assert "lost" in session.get_one(ResultRow, (key(1).digest, "lataccel_cost", 1)).reason


class TestDriveTask:
    def test_an_error_gives_the_shard_back_with_its_reason(
        self, here: Process, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        number = add_shard(sessions, 1)

        def fail(*_: object, **__: object) -> None:
            raise MachineError("no memory left")

        monkeypatch.setattr(tasks, "drive_keys", fail)
        tasks.drive("cpu")
        shard = shard_of(sessions, number)
        assert (shard.status, shard.error_owner, shard.error) == (
            ShardStatus.LEASED,
            "machine",
            "MachineError: no memory left",
        )

    def test_without_a_shard_it_returns(self, here: Process) -> None:
        tasks.drive("cpu")
