"""The ratchet over HTTP: what a released model passed stays in every later version."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from server.db.run_tables import RunRow
from server.tests.asking import kind, specific
from suites.vocabulary import RunVerdict, Status

pytestmark = pytest.mark.services


def test_a_released_model_holds_what_it_passed(
    client: TestClient, push: Callable[..., str], suite: str, sessions: sessionmaker[Session]
) -> None:
    push("candidate")
    push("baseline")
    client.post("/v1/suites", json={"toml": specific("kept", passed=1, failed=1)})
    body = {"candidate": "candidate", "baseline": "baseline", "suite": "kept"}
    run_id = client.post("/v1/runs", json=body, headers={"Idempotency-Key": "1"}).json()["id"]
    with sessions.begin() as session:
        run = session.get_one(RunRow, run_id)
        run.status, run.verdict = Status.RUNNING, RunVerdict.FAIL
        run.verdict_document = {
            "cases": [{"case": "passed", "passed": True}, {"case": "failed", "passed": False}]
        }
    client.put("/v1/suites/kept/promoted", json={"model": "candidate"})
    dropped = client.post("/v1/suites", json={"toml": specific("kept", failed=1)})
    assert kind(dropped) == (409, "ratchet")
    assert client.post("/v1/suites", json={"toml": specific("kept", passed=1)}).status_code == 201
