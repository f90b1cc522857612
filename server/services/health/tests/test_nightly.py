"""The checks of a night: begun once, at the hour; what they show is kept; nobody waits."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from server import coordinator as module
from server import night_process as process
from server.broker import celery_app
from server.coordinator import Coordinator
from server.db.engine import make_engine
from server.db.health_tables import NightRow
from server.services.health.nightly import claim_night, make_checks
from server.settings import Settings
from suites.vocabulary import RunVerdict

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("client")]
NIGHT = date(2026, 11, 22)
AT_THREE = datetime(2026, 11, 22, 3, 0, 5, tzinfo=UTC)
Started = list[date]


@pytest.fixture
def settings(settings: Settings, broker_url: str) -> Settings:
    return settings.model_copy(update={"broker_url": broker_url, "nightly_hour": 3})


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = make_engine(settings.sqlalchemy_url)
    yield engine
    engine.dispose()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The nights whose process was started; each ends at once, well."""
    nights: Started = []

    def start(night: date) -> subprocess.Popen[bytes]:
        nights.append(night)
        ended = subprocess.Popen(["true"])
        ended.wait()
        return ended

    monkeypatch.setattr(module, "start_night", start)
    return nights


@pytest.mark.parametrize(
    ("now", "hour", "due"),
    [
        (AT_THREE, 3, NIGHT),
        (AT_THREE - timedelta(seconds=6), 3, None),
        (AT_THREE + timedelta(hours=2.9), 3, NIGHT),
        (AT_THREE + timedelta(hours=3), 3, None),
        (AT_THREE, -1, None),
        (datetime(2026, 11, 23, 0, 30, tzinfo=UTC), 23, NIGHT),
        (datetime(2026, 11, 21, 23, 0, 5, tzinfo=timezone(timedelta(hours=-6))), 5, NIGHT),
    ],
)
def test_it_is_due_from_the_hour_on_and_not_for_long(
    now: datetime, hour: int, due: date | None, sessions: sessionmaker[Session]
) -> None:
    with sessions.begin() as session:
        assert claim_night(session, now, hour) == due


def test_one_coordinator_makes_it_once(
    engine: Engine, settings: Settings, started: Started, sessions: sessionmaker[Session]
) -> None:
    clock = [AT_THREE - timedelta(minutes=1)]
    with engine.connect() as one, engine.connect() as two:
        first, second = (
            Coordinator(connection, settings, lambda: clock[0]) for connection in (one, two)
        )
        first.tick()
        assert started == []
        clock[0] = AT_THREE
        for coordinator in (first, second, first):
            coordinator.tick()
            clock[0] += timedelta(minutes=10)
        assert started == [NIGHT]
    with engine.connect() as again:
        Coordinator(again, settings, lambda: AT_THREE + timedelta(hours=1)).tick()
        assert started == [NIGHT], "a restart does not repeat it"
        Coordinator(again, settings, lambda: AT_THREE + timedelta(days=1)).tick()
    assert started == [NIGHT, NIGHT + timedelta(days=1)]
    with sessions() as session:
        assert session.get_one(NightRow, NIGHT).started == AT_THREE


def test_it_can_be_switched_off(engine: Engine, settings: Settings, started: Started) -> None:
    with engine.connect() as connection:
        Coordinator(
            connection, settings.model_copy(update={"nightly_hour": -1}), lambda: AT_THREE
        ).tick()
    assert started == []


def test_a_process_that_dies_is_on_record(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch, client: TestClient
) -> None:
    children: list[subprocess.Popen[bytes]] = []

    def start(_: date) -> subprocess.Popen[bytes]:
        children.append(subprocess.Popen(["false"]))
        return children[-1]

    monkeypatch.setattr(module, "start_night", start)
    with engine.connect() as connection:
        coordinator = Coordinator(connection, settings, lambda: AT_THREE)
        coordinator.tick()
        children[0].wait()
        coordinator.tick()
    (night,) = client.get("/v1/checks").json()["nights"]
    assert (night["finished"], night["error"]) == (None, "its process ended with exit status 1")


def test_what_it_shows_is_kept(
    driven: str,
    decide: Callable[..., None],
    client: TestClient,
    app: FastAPI,
    settings: Settings,
    sessions: sessionmaker[Session],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decide(driven, RunVerdict.FAIL, "FAIL: worse.")
    messages: list[list[int]] = []
    celery = celery_app(settings)
    monkeypatch.setattr(
        celery, "send_task", lambda _, args, queue, priority: messages.append(args[0])
    )
    with sessions.begin() as session:
        assert claim_night(session, AT_THREE, 3) == NIGHT
    report = make_checks(sessions, celery, NIGHT, shard=6, simulated=2)
    shown: dict[str, Any] = client.get("/v1/checks").json()
    (night,), (check,) = shown["nights"], shown["self_checks"]
    assert night["finished"] is not None
    assert night["report"]["self_checks"] == report.self_checks == [check["id"]]
    assert (check["run_id"], check["report"]["runs"], check["report"]["seed"]) == (
        driven,
        2,
        NIGHT.toordinal(),
    )
    assert check["report"]["pairs"] == 2, "up to the one that is not measured"
    assert [number for part in messages for number in part] == night["report"]["probes"]
    assert max(len(part) for part in messages) == 6
    assert shown["probes"]["waiting"] == len(night["report"]["probes"]) == 20


def test_what_would_show_nothing_is_left_out_with_the_reason(
    submit: Callable[..., Any],
    decide: Callable[..., None],
    sessions: sessionmaker[Session],
    settings: Settings,
) -> None:
    run_id = submit().json()["id"]
    decide(run_id, RunVerdict.FAIL, "FAIL: worse.")
    with sessions.begin() as session:
        claim_night(session, AT_THREE, 3)
    report = make_checks(sessions, celery_app(settings), NIGHT, shard=4, simulated=2)
    assert "0 route" in report.left_out[run_id]
    assert (report.self_checks, report.probes) == ([], [])


def test_its_process_makes_them(
    sessions: sessionmaker[Session],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    client: TestClient,
) -> None:
    environment = {
        "DATABASE_URL": settings.database_url,
        "BROKER_URL": settings.broker_url,
        "REDRIVE_DATA": str(settings.data),
    }
    for name, value in (
        environment | {"PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}
    ).items():
        monkeypatch.setenv(name, value)
    # beside busy tests the lowest priority may get no time at all
    monkeypatch.setattr(process, "NICE", 0)
    with sessions.begin() as session:
        claim_night(session, AT_THREE, 3)
    assert process.start(NIGHT).wait() == 0
    assert client.get("/v1/checks").json()["nights"][0]["finished"] is not None
