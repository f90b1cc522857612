"""What a run shows before it is decided: evidence, said to be no verdict, then gone."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.db.base import Role
from server.db.queue_tables import DemandRow
from server.db.run_tables import RunRow
from server.services.runs.judge import RunEvidence
from server.tests.driven import trace, write
from suites.judgement import document
from suites.segment import SegmentMeta
from suites.vocabulary import Outcome, RunVerdict, Status

pytestmark = pytest.mark.services


def test_a_running_run_shows_its_evidence_and_says_that_it_is_no_verdict(
    client: TestClient,
    push: Callable[..., str],
    add_segment: Callable[..., SegmentMeta],
    app: FastAPI,
    sessions: sessionmaker[Session],
    suite_toml: str,
) -> None:
    for route in range(12):
        add_segment(f"r{route}/0")
    assert (
        client.post(
            "/v1/suites", json={"toml": suite_toml.replace("offsets", "order_seed = 3\noffsets")}
        ).status_code
        == 201
    )
    push("baseline")
    push("candidate")
    body = {"candidate": "candidate", "baseline": "baseline", "suite": "highway"}
    run_id = str(client.post("/v1/runs", json=body, headers={"Idempotency-Key": "k"}).json()["id"])
    with sessions.begin() as session:
        for demand in session.scalars(
            select(DemandRow).where(DemandRow.owner_id == run_id, DemandRow.position < 12)
        ):
            drift = 0.4 if demand.role is Role.CANDIDATE else 0.1
            write(session, app.state.blobs, demand.drive_key, Outcome.COMPLETED, trace(drift))
    with sessions.begin() as session:
        run = session.get_one(RunRow, run_id)
        evidence = RunEvidence(session, run)
        evidence.consume(session)
        verdict = evidence.verdict()
        run.status, run.verdict_document, run.pairs_consumed = (
            Status.RUNNING,
            document(verdict),
            evidence.consumed,
        )
    (e_value,) = verdict.method["evidence"]["e_values"]
    assert verdict.verdict is None
    assert 2 < e_value < 20 == verdict.method["evidence"]["threshold"]
    assert f"evidence {e_value:.2g} of 20, no verdict" in client.get(f"/runs/{run_id}").text
    view = client.get(f"/v1/runs/{run_id}").json()
    assert view["verdict_document"]["method"]["evidence"] == {
        "e_values": [e_value],
        "threshold": 20,
    }
    assert "evidence" not in evidence.verdict(over=True).method
    with sessions.begin() as session:
        run = session.get_one(RunRow, run_id)
        run.status, run.verdict = Status.FINISHED, RunVerdict.INCONCLUSIVE
    assert "of 20, no verdict" not in client.get(f"/runs/{run_id}").text
