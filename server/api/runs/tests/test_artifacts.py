"""Pictures on demand: asked for once, asked for again when lost, served when ready."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.app import create_app
from server.broker import waiting
from server.db.queue_tables import ArtifactRow, DemandRow, RolloutRow
from server.services.runs.rollout_pictures import ASK_AGAIN
from server.settings import Settings
from suites.vocabulary import Outcome

pytestmark = pytest.mark.services


@pytest.fixture
def app(settings: Settings, broker_url: str) -> FastAPI:
    return create_app(settings.model_copy(update={"broker_url": broker_url}))


@pytest.fixture
def drive_key(submit: Callable[..., Any], sessions: sessionmaker[Session]) -> str:
    """A stored rollout."""
    submit()
    with sessions.begin() as session:
        key = session.scalars(select(DemandRow.drive_key).limit(1)).one()
        session.add(
            RolloutRow(
                drive_key=key,
                outcome=Outcome.COMPLETED,
                reason="",
                ended_s=1.0,
                trusted_share=1.0,
                provenance={},
                worker="w",
                fence=1,
            )
        )
    return str(key)


def asked(app: FastAPI) -> int:
    return waiting(app.state.celery, "cpu")


def put(client: TestClient, drive_key: str, kind: str = "view") -> Any:
    return client.put(f"/v1/rollouts/{drive_key}/artifacts/{kind}")


def test_a_worker_is_asked_once_and_the_picture_served_when_it_is_there(
    app: FastAPI, client: TestClient, drive_key: str, sessions: sessionmaker[Session]
) -> None:
    assert [put(client, drive_key).status_code for _ in range(3)] == [202, 202, 202]
    assert asked(app) == 1
    assert client.get(f"/v1/rollouts/{drive_key}/artifacts/view").status_code == 404
    with sessions.begin() as session:
        row = session.get_one(ArtifactRow, (drive_key, "view"))
        row.sha256, row.detail = app.state.blobs.put(b"jpeg"), {"count": 6}
    answer = put(client, drive_key)
    assert (answer.status_code, answer.json()["status"], answer.json()["detail"]) == (
        200,
        "ready",
        {"count": 6},
    )
    picture = client.get(answer.json()["url"])
    assert (picture.content, picture.headers["content-type"]) == (b"jpeg", "image/jpeg")
    assert asked(app) == 1


@pytest.mark.parametrize("error", ["", "segment r1/0 was imported again"])
def test_what_was_lost_or_failed_is_asked_for_again_after_a_while(
    error: str, app: FastAPI, client: TestClient, drive_key: str, sessions: sessionmaker[Session]
) -> None:
    put(client, drive_key)
    with sessions.begin() as session:
        row = session.get_one(ArtifactRow, (drive_key, "view"))
        row.error = error
    answer = put(client, drive_key)
    assert (answer.json()["status"], answer.json()["error"]) == (
        "failed" if error else "rendering",
        error,
    )
    with sessions.begin() as session:
        session.get_one(ArtifactRow, (drive_key, "view")).requested = (
            datetime.now(UTC) - 2 * ASK_AGAIN
        )
    assert put(client, drive_key).json()["status"] == "rendering"
    assert asked(app) == 2
    put(client, drive_key)
    assert asked(app) == 2


def test_a_blob_that_is_gone_is_made_again(
    app: FastAPI, client: TestClient, drive_key: str, sessions: sessionmaker[Session]
) -> None:
    put(client, drive_key)
    with sessions.begin() as session:
        row = session.get_one(ArtifactRow, (drive_key, "view"))
        row.sha256, row.requested = "0" * 64, datetime.now(UTC) - timedelta(seconds=1)
    assert put(client, drive_key).status_code == 202
    assert asked(app) == 2


def test_only_stored_rollouts_have_pictures(client: TestClient, drive_key: str) -> None:
    assert put(client, "0" * 64).status_code == 404
    assert put(client, drive_key, "painting").status_code == 422


def test_a_broker_that_is_away_costs_nothing_but_time(
    settings: Settings, client: TestClient, drive_key: str
) -> None:
    away = create_app(settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"}))
    with TestClient(away, base_url="http://redrive.test") as deaf:
        assert put(deaf, drive_key).status_code == 202
    assert put(client, drive_key).json()["status"] == "rendering"
