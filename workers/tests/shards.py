"""Shards, claims and rollouts for tests on a real database."""

import numpy as np
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from server.db.queue_tables import DriveKeyRow, ShardRow
from server.storage import BlobStore
from suites.metrics import measure
from suites.rollout import DriveKey, ExecutionClass, Rollout, Scenario, SimulatorSpec, Trace
from suites.vocabulary import Outcome, ShardStatus
from workers.leases import Claim, WorkerName, claim
from workers.stored_results import store

Sessions = sessionmaker[Session]
LEASE_S = 3600.0  # whatever the machine does between two statements is shorter
EXECUTION = ExecutionClass(runtime="builtin", version="1")
ME = WorkerName(
    name="me", host="here", device="cpu", concurrency=2, runtimes={"onnxruntime/float32": "1.2"}
)


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


def add_shard(sessions: Sessions, *numbers: int, priority: int = 5, device: str = "cpu") -> int:
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


def take(sessions: Sessions, pid: int = 1, device: str = "cpu") -> Claim | None:
    with sessions.begin() as session:
        return claim(session, ME.child(pid), device, ME.runtimes, LEASE_S)


def must_take(sessions: Sessions, pid: int = 1) -> Claim:
    held = take(sessions, pid)
    assert held is not None
    return held


def put(sessions: Sessions, held: Claim, made: Rollout, blobs: BlobStore) -> bool:
    with sessions.begin() as session:
        return store(session, held, made, measure(made.trace, made.outcome), blobs)


def shard_of(sessions: Sessions, number: int) -> ShardRow:
    with sessions() as session:
        return session.get_one(ShardRow, number)


def requeue(sessions: Sessions) -> None:
    """What the coordinator does with a lease that ended."""
    with sessions.begin() as session:
        session.execute(update(ShardRow).values(status=ShardStatus.QUEUED, lease_until=None))
