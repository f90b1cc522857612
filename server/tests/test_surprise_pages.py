"""Reports and drafts in the browser: what is shown, what the forms do, and whom they refuse."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

pytestmark = pytest.mark.services
BROWSER = {"Accept": "text/html"}


@pytest.fixture
def report(client: TestClient, suite: str, push: Callable[..., str]) -> str:
    push("candidate")
    push("baseline")
    body = {"route": "r1--0", "time_s": 6.0, "text": "<b>it drifted</b>", "reporter": "ada", "model_version": "candidate"}
    return str(client.post("/v1/field-reports", json=body).json()["id"])


def look(client: TestClient, path: str) -> str:
    answer = client.get(path, headers=BROWSER)
    assert answer.status_code == 200, answer.text
    return answer.text


def send(client: TestClient, path: str, fields: dict[str, str], origin: str = "http://redrive.test") -> Any:
    return client.post(path, data=fields, headers=BROWSER | {"Origin": origin}, follow_redirects=False)


def test_an_empty_list_shows_the_command_that_fills_it(client: TestClient) -> None:
    page = look(client, "/reports")
    assert "redrive reports import" in page
    assert client.get("/reports.json").json()["reports"] == []


def test_a_report_is_read_registered_and_the_draft_rejected(client: TestClient, report: str) -> None:
    assert report in look(client, "/reports")
    page = look(client, f"/reports/{report}")
    assert "<b>it drifted</b>" not in page, "what strangers write is never markup"
    assert "Register as test" in page
    fields = {"report": report, "suite": "surprises", "name": "drifted", "offender": "candidate", "control": "baseline",
              "author": "bo", "note": "it drifted out of its lane"}  # fmt: skip
    made = send(client, "/case-drafts", fields)
    assert made.status_code == 303, made.text
    draft = made.headers["location"]
    assert "Being proven" in look(client, draft)
    assert draft.rpartition("/")[2] in look(client, f"/reports/{report}")
    early = send(client, f"{draft}/decide", {"version": "1", "actor": "bo", "decision": "accept"})
    assert early.status_code == 409
    moved = send(client, f"{draft}/decide", {"version": "7", "actor": "bo", "decision": "reject", "reason": "no need"})
    assert moved.status_code == 409


def test_a_form_says_what_it_lacks_and_refuses_other_sites(client: TestClient, report: str) -> None:
    lacking = send(client, "/case-drafts", {"report": report, "suite": "surprises"})
    assert lacking.status_code == 422
    assert "note" in lacking.text
    path = f"/reports/{report}/reject"
    foreign = send(client, path, {"reason": "because I can", "actor": "eve"}, "https://elsewhere.example")
    assert foreign.status_code == 400
    own = send(client, path, {"reason": "the road was flooded", "actor": "ada"})
    assert own.status_code == 303
    page = look(client, f"/reports/{report}")
    assert "the road was flooded" in page
    assert "Register as test" not in page
