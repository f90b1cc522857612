"""The queue's numbers for Prometheus."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from server.db.queue_tables import ShardRow
from server.tests.stage import Stage
from suites.vocabulary import ShardStatus

pytestmark = pytest.mark.services


def test_gauges_say_what_the_queue_holds(
    overall: Stage, client: TestClient, sessions: sessionmaker[Session]
) -> None:
    overall.pair(0)
    with sessions.begin() as session:
        session.add(
            ShardRow(
                drive_keys=["d"],
                group_digest="g",
                execution={"device": "cpu"},
                status=ShardStatus.QUEUED,
            )
        )
    text = client.get("/metrics").text
    assert 'redrive_shards{device="cpu",status="queued"} 1.0' in text
    assert 'redrive_runs{status="queued"} 1.0' in text
    assert 'redrive_rollouts_per_second{outcome="completed"}' in text
