"""Suites and segments over HTTP: resolved against what is stored, linear, immutable."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from server.db.bank_tables import SegmentRow
from server.settings import Settings
from suites.identity import digest
from suites.segment import Facts

pytestmark = pytest.mark.services


def test_registering_again_changes_nothing_and_an_edit_is_the_next_version(
    client: TestClient, suite: str, add_segment: Callable[..., Any], suite_toml: str
) -> None:
    again = client.post("/v1/suites", json={"toml": suite_toml})
    assert (again.status_code, again.json()["digest"]) == (200, suite)
    edited = client.post(
        "/v1/suites", json={"toml": suite_toml + "margin = 0.05\n", "actor": "ada"}
    )
    assert edited.status_code == 201
    (event,) = client.get("/v1/audit", params={"subject_id": edited.json()["digest"]}).json()[
        "items"
    ]
    assert (event["kind"], event["actor"]) == ("suite.registered", "ada")
    assert (edited.json()["number"], edited.json()["parent"]) == (2, suite)
    add_segment("r4/0")
    grown = client.post("/v1/suites", json={"toml": suite_toml + "margin = 0.05\n"}).json()
    assert (grown["number"], grown["planned"]) == (3, 14)
    back = client.post("/v1/suites", json={"toml": suite_toml}).json()
    assert (back["number"], back["parent"]) == (4, grown["digest"])
    numbers = [v["number"] for v in client.get("/v1/suites/highway/versions").json()["items"]]
    assert numbers == [4, 3, 2, 1]
    listed = client.get("/v1/suites").json()["items"]
    assert [(s["name"], s["newest"]["number"]) for s in listed] == [("highway", 4)]


def test_a_version_is_found_by_name_and_by_the_beginning_of_its_digest(
    client: TestClient, suite: str
) -> None:
    for reference in ("highway", suite, suite[:8], f"highway@{suite[:6]}"):
        found = client.get(f"/v1/suite-versions/{reference}").json()
        assert found["digest"] == suite
    assert found["definition"]["gates"][0]["metric"] == "lateral_error_mean_m"
    assert client.get(f"/v1/suite-versions/other@{suite[:6]}").status_code == 404


def test_cases_are_the_order_of_replay_page_by_page(client: TestClient, suite: str) -> None:
    seen: list[dict[str, Any]] = []
    query: dict[str, Any] = {"suite": "highway", "limit": 5}
    while True:
        page = client.get("/v1/cases", params=query).json()
        seen += page["items"]
        query["cursor"] = page["next"]
        if page["next"] is None:
            break
    assert [case["position"] for case in seen] == list(range(12))
    assert {case["route"] for case in seen[:3]} == {"r1", "r2", "r3"}


def test_an_edit_of_a_version_that_is_no_longer_the_newest_is_refused(
    client: TestClient, suite: str, suite_toml: str
) -> None:
    one, other = (suite_toml + f"margin = {margin}\n" for margin in (0.03, 0.04))
    assert client.post("/v1/suites", json={"toml": one, "parent": suite}).status_code == 201
    late = client.post("/v1/suites", json={"toml": other, "parent": suite})
    assert (late.status_code, late.json()["type"].partition("#")[2]) == (409, "parent-moved")
    assert [v["number"] for v in client.get("/v1/suites/highway/versions").json()["items"]] == [
        2,
        1,
    ]


def test_a_suite_that_contradicts_itself_is_refused_with_every_finding(
    client: TestClient, suite_toml: str
) -> None:
    twice = (
        suite_toml
        + suite_toml[suite_toml.index("[[gates]]") :].replace("lateral_error_mean_m", "charm") * 2
    )
    answer = client.post("/v1/suites", json={"toml": twice})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 3
    assert all(error["where"].startswith("line ") for error in answer.json()["errors"])


def test_what_is_left_out_for_want_of_knowledge_is_said(
    client: TestClient, suite_toml: str, add_segment: Callable[..., Any]
) -> None:
    rule = suite_toml.replace("[select]", '[select]\nweather = ["rain"]')
    add_segment("r1/0")
    refused = client.post("/v1/suites", json={"toml": rule})
    assert refused.status_code == 422
    assert "leaves out 1 of 1 segments, 1 of them because it is not known" in refused.text
    add_segment("r2/0", facts=Facts(weather="rain", mean_speed_mps=21.5, intersection=False))
    version = client.post("/v1/suites", json={"toml": rule}).json()
    assert version["planned"] == 2
    (left,) = client.get(f"/v1/suite-versions/{version['digest']}").json()["left_out"]
    assert (left["where"], left["problem"]) == (
        "select.weather",
        "leaves out 1 of 2 segments, 1 of them because it is not known",
    )


def test_the_page_of_a_segment_shows_what_is_known_of_it(
    client: TestClient, add_segment: Callable[..., Any], sessions: sessionmaker[Session]
) -> None:
    add_segment(
        "r2/0",
        facts=Facts(weather="rain", mean_speed_mps=21.5, max_speed_mps=25.0, intersection=False),
    )
    add_segment("old")
    client.post("/v1/segments/index")
    with sessions.begin() as session:  # as an older version indexed it
        row = session.get_one(SegmentRow, "old")
        row.meta = {key: value for key, value in row.meta.items() if key != "facts"}
    known = facts_of(client, "r2/0")
    assert "21.5" in known
    assert "light unknown, rain" in known
    assert "<dt>Intersection</dt><dd>none</dd>" in known
    assert "<dt>Platform</dt><dd>unknown</dd>" in known
    assert "<dt>Intersection</dt><dd>unknown</dd>" in facts_of(client, "old")


def facts_of(client: TestClient, segment_id: str) -> str:
    """The segment's page without the blanks between its tags."""
    text = client.get(f"/segments/{segment_id}", headers={"Accept": "text/html"}).text
    return re.sub(r">\s+<", "><", text)


