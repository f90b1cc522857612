"""A service on a real Postgres, with segments, models and suites to work on."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from server.app import create_app
from server.settings import Settings
from server.tests.driven import decide, driven  # noqa: F401  (fixtures)
from server.tests.plain_segments import add_plain_segment
from server.tests.stage import looks, overall, specific  # noqa: F401  (fixtures)
from suites.identity import canonical_json
from suites.manifest import ActionSpec, Manifest
from suites.segment import SegmentMeta

SUITE = """
name = "highway"
kind = "overall"
offsets = [{}, {lateral_m = 0.5}]
[select]
tags_all = ["highway"]
[[gates]]
metric = "lateral_error_mean_m"
"""


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=database_url,
        data=tmp_path / "data",
        public_url="http://redrive.test",
        watch_interval_s=0.01,
        max_document_bytes=200_000,
        max_graph_bytes=300_000,
        lease_s=3600,  # no test takes as long, however busy the machine
    )


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://redrive.test", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def sessions(app: FastAPI) -> sessionmaker[Session]:
    """The sessions of the app under test, to arrange and to look."""
    made: sessionmaker[Session] = app.state.sessions
    return made


@pytest.fixture
def add_segment(settings: Settings) -> Callable[..., SegmentMeta]:
    """add_segment("r1/0", tags=(...)): the meta.json of a segment in the data folder."""

    def add(segment_id: str, **changes: Any) -> SegmentMeta:
        named: dict[str, Any] = {"tags": ("highway",)} | changes
        return add_plain_segment(settings.segments, segment_id, **named)

    return add


def manifest(name: str = "steady", **changes: Any) -> Manifest:
    """A built-in camera model: nothing to upload but the manifest."""
    action = ActionSpec(kind="plan", output="log_plan", plan_times_s=(0.5, 1.0))
    return replace(
        Manifest(name=name, kind="camera", adapter="builtin", builtin="log", action=action),
        **changes,
    )


@pytest.fixture
def push(client: TestClient) -> Callable[..., str]:
    """push("name"): registers a built-in model of that name; its digest."""

    def pushed(name: str = "steady", **changes: Any) -> str:
        model = manifest(name, **changes)
        answer = client.put(
            f"/v1/models/{model.digest}",
            content=canonical_json(model),
            headers={"Content-Type": "application/json"},
        )
        assert answer.is_success, answer.text
        return model.digest

    return pushed


@pytest.fixture
def suite_toml() -> str:
    """Text of suite `highway`; it ends within its one gate."""
    return SUITE


@pytest.fixture
def suite(client: TestClient, add_segment: Callable[..., SegmentMeta]) -> str:
    """Digest of the newest version of suite `highway`: 3 routes of 2 segments, 2 offsets."""
    for route, number in itertools.product(("r1", "r2", "r3"), (0, 1)):
        add_segment(f"{route}/{number}")
    answer = client.post("/v1/suites", json={"toml": SUITE})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["digest"])


@pytest.fixture
def submit(client: TestClient, push: Callable[..., str], suite: str) -> Callable[..., Any]:
    """submit(key="...", **fields): submits `candidate` against `baseline` on `highway`."""
    push("candidate")
    push("baseline")
    numbers = itertools.count()

    def submitted(key: str | None = None, **fields: Any) -> Any:
        body = {"candidate": "candidate", "baseline": "baseline", "suite": "highway"} | fields
        return client.post(
            "/v1/runs", json=body, headers={"Idempotency-Key": key or f"key-{next(numbers)}"}
        )

    return submitted
