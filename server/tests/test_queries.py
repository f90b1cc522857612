"""Lists cost the same number of statements however long they are."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from server.tests.statements import counted

pytestmark = pytest.mark.services

MOST = {
    "/v1/models": 1, "/v1/segments": 1, "/v1/suites": 1, "/v1/suites/highway/versions": 2, "/v1/cases?suite=highway": 1,
    "/v1/runs": 1, "/v1/audit": 1,
}  # fmt: skip


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


def test_a_submission_costs_a_bounded_number_of_statements(
    app: FastAPI, client: TestClient, submit: Callable[..., Any], add_segment: Callable[..., Any], suite_toml: str
) -> None:
    with counted(app) as small:
        submit()
    for i in range(60):
        add_segment(f"many-{i}/0")
    client.post("/v1/suites", json={"toml": suite_toml})
    with counted(app) as large:
        assert submit().json()["planned"] == 132
    assert len(large) <= len(small) + 2, large
