"""Lists cost the same number of statements however long they are."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from server.services.queue import new_demands as module
from server.tests.statements import counted

pytestmark = pytest.mark.services

MOST = {
    "/v1/models": 1,
    "/v1/segments": 1,
    "/v1/suites": 1,
    "/v1/suites/highway/versions": 2,
    "/v1/cases?suite=highway": 1,
    "/v1/runs": 1,
    "/v1/audit": 1,
}


def test_statements_do_not_grow_with_the_list(
    app: FastAPI, client: TestClient, submit: Callable[..., Any], push: Callable[..., str]
) -> None:
    for i in range(3):
        push(f"model-{i}")
        run_id = submit(candidate=f"model-{i}").json()["id"]
    for path, most in {**MOST, f"/v1/runs/{run_id}/results": 3}.items():
        with counted(app) as statements:
            assert len(client.get(path).json()["items"]) > 0
        assert len(statements) <= most, f"{path}: {statements}"


def test_lists_leave_the_documents_of_suite_versions_where_they_are(
    app: FastAPI, client: TestClient, suite: str
) -> None:
    """One has 3 MB where 2,000 segments are driven from three offsets."""
    for path in ("/v1/suites", "/v1/suites/highway/versions"):
        with counted(app) as statements:
            assert client.get(path).json()["items"]
        assert not [text for text in statements if "document" in text.split("FROM")[0]], path


def test_a_submission_costs_a_bounded_number_of_statements(
    app: FastAPI,
    client: TestClient,
    submit: Callable[..., Any],
    add_segment: Callable[..., Any],
    suite_toml: str,
) -> None:
    with counted(app) as small:
        submit()
    for i in range(60):
        add_segment(f"many-{i}/0")
    client.post("/v1/suites", json={"toml": suite_toml})
    with counted(app) as large:
        assert submit().json()["planned"] == 132
    assert len(large) <= len(small) + 2, large


def test_pages_cost_the_same_however_much_they_list(
    app: FastAPI,
    client: TestClient,
    submit: Callable[..., Any],
    push: Callable[..., str],
    add_segment: Callable[..., Any],
) -> None:
    case = '[[cases]]\nname = "c{}"\nsegment = "r1/0"\n'

    def add(first: int, last: int) -> None:
        for i in range(first, last):
            push(f"model-{i}")
            submit(candidate=f"model-{i}")
            add_segment(f"more-{i}/0")
            complaint = {
                "route": f"r{1 + i % 3}--0",
                "time_s": 1.0 + i,
                "text": "it drifted",
                "reporter": "ada",
            }
            assert client.post("/v1/field-reports", json=complaint).is_success
            draft = {
                "suite": "later",
                "name": f"d{i}",
                "note": "it drifted",
                "offender": f"model-{i}",
                "control": "baseline",
            }
            assert client.post(
                "/v1/case-drafts", json=draft | {"segment": "r1/0", "at_s": 2.0}
            ).is_success
        kept = 'name = "kept"\nkind = "specific"\n' + "".join(case.format(i) for i in range(last))
        assert client.post("/v1/suites", json={"toml": kept}).is_success
        expires = (datetime.now(UTC) + timedelta(days=7)).isoformat()
        waiver = {
            "suite": "kept",
            "case": f"c{first}",
            "owner": "bo",
            "reason": "the next camera",
            "expires": expires,
        }
        assert client.post("/v1/waivers", json=waiver).is_success

    def cost() -> dict[str, int]:
        found = {}
        for path in ("runs", "segments", "suites", "models", "reports", "waivers", "suites/kept"):
            with counted(app) as statements:
                assert client.get(f"/{path}.json").is_success
            found[path] = len(statements)
        return found

    add(0, 1)
    few = cost()
    add(1, 5)
    assert cost() == few


def test_the_planner_knows_of_a_large_run_at_once(
    submit: Callable[..., Any], sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MANY", 24)
    submit()
    known = "SELECT DISTINCT tablename FROM pg_stats WHERE tablename IN ('demands', 'drive_keys')"
    with sessions() as session:
        assert set(session.scalars(text(known))) == {"demands", "drive_keys"}