class TestSegments:
    def test_the_index_follows_the_folder(
        self, client: TestClient, add_segment: Callable[..., Any], settings: Settings
    ) -> None:
        add_segment("r1/0")
        add_segment("plain", tags=("night",))
        (settings.segments / "broken").mkdir()
        (settings.segments / "broken" / "meta.json").write_text("{}")
        (settings.segments / ".partial" / "0").mkdir(parents=True)
        (settings.segments / ".partial" / "0" / "meta.json").write_text("{}")
        report = client.post("/v1/segments/index").json()
        assert (report["total"], report["added"], list(report["unreadable"])) == (
            2,
            ["plain", "r1/0"],
            ["broken"],
        )
        add_segment("r1/0", frame_count=100)
        again = client.post("/v1/segments/index").json()
        assert (again["changed"], again["unchanged"]) == (["r1/0"], 1)
        assert client.get("/v1/segments/r1/0").json()["meta"]["frame_count"] == 100
        assert [
            s["segment_id"]
            for s in client.get("/v1/segments", params={"tag": "night"}).json()["items"]
        ] == ["plain"]

    def test_the_identity_of_what_is_listed_can_be_computed_again(
        self, client: TestClient, add_segment: Callable[..., Any]
    ) -> None:
        meta = add_segment("r1/0", origin={"seed": 1, "scale": 1e-7, "zero": -0.0, "large": 1e22})
        client.post("/v1/segments/index")
        view = json.loads(client.get("/v1/segments/r1/0").text)

        def stated(value: Any) -> Any:
            if not isinstance(value, dict):
                return value
            parts = {key: part if key == "origin" else stated(part) for key, part in value.items()}
            return {key: part for key, part in parts.items() if part not in (None, {}, [])}

        assert view["digest"] == meta.digest == digest(stated(view["meta"]))

    def test_a_quarantined_segment_stays_listed_and_out_of_new_versions(
        self, client: TestClient, suite: str, suite_toml: str
    ) -> None:
        kept_out = client.put(
            "/v1/quarantine/r1/0", json={"reason": "the camera was blocked", "actor": "ada"}
        ).json()
        assert kept_out["quarantined"] == "the camera was blocked"
        assert client.post("/v1/suites", json={"toml": suite_toml}).json()["planned"] == 10
        assert len(client.get("/v1/segments").json()["items"]) == 6
        page = client.get("/segments/r1/0", headers={"Accept": "text/html"}).text
        assert "<strong>Quarantined</strong>: the camera was blocked" in page
        assert "PUT /v1/quarantine/r1/0" in page
        client.put("/v1/quarantine/r1/0", json={"reason": None})
        assert client.post("/v1/suites", json={"toml": suite_toml}).json()["planned"] == 12
        trail = client.get("/v1/audit", params={"subject_id": "r1/0"}).json()["items"]
        assert [(e["kind"], e["actor"]) for e in trail] == [
            ("segment.released", ""),
            ("segment.quarantined", "ada"),
        ]

    def test_a_quarantine_is_of_the_bytes_and_holds_whenever_they_are_imported(
        self, client: TestClient, add_segment: Callable[..., Any]
    ) -> None:
        bad = add_segment("r1/0").digest
        client.post("/v1/segments/index")
        client.put("/v1/quarantine/r1/0", json={"reason": "the camera was blocked"})

        def index() -> Any:
            report = client.post("/v1/segments/index").json()
            return report["no_longer_quarantined"], client.get("/v1/segments/r1/0").json()[
                "quarantined"
            ]

        assert index() == ([], "the camera was blocked"), "nothing changed"
        add_segment("r1/0", tags=("highway", "wiped"))
        assert index() == (["r1/0"], None)
        page = client.get("/segments/r1/0", headers={"Accept": "text/html"}).text
        assert f"what stays quarantined is {bad[:12]}: the camera was blocked" in page
        add_segment("r1/0")
        assert index() == ([], "the camera was blocked"), "the bad bytes are back"
        page = client.get("/segments/r1/0", headers={"Accept": "text/html"}).text
        assert (
            f"{bad[:12]} was imported again, which is quarantined: the camera was blocked" in page
        )
        kinds = [
            e["kind"]
            for e in client.get("/v1/audit", params={"subject_id": "r1/0"}).json()["items"]
        ]
        assert kinds == ["segment.quarantined", "segment.released", "segment.quarantined"]

    def test_a_case_on_a_quarantined_segment_is_refused_by_its_reason(
        self, client: TestClient, suite: str
    ) -> None:
        case = '[[cases]]\nname = "{}"\nsegment = "{}/0"\n'
        text = (
            'name = "kept"\nkind = "specific"\n'
            + case.format("one", "r1")
            + case.format("two", "r2")
        )
        client.put("/v1/quarantine/r2/0", json={"reason": "the camera was blocked"})
        refused = client.post("/v1/suites", json={"toml": text})
        assert refused.status_code == 422
        (error,) = refused.json()["errors"]
        assert (error["where"], error["problem"]) == (
            "line 8: cases.two.segment",
            "r2/0 is quarantined: the camera was blocked",
        )
        assert "PUT /v1/quarantine/r2/0" in error["remedy"]
        client.put("/v1/quarantine/r2/0", json={"reason": None})
        assert client.post("/v1/suites", json={"toml": text}).status_code == 201
