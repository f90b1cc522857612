"""The client: what it retries, what it gives up on, and what problems become."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from server.client import Client, WaitTimeout
from server.db.run_tables import RunRow
from suites.errors import DataError, MachineError, SubmitterError
from suites.identity import file_digest
from suites.manifest import Graph, Manifest
from suites.vocabulary import RunVerdict, Status

Handler = Callable[[httpx2.Request], httpx2.Response]


def answering(handler: Handler) -> Client:
    http = httpx2.Client(base_url="http://redrive.test", transport=httpx2.MockTransport(handler))
    return Client("http://redrive.test", http=http, attempts=3, pause_s=0.0)


def failing_twice(failure: httpx2.Response | Exception) -> tuple[Handler, list[httpx2.Request]]:
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        if len(seen) < 3:
            if isinstance(failure, Exception):
                raise failure
            return failure
        return httpx2.Response(200, json={"id": "r"})

    return handler, seen


@pytest.mark.parametrize(
    "failure", [httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow"), httpx2.Response(503)]
)
def test_a_service_that_is_away_for_a_moment_costs_nothing(
    failure: httpx2.Response | Exception,
) -> None:
    handler, seen = failing_twice(failure)
    with answering(handler) as client:
        assert client.submit({"candidate": "a"}) == {"id": "r"}
    assert len(seen) == 3
    assert len({request.headers["Idempotency-Key"] for request in seen}) == 1


def test_a_service_that_stays_away_is_this_machines_problem() -> None:
    def refuse(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    with (
        answering(refuse) as client,
        pytest.raises(MachineError, match="does not answer: refused") as raised,
    ):
        client.run("r")
    assert raised.value.findings[0].where == "REDRIVE_URL"


@pytest.mark.parametrize(
    "owner, kind",
    [
        ("submitter", SubmitterError),
        ("data", DataError),
        ("machine", MachineError),
        ("us", MachineError),
    ],
)
def test_problems_become_errors_of_who_must_act_and_are_not_repeated(
    owner: str, kind: type[Exception]
) -> None:
    calls: list[int] = []
    problem = {
        "title": "T",
        "detail": "D",
        "owner": owner,
        "request_id": "q",
        "errors": [{"where": "w", "problem": "p", "remedy": "r"}],
    }

    def handler(_: httpx2.Request) -> httpx2.Response:
        calls.append(1)
        return httpx2.Response(
            422, json=problem, headers={"Content-Type": "application/problem+json"}
        )

    with answering(handler) as client, pytest.raises(kind, match=r"T: D \(request q\)") as raised:
        client.run("r")
    assert raised.value.findings[0].where == "w"  # type: ignore[attr-defined]
    assert len(calls) == 1


def test_somebody_elses_error_page_is_said_to_be_one() -> None:
    with (
        answering(lambda _: httpx2.Response(404, text="<html>")) as client,
        pytest.raises(MachineError, match="not with a") as raised,
    ):
        client.run("r")
    (finding,) = raised.value.findings
    assert finding.where == "REDRIVE_URL"
    assert "in front of it" in finding.remedy


@pytest.mark.services
class TestOnTheService:
    @pytest.fixture
    def ours(self, client: TestClient) -> Client:
        return Client("http://redrive.test", http=client, attempts=1)

    def test_a_graph_is_uploaded_once_and_the_list_is_read_to_its_end(
        self, ours: Client, tmp_path: Path
    ) -> None:
        for i in range(3):
            ours.push_model(
                Manifest(name=f"m{i}", kind="camera", adapter="builtin", builtin="log"), {}
            )
        assert [m["name"] for m in ours.items("/v1/models", limit=2)] == ["m2", "m1", "m0"]
        assert [m["name"] for m in ours.items("/v1/models", limit=2, most=1)] == ["m2"]
        path = tmp_path / "graph.onnx"
        path.write_bytes(b"not a graph")
        sha256 = file_digest(path)
        wrong = Manifest(
            name="wrong", kind="controller", graphs=(Graph(sha256=sha256, size_bytes=11),)
        )
        with pytest.raises(SubmitterError) as raised:
            ours.push_model(wrong, {sha256: path})
        assert raised.value.findings
        path.unlink()
        with pytest.raises(SubmitterError):
            ours.push_model(wrong, {sha256: path})  # the blob is there: the file isn't read again

    def test_following_ends_with_the_verdict(
        self, ours: Client, submit: Callable[..., Any], sessions: sessionmaker[Session]
    ) -> None:
        run_id = submit().json()["id"]
        seen = []
        for run in ours.follow(run_id, look_s=0.01):
            seen.append(run["status"])
            with sessions.begin() as session:
                row = session.get_one(RunRow, run_id)
                row.status, row.verdict = Status.FINISHED, RunVerdict.PASS
        assert seen == ["queued", "finished"]

    def test_following_to_the_end_goes_on_past_the_verdict(
        self, ours: Client, submit: Callable[..., Any], sessions: sessionmaker[Session]
    ) -> None:
        run_id = submit().json()["id"]
        statuses = [Status.RUNNING, Status.FINISHED]
        seen = []
        for run in ours.follow(run_id, look_s=0.01, until="finished"):
            seen.append(run["status"])
            if statuses:
                with sessions.begin() as session:
                    row = session.get_one(RunRow, run_id)
                    row.status, row.verdict = statuses.pop(0), RunVerdict.PASS
        assert seen == ["queued", "running", "finished"]

    def test_following_ends_when_the_time_is_over(
        self, ours: Client, submit: Callable[..., Any]
    ) -> None:
        run_id = submit().json()["id"]
        with pytest.raises(WaitTimeout, match="not decided"):
            list(ours.follow(run_id, timeout_s=0.0))
