"""Reports and drafts in the browser: what is shown, what the forms do, and whom they refuse."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from server.db.failure_tables import WaiverRow

pytestmark = pytest.mark.services
BROWSER = {"Accept": "text/html"}


@pytest.fixture
def report(client: TestClient, suite: str, push: Callable[..., str]) -> str:
    push("candidate")
    push("baseline")
    body = {
        "route": "r1--0",
        "time_s": 6.0,
        "text": "<b>it drifted</b>",
        "reporter": "ada",
        "model_version": "candidate",
    }
    return str(client.post("/v1/field-reports", json=body).json()["id"])


def look(client: TestClient, path: str) -> str:
    answer = client.get(path, headers=BROWSER)
    assert answer.status_code == 200, answer.text
    return answer.text


def send(
    client: TestClient, path: str, fields: dict[str, str], origin: str = "http://redrive.test"
) -> Any:
    return client.post(
        path, data=fields, headers=BROWSER | {"Origin": origin}, follow_redirects=False
    )


def test_an_empty_list_shows_the_command_that_fills_it(client: TestClient) -> None:
    page = look(client, "/reports")
    assert "redrive reports import" in page
    assert client.get("/reports.json").json()["reports"] == []


def test_a_report_is_read_registered_and_the_draft_rejected(
    client: TestClient, report: str
) -> None:
    assert report in look(client, "/reports")
    page = look(client, f"/reports/{report}")
    assert "<b>it drifted</b>" not in page, "what strangers write is never markup"
    assert "Register as test" in page
    fields = {
        "report": report,
        "suite": "surprises",
        "name": "drifted",
        "offender": "candidate",
        "control": "baseline",
        "author": "bo",
        "note": "it drifted out of its lane",
    }
    made = send(client, "/case-drafts", fields)
    assert made.status_code == 303, made.text
    draft = made.headers["location"]
    assert "Being proven" in look(client, draft)
    assert draft.rpartition("/")[2] in look(client, f"/reports/{report}")
    early = send(client, f"{draft}/decide", {"version": "1", "actor": "bo", "decision": "accept"})
    assert early.status_code == 409
    moved = send(
        client,
        f"{draft}/decide",
        {"version": "7", "actor": "bo", "decision": "reject", "reason": "no need"},
    )
    assert moved.status_code == 409


def test_a_report_is_sent_from_its_page_once(client: TestClient, suite: str) -> None:
    fields = {
        "route": "r1--0",
        "time": "0:06.5",
        "text": "it hugged the line",
        "reporter": "bo",
        "severity": "high",
    }
    sent = send(client, "/reports", fields)
    assert sent.status_code == 303, sent.text
    assert send(client, "/reports", fields).headers["location"] == sent.headers["location"]
    (kept,) = client.get("/v1/field-reports").json()["items"]
    assert (kept["segment_time_s"], kept["severity"], kept["status"]) == (6.5, "high", "located")
    for changes in (
        {"time": "noon"},
        {"time": "nan"},
        {"time": "99"},
        {"severity": "awful"},
        {"text": " "},
    ):
        refused = send(client, "/reports", fields | changes)
        assert refused.status_code == 422, changes
        assert "What to do" in refused.text
    assert len(client.get("/v1/field-reports").json()["items"]) == 1


@pytest.mark.parametrize("version", ["²", "9" * 5000, "-1", "x"])
def test_a_version_that_is_no_number_is_refused(client: TestClient, version: str) -> None:
    answer = send(
        client,
        "/case-drafts/none/decide",
        {"version": version, "actor": "bo", "decision": "accept"},
    )
    assert answer.status_code == 422
    assert "<code>version</code>" in answer.text


def test_a_form_says_what_it_lacks_and_refuses_other_sites(client: TestClient, report: str) -> None:
    lacking = send(client, "/case-drafts", {"report": report, "suite": "surprises"})
    assert lacking.status_code == 422
    assert "note" in lacking.text
    path = f"/reports/{report}/reject"
    foreign = send(
        client, path, {"reason": "because I can", "actor": "eve"}, "https://elsewhere.example"
    )
    assert foreign.status_code == 400
    own = send(client, path, {"reason": "the road was flooded", "actor": "ada"})
    assert own.status_code == 303
    page = look(client, f"/reports/{report}")
    assert "the road was flooded" in page
    assert "Register as test" not in page


@pytest.fixture
def cases(client: TestClient, suite: str) -> None:
    """Suite `kept` with the cases bend and exit."""
    case = '[[cases]]\nname = "{}"\nsegment = "r1/0"\n'
    text = 'name = "kept"\nkind = "specific"\n' + case.format("bend") + case.format("exit")
    assert client.post("/v1/suites", json={"toml": text}).status_code == 201


WAIVER = {
    "suite": "kept",
    "case": "bend",
    "owner": "bo",
    "days": "7",
    "reason": "<i>fixed</i> by the next camera",
}


@pytest.mark.usefixtures("cases")
def test_a_waiver_is_given_and_ended_on_its_page(client: TestClient) -> None:
    assert send(client, "/waivers", WAIVER, "https://elsewhere.example").status_code == 400
    given = send(client, "/waivers", WAIVER)
    assert (given.status_code, given.headers["location"]) == (303, "/waivers?suite=kept&case=bend")
    assert (
        send(
            client, "/waivers", WAIVER | {"case": "exit", "because_of": "bend", "days": "3"}
        ).status_code
        == 303
    )
    page = look(client, "/waivers?suite=kept&case=bend")
    assert "in force" in page
    assert "<i>fixed</i>" not in page, "what strangers write is never markup"
    assert "kept/exit" not in page
    listed = client.get("/waivers.json").json()
    assert [(w["case"], w["because_of"]) for w in listed["waivers"]] == [
        ("exit", "bend"),
        ("bend", None),
    ]
    waiver = listed["waivers"][1]["id"]
    assert send(client, f"/waivers/{waiver}/revoke", {}).status_code == 422, "somebody must say so"
    ended = send(client, f"/waivers/{waiver}/revoke", {"actor": "ada"})
    assert ended.status_code == 303
    assert "revoked" in look(client, ended.headers["location"])
    seen = client.get("/waivers.json", params={"suite": "kept", "case": "bend"}).json()
    assert [(e["kind"], e["actor"]) for e in seen["trail"]] == [
        ("case.waiver_revoked", "ada"),
        ("case.waived", "bo"),
    ]


@pytest.mark.usefixtures("cases")
def test_waivers_are_told_apart_by_state(
    client: TestClient, sessions: sessionmaker[Session]
) -> None:
    ids = {}
    for case, days in (("bend", "7"), ("exit", "7")):
        send(client, "/waivers", WAIVER | {"case": case, "days": days})
        ids[case] = client.get("/v1/waivers").json()["items"][0]["id"]
    with sessions.begin() as session:
        row = session.get_one(WaiverRow, ids["exit"])
        row.created, row.expires = (datetime.now(UTC) - timedelta(days=days) for days in (2, 1))
    send(client, f"/waivers/{ids['bend']}/revoke", {"actor": "ada"})
    send(client, "/waivers", WAIVER)  # also closes what has run out
    states = {
        state: client.get("/v1/waivers", params={"state": state}).json()["items"]
        for state in ("in force", "expired", "revoked")
    }
    assert {state: [w["case"] for w in found] for state, found in states.items()} == {
        "in force": ["bend"],
        "expired": ["exit"],
        "revoked": ["bend"],
    }
    assert all(w["state"] == state for state, found in states.items() for w in found)
    assert "kept/exit" in look(client, "/waivers?state=expired")


@pytest.mark.usefixtures("cases")
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"days": "400"}, "90"),
        ({"days": "soon"}, "no number"),
        ({"reason": "no"}, "reason"),
        ({"case": "nothing"}, "nothing"),
        ({"owner": ""}, "owner"),
    ],
)
def test_a_waiver_that_cannot_be_given_says_why(
    client: TestClient, wrong: dict[str, str], says: str
) -> None:
    answer = send(client, "/waivers", WAIVER | wrong)
    assert answer.status_code in (404, 422)
    assert says in answer.text
    assert client.get("/waivers.json").json()["waivers"] == []
