"""Rare incidents of a run over HTTP: rates per hour, failed drives, lost traces."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.db.bank_tables import SuiteVersionRow
from server.db.base import Role
from server.db.queue_tables import DemandRow, DriveKeyRow, ResultRow, RolloutRow
from server.db.run_tables import RunRow
from suites.metrics import measure
from suites.metrics.registry import METRICS
from suites.rollout import Trace
from suites.vocabulary import Outcome, RunVerdict, Status

pytestmark = pytest.mark.services


def trace(drift_m: float, steps: int) -> Trace:
    """A calm drive on the road that ends `drift_m` left of the middle of a 3.6 m lane."""
    off = np.linspace(0.0, drift_m, steps)
    zero = np.zeros(steps)
    columns = {
        "t_s": np.arange(steps) / 20,
        "lateral_offset_m": off,
        "lane_left_m": 1.8 - off,
        "lane_right_m": -1.8 - off,
        "road_left_m": 9.0 - off,
        "road_right_m": -9.0 - off,
        "acceleration_mps2": zero,
        "log_acceleration_mps2": zero,
        "log_driver": zero + 1,
        "curvature": zero,
        "speed_mps": zero + 20,
    }
    return Trace(simulator="reprojection", rate_hz=20.0, columns=columns, planned_steps=72)


@pytest.fixture
def run_id(submit: Callable[..., Any], sessions: sessionmaker[Session], app: FastAPI) -> str:
    """All 12 pairs of 3.6 s.

    The candidate leaves the lane on every drive of r1, and fails at one that begins on the log.
    At the first position of r2 the data are invalid."""
    run_id = str(submit().json()["id"])
    failed = lost = False
    with sessions.begin() as session:
        for demand in session.scalars(
            select(DemandRow)
            .where(DemandRow.owner_id == run_id)
            .order_by(DemandRow.position, DemandRow.role)
        ):
            candidate = demand.role is Role.CANDIDATE
            natural = not session.get_one(DriveKeyRow, demand.drive_key).key["scenario"]["offset"][
                "lateral_m"
            ]
            outcome = Outcome.COMPLETED
            steps = 72
            drift = 0.1
            if candidate and demand.route == "r1":
                drift = 1.5
                if natural and not failed:
                    failed = True
                    outcome = Outcome.FAILED
                    steps = 36
            if candidate and natural and demand.route == "r2" and not lost:
                lost = True
                outcome = Outcome.DATA_INVALID
            made = trace(drift, steps)
            session.add(
                RolloutRow(
                    drive_key=demand.drive_key,
                    outcome=outcome,
                    reason="",
                    ended_s=steps / 20,
                    trusted_share=1.0,
                    provenance={},
                    worker="w/1",
                    fence=1,
                    trace_sha256=app.state.blobs.put(made.to_bytes()),
                )
            )
            session.flush()
            for name, result in measure(made, outcome).items():
                numbers = {
                    field: getattr(result, field) if result.valid else None
                    for field in ("value", "low", "high")
                }
                session.add(
                    ResultRow(
                        drive_key=demand.drive_key,
                        metric=name,
                        version=METRICS[name].version,
                        valid=result.valid,
                        **numbers,
                    )
                )
    return run_id


def kinds(
    client: TestClient, run_id: str, stated: dict[str, float] | None = None
) -> dict[str, Any]:
    answer = client.get(f"/v1/runs/{run_id}/incidents")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["offset_weights"], answer.json()["complete"]) == (stated, True)
    assert (answer.json()["pairs"], answer.json()["routes"]) == (11, 3), (
        "the pair with invalid data is not counted"
    )
    return {kind["kind"]: kind for kind in answer.json()["kinds"]}


def test_only_drives_from_the_logged_path_count_per_hour(client: TestClient, run_id: str) -> None:
    found = kinds(client, run_id)["lane_departure"]
    assert (found["candidate"]["drives"], found["candidate"]["with_incident"]) == (5, 2)
    assert found["candidate"]["hours"] == pytest.approx((4 * 3.6 + 1.8) / 3600), (
        "a failed drive counts what it drove"
    )
    assert found["candidate"]["per_1000_h"] is None, "no rate on 16 seconds"
    assert (
        0
        < found["candidate"]["low"]
        < 1000 * 2 / found["candidate"]["hours"]
        < found["candidate"]["high"]
    )
    assert [(s["drives"], s["with_incident"]) for s in found["candidate_offsets"]] == [(6, 2)]
    assert (found["candidate_only"], found["baseline_only"], found["word"]) == (
        ["r1"],
        [],
        "cannot tell",
    )
    assert found["threshold"] == 100, "five kinds at alpha .05"


def test_the_offsets_count_per_hour_where_the_suite_states_how_often_they_occur(
    client: TestClient, run_id: str, sessions: sessionmaker[Session]
) -> None:
    with sessions.begin() as session:
        version = session.get_one(SuiteVersionRow, session.get_one(RunRow, run_id).suite_digest)
        suite = version.document["suite"]
        assert [o["lateral_m"] for o in suite["offsets"]] == [0.0, 0.5]
        version.document = version.document | {"suite": suite | {"offset_weights": [0.75, 0.25]}}
    stated = {"+0.00m+0.0m+0.0deg": 0.75, "+0.50m+0.0m+0.0deg": 0.25}
    found = kinds(client, run_id, stated)["lane_departure"]
    one = found["candidate"]
    assert (one["drives"], one["with_incident"], one["hours"]) == (
        11,
        4,
        pytest.approx((10 * 3.6 + 1.8) / 3600),
    )
    weights = [0.75 / (5 / 11), 0.25 / (6 / 11)]
    hours = (weights[0] * (4 * 3.6 + 1.8) + weights[1] * 6 * 3.6) / 3600
    assert one["low"] < 1000 * (2 * weights[0] + 2 * weights[1]) / hours < one["high"]
    assert one["effective_hours"] < one["hours"], "offsets of one segment are not independent"
    assert [(s["drives"], s["with_incident"]) for s in found["candidate_offsets"]] == [(6, 2)]
    with sessions.begin() as session:
        run = session.get_one(RunRow, run_id)
        run.status = Status.FINISHED
        run.verdict = RunVerdict.INCONCLUSIVE
    text = client.get(f"/runs/{run_id}").text
    assert "each starting offset weighted by the probability that the suite states for it" in text
    assert "0.50 m left: 25 %" in text
    assert "Not per hour" not in text


def test_a_failed_drive_did_only_what_its_trace_shows(client: TestClient, run_id: str) -> None:
    found = kinds(client, run_id)
    assert found["failure"]["candidate"]["with_incident"] == 1
    assert (
        found["hard_brake"]["candidate"]["with_incident"]
        == found["road_departure"]["candidate"]["with_incident"]
        == 0
    ), "what it did not drive is measured at the worst, which is no incident that was seen"
    assert found["hard_brake"]["hours_needed"] == pytest.approx(2995.7, abs=0.1)


def test_a_lost_trace_leaves_its_drive_out(
    client: TestClient, run_id: str, app: FastAPI, sessions: sessionmaker[Session]
) -> None:
    with sessions() as session:
        sha256 = session.scalars(
            select(RolloutRow.trace_sha256).where(RolloutRow.outcome == Outcome.FAILED)
        ).one()
    app.state.blobs.path(sha256 or "").unlink()
    found = kinds(client, run_id)
    assert (
        found["lane_departure"]["candidate"]["drives"],
        found["failure"]["candidate"]["drives"],
    ) == (4, 5)


def test_an_unknown_run(client: TestClient) -> None:
    assert client.get("/v1/runs/nobody/incidents").status_code == 404


def test_the_page_of_a_run_that_is_over_shows_them(
    client: TestClient, run_id: str, sessions: sessionmaker[Session]
) -> None:
    assert "Rare incidents" not in client.get(f"/runs/{run_id}").text, "it still runs"
    with sessions.begin() as session:
        run = session.get_one(RunRow, run_id)
        run.status = Status.FINISHED
        run.verdict = RunVerdict.INCONCLUSIVE
    text = client.get(f"/runs/{run_id}").text
    assert "Rare incidents" in text
    assert "lane departure</strong> from 0.50 m left" in text
    assert "2 of 6" in text
    assert "too little driven for a rate" in text
    assert "Not per hour: the suite does not state how often that happens." in text
    assert "e+0" not in text, "figures that people read"
