"""Acceptance over HTTP: a proven draft becomes an enforced case, on the bytes of its proof only."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.tests.asking import kind, specific
from suites.definition.suite_toml import load_suite

pytestmark = pytest.mark.services


def test_a_report_becomes_an_enforced_case(
    draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], client: TestClient
) -> None:
    asked = draft()
    assert (asked.status_code, asked.json()["status"]) == (201, "located")
    proven = settle(asked.json()["id"])
    assert (proven["status"], proven["proof"]["answer"]) == ("drafted", "proven"), proven["reason"]
    assert proven["spec"]["noise"]["pose_m"] > 0
    assert proven["spec"]["start_s"] >= 3.5, "the window is short"
    assert load_suite(specific("s", proven["toml"])).cases[0].conditions
    decision = {"actor": "bo", "version": proven["version"]}
    enforced = client.post(f"/v1/case-drafts/{proven['id']}/accept", json=decision).json()
    assert enforced["status"] == "enforced"
    version = client.get("/v1/suite-versions/surprises").json()
    assert version["digest"] == enforced["suite_digest"]
    assert version["definition"]["cases"][0]["name"] == "drifted"
    again = client.post(f"/v1/case-drafts/{proven['id']}/accept", json=decision)
    assert kind(again) == (409, "draft-moved")
    report = client.get(f"/v1/field-reports/{proven['report_id']}").json()
    assert (report["status"], report["drafts"]) == ("enforced", [proven["id"]])
    steps = ["enforced", "reviewed", "drafted", "reproduced"]
    trail = client.get("/v1/audit", params={"subject_id": proven["id"]}).json()["items"]
    assert [e["kind"] for e in trail] == [f"draft.{step}" for step in (*steps, "requested")]
    moved = client.get("/v1/audit", params={"subject_id": report["id"]}).json()["items"]
    assert [e["kind"] for e in moved][:5] == [f"report.{step}" for step in (*steps, "linked")]
    assert {e["detail"]["draft"] for e in moved[:5]} == {proven["id"]}, (
        "each step names the draft that took it along"
    )


def test_a_proof_on_other_bytes_of_the_segment_is_not_accepted(
    draft: Callable[..., Any],
    settle: Callable[[str], dict[str, Any]],
    add_segment: Callable[..., Any],
    client: TestClient,
) -> None:
    proven = settle(draft().json()["id"])
    add_segment("r1/0", tags=("highway", "wet"))
    client.post("/v1/segments/index")
    decision = {"actor": "bo", "version": proven["version"]}
    refused = client.post(f"/v1/case-drafts/{proven['id']}/accept", json=decision)
    assert kind(refused) == (409, "not-now")
    assert "r1/0 was imported again" in refused.json()["errors"][0]["problem"]
    assert client.get("/v1/suite-versions/surprises").status_code == 404, "nothing entered"
    add_segment("r1/0")
    client.post("/v1/segments/index")
    assert (
        client.post(f"/v1/case-drafts/{proven['id']}/accept", json=decision).json()["status"]
        == "enforced"
    )


def test_an_enforced_case_stays_in_every_later_version(enforced: str, client: TestClient) -> None:
    def push(*cases: str, **bounds: float) -> Any:
        return client.post("/v1/suites", json={"toml": specific("surprises", *cases, **bounds)})

    assert kind(push(other=1)) == (409, "ratchet"), "dropped"
    loosened = enforced.replace("repeats = 3", "repeats = 4")
    assert loosened != enforced
    assert kind(push(loosened)) == (409, "ratchet")
    assert push(enforced, other=1).status_code == 201
