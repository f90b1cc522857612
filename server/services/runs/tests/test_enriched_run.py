"""An enriched run over HTTP: it drives a tenth of the grid, and its rate is that of all of it."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, select
from sqlalchemy.orm import Session, sessionmaker

from server.db.bank_tables import SuiteVersionRow
from server.db.base import Role
from server.db.queue_tables import DemandRow, DriveKeyRow, RolloutRow
from server.db.run_tables import RunRow
from server.services.bank.register_suite import stored_version
from server.services.runs.judge import RunEvidence
from suites.judgement import document
from suites.segment import SegmentMeta
from suites.vocabulary import Outcome, RunVerdict, Status

pytestmark = pytest.mark.services

SUITE = """
name = "rare"
kind = "overall"
order_seed = 4
offsets = [{}, { lateral_m = 0.6 }, { lateral_m = -0.6 }, { lateral_m = 1.2 }, { lateral_m = -1.2 }]
offset_weights = [0.5, 0.2, 0.2, 0.05, 0.05]

[select]

[enriched]
share = 0.1
offset_factors = [0.5, 1, 1, 5, 5]
tag_factors = { curve = 5 }
"""
PROBABILITY = {0.0: 0.5, 0.6: 0.2, 1.2: 0.05}
SEGMENTS = [(f"r{i:02}", "curve" if i % 6 == 0 else "highway") for i in range(48)]


def fails(segment: int, lateral_m: float) -> bool:
    """Curves from far outside, and one segment in twelve from beside the log."""
    return (segment % 6 == 0 and abs(lateral_m) > 1) or (segment % 12 == 0 and abs(lateral_m) > 0.5)


@pytest.fixture
def run_id(
    client: TestClient, push: Callable[..., str], add_segment: Callable[..., SegmentMeta]
) -> str:
    for name in ("candidate", "baseline"):
        push(name)
    for route, tag in SEGMENTS:
        add_segment(f"{route}/0", tags=(tag,))
    answer = client.post("/v1/suites", json={"toml": SUITE})
    assert answer.status_code == 201, answer.text
    body = {"candidate": "candidate", "baseline": "baseline", "suite": "rare"}
    return str(
        client.post("/v1/runs", json=body, headers={"Idempotency-Key": "enriched"}).json()["id"]
    )


def drive_all(sessions: sessionmaker[Session], run_id: str) -> None:
    """Each drive lasts an hour."""
    with sessions.begin() as session:
        for demand in session.scalars(select(DemandRow).where(DemandRow.owner_id == run_id)):
            lateral_m = session.get_one(DriveKeyRow, demand.drive_key).key["scenario"]["offset"][
                "lateral_m"
            ]
            bad = demand.role is Role.CANDIDATE and fails(int(demand.route[1:]), lateral_m)
            session.add(
                RolloutRow(
                    drive_key=demand.drive_key,
                    outcome=Outcome.FAILED if bad else Outcome.COMPLETED,
                    reason="",
                    ended_s=3600.0,
                    trusted_share=1.0,
                    provenance={},
                    worker="w/1",
                    fence=1,
                    trace_sha256=None,
                )
            )


def failures(client: TestClient, run_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    answer = client.get(f"/v1/runs/{run_id}/incidents")
    assert answer.status_code == 200, answer.text
    return answer.json()["enriched"], next(
        kind for kind in answer.json()["kinds"] if kind["kind"] == "failure"
    )


def test_a_tenth_of_the_drives_agrees_with_brute_force(
    client: TestClient, run_id: str, sessions: sessionmaker[Session]
) -> None:
    drive_all(sessions, run_id)
    truth = 1000 * sum(
        PROBABILITY[abs(m)] * fails(i, m) / len(SEGMENTS)
        for i in range(len(SEGMENTS))
        for m in (0.0, 0.6, -0.6, 1.2, -1.2)
    )
    sample, found = failures(client, run_id)
    rate = found["candidate"]
    assert rate["drives"] <= 0.1 * 5 * len(SEGMENTS)
    assert rate["low"] <= truth <= rate["high"]
    with sessions() as session:
        version = stored_version(
            session.get_one(SuiteVersionRow, session.get_one(RunRow, run_id).suite_digest)
        )
    weights = zip(version.planned, version.natural_weights, strict=True)
    failing = sum(w for p, w in weights if fails(int(p.route[1:]), p.scenario.offset.lateral_m))
    assert rate["per_1000_h"] == pytest.approx(1000 * failing / sum(version.natural_weights)), (
        "each with its own weight"
    )
    assert rate["per_1000_h"] == pytest.approx(truth, rel=0.6)
    assert rate["with_incident"] > 2 * rate["drives"] * truth / 1000, "failures were sought"
    assert found["baseline"]["per_1000_h"] == 0
    assert rate["effective_hours"] == pytest.approx(sample["effective_segments"]), "an hour each"
    assert sample["effective_segments"] < sample["drives"]
    assert sample["largest_weight"] <= 10
    assert "fewer than 30 effective segments" in sample["warning"]
    with sessions.begin() as session:
        run = session.get_one(RunRow, run_id)
        assert run.drive_all, "never ended early"
        evidence = RunEvidence(session, run)
        evidence.consume(session)
        run.status, run.verdict, run.verdict_document = (
            Status.FINISHED,
            RunVerdict.PASS,
            document(evidence.verdict()),
        )
    text = client.get(f"/runs/{run_id}").text
    assert "weighted back" in text
    assert "Careful: fewer than 30 effective segments" in text


def test_the_run_is_driven_whole_and_no_rate_decides_it(
    client: TestClient, run_id: str, sessions: sessionmaker[Session]
) -> None:
    drive_all(sessions, run_id)
    with sessions() as session:
        run = session.get_one(RunRow, run_id)
        evidence = RunEvidence(session, run)
        evidence.consume(session)
        verdict = evidence.verdict()
    assert (evidence.consumed, verdict.gates) == (run.planned, ())
    assert verdict.verdict is RunVerdict.PASS
    assert verdict.sentence == (
        "PASS: nothing was asked; yet 3 routes failed for the candidate only "
        "(0 for the baseline only)."
    )


def test_no_rate_before_all_that_was_drawn_is_driven(
    client: TestClient, run_id: str, sessions: sessionmaker[Session]
) -> None:
    drive_all(sessions, run_id)
    with sessions.begin() as session:
        one = session.scalars(
            select(DemandRow.drive_key).where(DemandRow.owner_id == run_id)
        ).first()
        session.execute(delete(RolloutRow).where(RolloutRow.drive_key == one))
    sample, found = failures(client, run_id)
    assert found["candidate"]["per_1000_h"] is found["candidate"]["low"] is None
    assert "before all that was drawn is driven" in sample["warning"]


def test_a_cut_to_fewer_routes_is_refused(client: TestClient, run_id: str) -> None:
    body = {"candidate": "candidate", "baseline": "baseline", "suite": "rare", "max_routes": 3}
    answer = client.post("/v1/runs", json=body, headers={"Idempotency-Key": "cut"})
    assert answer.status_code == 422
    assert "cannot be cut" in answer.text
