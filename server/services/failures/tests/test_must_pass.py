"""The must-pass cases of a suite: each says who brought it, why, since when and who answers."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.tests.asking import specific, waive

pytestmark = pytest.mark.services


def test_the_suites_page_says_who_why_and_since_when(
    enforced: str,
    client: TestClient,
    draft: Callable[..., Any],
    settle: Callable[[str], dict[str, Any]],
) -> None:
    (first,) = client.get("/suites/surprises.json").json()["suite"]["cases"]
    assert (first["name"], first["status"]) == ("drifted", "enforced")
    assert (first["author"], first["accepted_by"]) == ("ada", "bo")
    assert (first["toml"], first["note"]) == (enforced, "it drifted over the line")
    assert (first["since"]["number"], first["held_by"]) == (1, None)
    assert first["held_since"] is not None
    other = '[[cases]]\nname = "other"\nsegment = "r1/0"\n'
    suite = specific("surprises", enforced, other)
    second = client.post("/v1/suites", json={"toml": suite}).json()
    rule = {"always": {"signal": "lateral_offset_m", "absolute": True, "below": 1.0}}
    place = {"report": None, "segment": "r2/0", "at_s": 6.0, "case": {"conditions": [rule]}}
    held = settle(draft(control="clone", name="disputed", **place).json()["id"])
    waive(client)
    seen = client.get("/v1/suite-versions/surprises/cases").json()
    drifted, added = seen["cases"]
    assert drifted["since"] == first["since"]
    assert (drifted["status"], drifted["waiver"]["owner"]) == ("waived", "bo")
    assert added["since"]["digest"] == second["digest"]
    assert (added["held_since"], added["draft"]) == (None, None)
    assert [(d["id"], d["status"]) for d in seen["not_counted"]] == [(held["id"], "quarantined")]
    before = client.get(f"/suites/{first['since']['digest']}.json").json()
    assert [case["name"] for case in before["suite"]["cases"]] == ["drifted"]
    page = client.get("/suites/surprises", headers={"Accept": "text/html"}).text
    for words in (
        "it drifted over the line",
        "drafted</a> by ada, accepted by bo",
        "quarantined",
        f"/case-drafts/{held['id']}",
    ):
        assert words in page, words
