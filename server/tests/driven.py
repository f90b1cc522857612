"""A run that is driven, written to the database as workers and the coordinator write it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.db.base import Role
from server.db.queue_tables import DemandRow, ResultRow, RolloutRow
from server.db.run_tables import RunRow
from server.storage import BlobStore
from suites.metrics import measure
from suites.metrics.registry import METRICS
from suites.rollout import Trace
from suites.vocabulary import Outcome, RunVerdict, Status

GATE: dict[str, Any] = {
    "metric": "lateral_error_mean_m",
    "estimand": "typical",
    "margin": 0.02,
    "critical": True,
    "verdict": "worse",
    "interval": {"estimate": 0.5, "low": 0.25, "high": 0.75},
    "other_estimand": {"estimate": 0.4, "low": 0.1, "high": 0.7},
    "decided_at": 12,
    "pairs": 12,
    "routes": 3,
    "invalid": 1,
    "smallest_visible_effect": 0.031,
    "candidate_mean": 0.2,
    "baseline_mean": 0.1,
    "candidate_events": None,
    "baseline_events": None,
    "reason": "",
}
RATE_GATE: dict[str, Any] = GATE | {
    "metric": "incident_hard_brake",
    "estimand": "rate",
    "margin": 0.005,
    "interval": {"estimate": 0.25, "low": 0.0012, "high": 0.6},
    "other_estimand": None,
    "candidate_mean": 1 / 3,
    "baseline_mean": 1 / 12,
    "candidate_events": 4,
    "baseline_events": 1,
}


def trace(drift: float, steps: int = 60) -> Trace:
    """A drive that leaves the log's path to the left by `drift` metres in 3 s."""
    t = np.arange(steps) / 20
    off = drift * t / 3
    whole = np.zeros(steps)
    columns = {
        "t_s": t,
        "lateral_offset_m": off,
        "curvature": whole + 0.001,
        "curvature_command": whole,
        "speed_mps": whole + 20,
        "acceleration_mps2": whole,
        "log_curvature": whole + 0.001,
        "log_speed_mps": whole + 20,
        "log_acceleration_mps2": whole,
        "log_driver": whole + 1,
        "lane_left_m": 1.8 - off,
        "lane_right_m": -1.8 - off,
        "road_left_m": 3.0 - off,
        "road_right_m": -3.0 - off,
        "x_m": 20 * t,
        "y_m": off,
        "yaw_rad": whole,
        "log_index": 20 * t,
    }
    return Trace(simulator="reprojection", rate_hz=20.0, columns=columns, planned_steps=60)


@pytest.fixture
def driven(submit: Callable[..., Any], sessions: sessionmaker[Session], app: FastAPI) -> str:
    """Id of a run driven but for its last position.

    At 4 the candidate failed, at 7 it drifted, at 2 the data are invalid."""
    run_id = str(submit().json()["id"])
    with sessions.begin() as session:
        for demand in session.scalars(
            select(DemandRow).where(DemandRow.owner_id == run_id, DemandRow.position < 11)
        ):
            candidate = demand.role is Role.CANDIDATE
            drift = {4: 2.5, 7: 1.2}.get(demand.position, 0.11) if candidate else 0.1
            outcome = Outcome.DATA_INVALID if demand.position == 2 else Outcome.COMPLETED
            steps = 60
            if drift > 2:
                outcome = Outcome.FAILED
                steps = 50
            write(session, app.state.blobs, demand.drive_key, outcome, trace(drift, steps))
    return run_id


def add_rollout(
    session: Session, drive_key: str, outcome: Outcome = Outcome.COMPLETED, **named: Any
) -> None:
    """Store how a rollout ended, without a trace."""
    fields: dict[str, Any] = {
        "reason": "" if outcome is Outcome.COMPLETED else f"it {outcome}",
        "ended_s": 1.0,
        "trusted_share": 1.0,
        "provenance": {},
        "worker": "w",
        "fence": 1,
    }
    session.add(RolloutRow(drive_key=drive_key, outcome=outcome, **(fields | named)))
    session.flush()


def add_result(
    session: Session,
    drive_key: str,
    value: float,
    metric: str = "lateral_error_mean_m",
    version: int = 1,
) -> None:
    """Store a valid result of a stored rollout."""
    numbers = {"value": value, "low": value, "high": value}
    row = ResultRow(drive_key=drive_key, metric=metric, version=version, valid=True, **numbers)
    session.add(row)


def write(
    session: Session, blobs: BlobStore, drive_key: str, outcome: Outcome, driven: Trace
) -> None:
    """Store a rollout with its trace and what is measured from that."""
    lost = outcome is Outcome.DATA_INVALID
    reason = {
        Outcome.FAILED: "left the road by 0.02 m on the left at 2.45 s",
        Outcome.DATA_INVALID: "frames.mp4 is damaged",
    }
    add_rollout(
        session,
        drive_key,
        outcome,
        reason=reason.get(outcome, ""),
        ended_s=0.0 if lost else len(driven) / 20,
        provenance={"sandbox": ["namespaces", "seccomp"]},
        trace_sha256=None if lost else blobs.put(driven.to_bytes()),
        trace_bits="0" * 64,
    )
    for name, result in ({} if lost else measure(driven, outcome)).items():
        numbers = {
            field: getattr(result, field) if result.valid else None
            for field in ("value", "low", "high")
        }
        session.add(
            ResultRow(
                drive_key=drive_key,
                metric=name,
                version=METRICS[name].version,
                valid=result.valid,
                **numbers,
            )
        )


@pytest.fixture
def decide(sessions: sessionmaker[Session]) -> Callable[..., None]:
    """decide(run_id, verdict, sentence, gates=..., cases=..., told={...}): what the coordinator
    writes; `told` are keys of the document that engines of before did not have."""

    def decided(
        run_id: str,
        verdict: RunVerdict | None,
        sentence: str,
        gates: Any = (GATE,),
        cases: Any = (),
        told: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        with sessions.begin() as session:
            run = session.get_one(RunRow, run_id)
            run.status = Status.FINISHED if verdict else Status.RUNNING
            run.verdict = verdict
            run.sentence = sentence
            run.pairs_consumed = 12
            run.started = datetime.now(UTC)
            run.decided = run.finished = datetime.now(UTC) if verdict else None
            counts = {"candidate": {"completed": 9, "failed": 1}, "baseline": {"completed": 10}}
            method = {"alpha": 0.05, "engine": "redrive.sign-flip/1"}
            run.verdict_document = {
                "gates": list(gates),
                "cases": list(cases),
                "outcomes": counts,
                "method": method,
                **told,
            }
            run.withdrawn_at = datetime.now(UTC) if told.get("withdrawn") else None

    return decided
