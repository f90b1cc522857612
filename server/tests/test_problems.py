"""Problems: every error has its documented kind, its owner and the request's id; none leaks."""

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from server.app import create_app
from server.problems import PROBLEMS
from server.settings import Settings
from suites.errors import DataError, Finding, MachineError, SubmitterError

pytestmark = pytest.mark.services


def raising(app: FastAPI, error: Exception) -> None:
    def route() -> None:
        raise error

    app.add_api_route("/v1/raise", route)


@pytest.mark.parametrize(
    "error, status, slug, owner",
    [
        (
            SubmitterError("it is wrong", (Finding("here", "bad", "fix it"),)),
            422,
            "invalid-submission",
            "submitter",
        ),
        (
            DataError("the log is damaged", (Finding("qlog", "cut", "import again"),)),
            409,
            "data-unusable",
            "data",
        ),
        (
            MachineError("the disk is full", (Finding("disk", "full", "free some"),)),
            503,
            "unavailable",
            "machine",
        ),
    ],
)
def test_errors_are_problems_named_by_who_must_act(
    app: FastAPI, client: TestClient, error: Any, status: int, slug: str, owner: str
) -> None:
    raising(app, error)
    answer = client.get("/v1/raise", headers={"X-Request-ID": "req-1"})
    body = answer.json()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"http://redrive.test/problems#{slug}"
    assert body["title"] == PROBLEMS[slug].title
    assert body["owner"] == owner
    assert body["instance"] == "/v1/raise"
    assert body["request_id"] == answer.headers["X-Request-ID"] == "req-1"
    assert body["detail"].startswith(f"{error}. ")
    assert body["errors"] == [
        {"where": f.where, "problem": f.problem, "remedy": f.remedy} for f in error.findings
    ]


def test_text_that_no_encoding_has_is_the_senders(app: FastAPI, client: TestClient) -> None:
    with pytest.raises(UnicodeEncodeError) as raised:
        "\ud800".encode()
    raising(app, raised.value)
    answer = client.get("/v1/raise")
    assert (answer.status_code, answer.json()["owner"]) == (422, "submitter")
    assert "surrogate" in answer.json()["detail"]


def test_an_unexpected_error_tells_its_request_id_and_nothing_else(
    app: FastAPI, client: TestClient
) -> None:
    raising(app, RuntimeError("password=hunter2"))
    answer = client.get("/v1/raise")
    assert answer.status_code == 500
    assert answer.json()["type"].endswith("#internal")
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert "hunter2" not in answer.text


def test_a_request_id_that_could_forge_a_log_line_is_replaced(client: TestClient) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": "a b\tc"})
    assert answer.headers["X-Request-ID"] not in ("", "a b\tc")


def test_a_database_that_is_away_is_503_and_health_says_so(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/nothing"})
    with TestClient(
        create_app(away), base_url="http://redrive.test", raise_server_exceptions=False
    ) as client:
        answer = client.get("/v1/runs")
        assert (answer.status_code, answer.json()["owner"]) == (503, "machine")
        assert answer.headers["Retry-After"]
        assert "127.0.0.1" not in answer.json()["detail"]
        health = client.get("/v1/health")
    assert (health.status_code, health.json()["database"]) == (503, "down")


@pytest.mark.parametrize(
    "method, path, options, status, slug",
    [
        (
            "POST",
            "/v1/suites",
            {"content": b"{", "headers": {"Content-Type": "application/json"}},
            400,
            "not-json",
        ),
        (
            "POST",
            "/v1/suites",
            {"content": b"\xff\xfe", "headers": {"Content-Type": "application/json"}},
            400,
            "not-json",
        ),
        ("POST", "/v1/suites", {"json": {"toml": 3}}, 422, "invalid-request"),
        ("POST", "/v1/suites", {"data": {"toml": "x"}}, 400, "not-json"),
        (
            "POST",
            "/v1/suites",
            {"content": b'{"toml": "x"}', "headers": {"Content-Type": "text/plain"}},
            400,
            "not-json",
        ),
        ("POST", "/v1/suites", {"json": [1]}, 422, "invalid-request"),
        ("POST", "/v1/suites", {}, 422, "invalid-request"),
        ("POST", "/v1/suites", {"json": {"toml": "x" * 200_001}}, 413, "too-large"),
        ("POST", "/v1/suites", {"json": {"toml": "= 3"}}, 422, "invalid-submission"),
        ("GET", "/v1/nothing", {}, 404, "not-found"),
        ("DELETE", "/v1/runs", {}, 405, "method-not-allowed"),
        ("GET", "/v1/runs?cursor=nonsense", {}, 400, "bad-request"),
        ("GET", "/v1/runs?limit=0", {}, 422, "invalid-request"),
        ("GET", "/v1/models/%00", {}, 422, "invalid-request"),
        ("GET", "/v1/rollouts/" + "a" * 64, {}, 404, "not-found"),
        ("GET", "/v1/comparisons?baseline=a", {}, 422, "invalid-request"),
    ],
)
def test_malformed_requests(
    client: TestClient, method: str, path: str, options: Any, status: int, slug: str
) -> None:
    answer = client.request(method, path, **options)
    assert (answer.status_code, answer.json()["type"]) == (
        status,
        f"http://redrive.test/problems#{slug}",
    )
    assert all(error["remedy"] for error in answer.json()["errors"])


def test_every_kind_of_problem_is_documented_under_its_anchor(client: TestClient) -> None:
    page = unescape(client.get("/problems").text)
    lacking = [
        s
        for s, kind in PROBLEMS.items()
        if f'id="{s}"' not in page or kind.remedy.rpartition("`")[2] not in page
    ]
    assert lacking == []


def test_metrics_count_requests_by_route_not_by_address(
    client: TestClient, push: Callable[..., str]
) -> None:
    digest = push()
    client.get(f"/v1/models/{digest}")
    text = client.get("/metrics").text
    assert (
        'redrive_http_requests_total{method="GET",route="/v1/models/{reference}",status="200"}'
        in text
    )
    assert digest not in text
