"""Field reports over HTTP: located, clustered, kept until their data arrives, rejected for good."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.tests.asking import kind

pytestmark = pytest.mark.services


def test_located_clustered_and_never_twice(
    suite: str, complain: Callable[..., Any], client: TestClient
) -> None:
    first = complain()
    assert first.status_code == 201
    assert (first.json()["status"], first.json()["segment_id"], first.json()["segment_time_s"]) == (
        "located",
        "r1/0",
        6.0,
    )
    assert complain().json()["id"] == first.json()["id"]
    near = complain(time_s=7.5, text="hugging the right line", reporter="bo").json()
    other = complain(text="slammed the brakes", reporter="bo").json()
    assert near["cluster"] == first.json()["id"] != other["cluster"]
    detail = client.get(f"/v1/field-reports/{near['id']}").json()
    assert detail["duplicates"] == [first.json()["id"]]
    assert [
        r["id"]
        for r in client.get("/v1/field-reports", params={"search": "brakes"}).json()["items"]
    ] == [other["id"]]


@pytest.mark.parametrize("pushed", [False, True])
def test_a_report_waits_for_its_data(
    suite: str,
    complain: Callable[..., Any],
    client: TestClient,
    add_segment: Callable[..., Any],
    suite_toml: str,
    pushed: bool,
) -> None:
    waiting = complain(route="r9|0").json()
    assert (waiting["status"], waiting["segment_id"]) == ("awaiting data", None)
    add_segment("r9/0")
    if pushed:
        client.post("/v1/suites", json={"toml": suite_toml})
    else:
        client.post("/v1/segments/index")
    assert client.get(f"/v1/field-reports/{waiting['id']}").json()["status"] == "located"
    kinds = [
        e["kind"]
        for e in client.get("/v1/audit", params={"subject_id": waiting["id"]}).json()["items"]
    ]
    assert kinds == ["report.located", "report.awaiting_data", "report.reported"]


def test_a_time_outside_the_route_is_refused_with_its_length(
    suite: str, complain: Callable[..., Any]
) -> None:
    answer = complain(time_s=99.0)
    assert kind(answer) == (422, "invalid-submission")
    assert "12 s" in answer.json()["errors"][0]["problem"]


def test_a_rejected_report_is_final(
    suite: str, complain: Callable[..., Any], client: TestClient
) -> None:
    report = complain().json()["id"]
    body = {"actor": "bo", "reason": "the road was flooded"}
    assert (
        client.post(f"/v1/field-reports/{report}/reject", json=body).json()["status"] == "rejected"
    )
    assert kind(client.post(f"/v1/field-reports/{report}/reject", json=body)) == (409, "not-now")
