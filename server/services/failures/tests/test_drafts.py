"""Drafts over HTTP: what can be drafted, and what a rejected draft leaves of its report."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.tests.asking import kind

pytestmark = pytest.mark.services
RULE = {"always": {"signal": "speed_mps", "below": 1}}


def test_a_rejected_draft_leaves_its_report_to_be_drafted_again(
    draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], client: TestClient
) -> None:
    first = settle(draft().json()["id"])
    reason = {"actor": "bo", "reason": "the bound is too tight", "version": first["version"]}
    assert (
        client.post(f"/v1/case-drafts/{first['id']}/reject", json=reason).json()["status"]
        == "rejected"
    )
    report = client.get(f"/v1/field-reports/{first['report_id']}").json()
    assert (report["status"], report["drafts"]) == ("reproduced", [first["id"]])
    assert report["reason"] == "a draft was rejected: the bound is too tight"
    again = draft(report=report["id"], name="drifted_again")
    assert again.status_code == 201, again.text
    second = settle(again.json()["id"])
    assert second["status"] == "drafted"
    report = client.get(f"/v1/field-reports/{first['report_id']}").json()
    assert (report["status"], report["drafts"]) == ("drafted", [first["id"], second["id"]])
    assert kind(draft(report=report["id"], name="third")) == (409, "not-now"), "a draft holds it"


def test_a_report_stays_drafted_while_another_draft_of_it_does(
    draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], client: TestClient
) -> None:
    asked = [draft().json()["id"], draft(name="drifted_too").json()["id"]]
    (one, two), statuses = [settle(draft_id) for draft_id in asked], []
    for drafted in (one, two):
        reason = {"actor": "bo", "reason": "not like this", "version": drafted["version"]}
        client.post(f"/v1/case-drafts/{drafted['id']}/reject", json=reason)
        statuses.append(client.get(f"/v1/field-reports/{one['report_id']}").json()["status"])
    assert statuses == ["drafted", "reproduced"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"control": "candidate"}, "own control"),
        ({"segment": "r1/0", "report": None, "at_s": 50.0}, "outside"),
        (
            {"case": {"conditions": [{"always": {"signal": "charm", "below": 1}}]}},
            "cannot be judged",
        ),
        (
            {
                "case": {
                    "start_s": 9,
                    "end_s": 3,
                    "conditions": [{"always": {"signal": "speed_mps", "below": 1}}],
                }
            },
            "impossible",
        ),
        ({"case": {"start_s": 5, "end_s": 5.01, "conditions": [RULE]}}, "impossible"),
        ({"case": {"noise": {"delay_s": 1e12}, "conditions": [RULE]}}, "not valid"),
        ({"case": {"conditions": []}}, "no condition"),
        ({"segment": "r1/0", "report": None}, "no place"),
        ({"segment": "controls/1", "report": None, "at_s": 1.0}, "can't be driven"),
    ],
)
def test_what_can_never_be_proven_is_refused_at_once(
    draft: Callable[..., Any],
    add_segment: Callable[..., Any],
    client: TestClient,
    changes: dict[str, Any],
    problem: str,
) -> None:
    add_segment("controls/1", kind="controls")
    client.post("/v1/segments/index")
    answer = draft(**changes)
    assert answer.status_code == 422
    assert problem in answer.json()["detail"]
    assert answer.json()["errors"]
