"""A service whose workers are played: complaints, drafts, proofs and enforced cases on demand."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.coordinator import Coordinator
from server.db.bank_tables import ModelRow
from server.db.engine import make_engine
from server.db.queue_tables import DriveKeyRow, RolloutRow, ShardRow
from server.settings import Settings
from server.storage import BlobStore
from suites.metrics.tests.test_metrics import moved
from suites.rollout import Trace
from suites.vocabulary import Outcome, ShardStatus

COMPLAINT = {
    "route": "r1--0",
    "time_s": 6.0,
    "text": "it drifted over the line",
    "reporter": "ada",
    "severity": "high",
}


@pytest.fixture
def settings(settings: Settings, broker_url: str) -> Settings:
    return settings.model_copy(update={"broker_url": broker_url})


@pytest.fixture
def coordinator(settings: Settings) -> Iterator[Coordinator]:
    engine = make_engine(settings.sqlalchemy_url)
    with engine.connect() as connection:
        yield Coordinator(connection, settings)
    engine.dispose()


@pytest.fixture
def complain(client: TestClient) -> Callable[..., Any]:
    return lambda **changes: client.post("/v1/field-reports", json=COMPLAINT | changes)


def driven(scenario: dict[str, Any], model: str) -> Trace:
    steps = round((scenario["end_s"] - scenario["start_s"]) * 20)
    t = scenario["start_s"] + np.arange(steps) / 20
    drifts = model in ("candidate", "clone")
    return moved(np.clip((t - 4.0) * 0.5, 0, None) if drifts else np.zeros(steps), steps)


@pytest.fixture
def play(sessions: sessionmaker[Session], settings: Settings) -> Callable[[], int]:
    """play(): drive what is queued; `candidate` and `clone` drift left at 0.5 m/s from 4 s on."""
    blobs = BlobStore(settings.blobs)

    def played() -> int:
        stored = 0
        with sessions.begin() as session:
            queued = select(ShardRow).where(ShardRow.status == ShardStatus.QUEUED)
            for shard in session.scalars(queued).all():
                for digest in shard.drive_keys:
                    row = session.get_one(DriveKeyRow, digest)
                    trace = driven(row.key["scenario"], session.get_one(ModelRow, row.model).name)
                    rollout = RolloutRow(
                        drive_key=digest,
                        outcome=Outcome.COMPLETED,
                        reason="",
                        ended_s=len(trace) / 20,
                        trusted_share=1.0,
                        provenance={},
                        worker="test",
                        shard_id=shard.id,
                        fence=1,
                        trace_sha256=blobs.put(trace.to_bytes()),
                    )
                    session.add(rollout)
                    stored += 1
                shard.status = ShardStatus.DONE
        return stored

    return played


@pytest.fixture
def draft(
    client: TestClient, push: Callable[..., str], suite: str, complain: Callable[..., Any]
) -> Callable[..., Any]:
    """draft(**changes): asks for a draft of a located report, `candidate` against `baseline`."""
    for name in ("candidate", "baseline", "clone"):
        push(name)

    def drafted(**changes: Any) -> Any:
        body = {
            "suite": "surprises",
            "name": "drifted",
            "note": "it drifted over the line",
            "offender": "candidate",
            "control": "baseline",
            "author": "ada",
        }
        if "report" not in changes and "segment" not in changes:
            body["report"] = complain().json()["id"]
        return client.post("/v1/case-drafts", json=body | changes)

    return drafted


@pytest.fixture
def settle(
    client: TestClient, coordinator: Coordinator, play: Callable[[], int]
) -> Callable[[str], dict[str, Any]]:
    """settle(draft_id): tick and play until the proof is decided; the draft."""

    def settled(draft_id: str) -> dict[str, Any]:
        for _ in range(40):
            coordinator.tick()
            play()
            view: dict[str, Any] = client.get(f"/v1/case-drafts/{draft_id}").json()
            if view["status"] != "located":
                return view
        raise AssertionError("the proof never ends")

    return settled


@pytest.fixture
def enforced(
    draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], client: TestClient
) -> str:
    proven = settle(draft().json()["id"])
    client.post(
        f"/v1/case-drafts/{proven['id']}/accept", json={"actor": "bo", "version": proven["version"]}
    )
    return str(proven["toml"])
