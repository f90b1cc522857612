"""Runs over HTTP: submit, resubmit, watch, list, cancel."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, sessionmaker

from server.db.bank_tables import ModelRow
from server.db.base import Role
from server.db.health_tables import EventRow
from server.db.queue_tables import DemandRow, DriveKeyRow
from server.db.run_tables import RunRow
from suites.identity import digest
from suites.manifest import Manifest
from suites.vocabulary import RunVerdict, Status

Submit = Callable[..., Any]
pytestmark = pytest.mark.services


def test_a_submission_becomes_a_queued_run_with_every_rollout_demanded(
    submit: Submit, client: TestClient, sessions: sessionmaker[Session], suite: str
) -> None:
    answer = submit(source={"commit": "abc", "pull_request": "17"}, requested_by="ci")
    assert answer.status_code == 201
    run = answer.json()
    assert answer.headers["Location"] == f"/v1/runs/{run['id']}"
    assert client.get(answer.headers["Location"]).json() == run
    assert run["status"] == "queued"
    assert run["verdict"] is None
    assert run["suite"] == {"digest": suite, "name": "highway", "number": 1}
    assert run["planned"] == 12
    assert (run["progress"]["done"], run["progress"]["total"]) == (0, 24)
    assert run["source"] == {"commit": "abc", "pull_request": "17"}
    assert run["url"] == f"http://redrive.test/runs/{run['id']}"
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(DemandRow)) == 24
        keys = session.scalars(select(DriveKeyRow)).all()
        assert len(keys) == 24
        assert all(digest(key.key) == key.digest for key in keys)
        assert len({key.group_digest for key in keys}) == 1


def test_both_models_meet_the_same_scenario_at_each_position(
    submit: Submit, sessions: sessionmaker[Session]
) -> None:
    submit()
    with sessions() as session:
        rows = session.execute(
            select(DemandRow.position, DemandRow.role, DriveKeyRow.key).join(
                DriveKeyRow, DriveKeyRow.digest == DemandRow.drive_key
            )
        ).all()
    met = {(position, role): digest(key["scenario"]) for position, role, key in rows}
    assert all(met[p, Role.CANDIDATE] == met[p, Role.BASELINE] for p in range(12))
    assert len({met[p, Role.CANDIDATE] for p in range(12)}) == 12


def test_an_unchanged_resubmission_is_the_existing_run(
    submit: Submit, sessions: sessionmaker[Session]
) -> None:
    first = submit(key="one")
    again = submit(key="two", requested_by="somebody else")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(RunRow)) == 1


def test_the_same_pair_after_a_cancellation_is_a_new_run(
    submit: Submit, client: TestClient
) -> None:
    first = submit().json()
    client.post(f"/v1/runs/{first['id']}/cancel")
    again = submit()
    assert again.status_code == 201
    assert again.json()["id"] != first["id"]


def test_fewer_routes_are_another_digest_beside_the_line(
    submit: Submit, client: TestClient, suite: str
) -> None:
    run = submit(max_routes=2).json()
    assert run["planned"] == 8
    assert run["suite"]["number"] is None
    assert client.get("/v1/suite-versions/highway").json()["digest"] == suite
    planned = client.get("/v1/cases", params={"suite": suite}).json()["items"]
    cut = client.get("/v1/cases", params={"suite": run["suite"]["digest"]}).json()["items"]
    kept = {case["route"] for case in cut}
    assert [case["case_id"] for case in cut] == [
        case["case_id"] for case in planned if case["route"] in kept
    ]
    assert submit(max_routes=3).json()["suite"]["digest"] == suite


class TestIdempotencyKey:
    def test_a_retry_answers_with_the_same_run(self, submit: Submit) -> None:
        first = submit(key="one")
        again = submit(key="one")
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["id"] == again.json()["id"]

    def test_missing_is_400(self, client: TestClient) -> None:
        answer = client.post("/v1/runs", json={"candidate": "a", "suite": "b"})
        assert answer.status_code == 400
        assert answer.json()["type"].endswith("#idempotency-key-missing")

    def test_reused_with_another_body_is_422(self, submit: Submit) -> None:
        submit(key="one")
        answer = submit(key="one", max_routes=1)
        assert answer.status_code == 422
        assert answer.json()["type"].endswith("#idempotency-key-reused")

    def test_in_progress_is_409(self, submit: Submit, sessions: sessionmaker[Session]) -> None:
        from server.services.runs.submission import _lock_number

        with sessions() as other:
            other.execute(
                text("SELECT pg_advisory_xact_lock(:n)"), {"n": _lock_number("key", "one")}
            )
            answer = submit(key="one")
        assert answer.status_code == 409
        assert answer.json()["type"].endswith("#idempotency-in-progress")
        assert submit(key="one").status_code == 201

    def test_a_refused_submission_leaves_the_key_free(self, submit: Submit) -> None:
        assert submit(key="one", suite="nowhere").status_code == 404
        assert submit(key="one").status_code == 201


class TestBaseline:
    def test_none_named_and_none_promoted_is_422(self, submit: Submit) -> None:
        answer = submit(baseline=None)
        assert answer.status_code == 422
        assert answer.json()["type"].endswith("#no-baseline")

    def test_the_promoted_model_is_met_by_default(self, submit: Submit, client: TestClient) -> None:
        promoted = client.put("/v1/suites/highway/promoted", json={"model": "baseline"})
        assert promoted.json()["promoted_name"] == "baseline"
        assert submit(baseline=None).json()["baseline"]["name"] == "baseline"


def test_a_controller_on_a_camera_suite_is_refused_before_any_compute(
    submit: Submit, sessions: sessionmaker[Session]
) -> None:
    pid = Manifest(name="pid", kind="controller")
    with sessions.begin() as session:
        session.add(ModelRow(digest=pid.digest, name=pid.name, kind=pid.kind, manifest=asdict(pid)))
    answer = submit(candidate="pid")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["problem"] == "pid is a controller model"


def test_a_suite_whose_segment_changed_is_refused(
    submit: Submit, client: TestClient, add_segment: Callable[..., Any]
) -> None:
    add_segment("r1/0", frame_count=239)
    client.post("/v1/segments/index")
    answer = submit()
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == "planned: r1/0"


class TestWatching:
    def test_wait_answers_at_once_when_decided(
        self, submit: Submit, client: TestClient, sessions: sessionmaker[Session]
    ) -> None:
        run_id = submit().json()["id"]
        decide(sessions, run_id)
        answer = client.get(f"/v1/runs/{run_id}", params={"wait": 30})
        assert answer.json()["verdict"] == "pass"

    def test_wait_ends_undecided(self, submit: Submit, client: TestClient) -> None:
        run_id = submit().json()["id"]
        assert client.get(f"/v1/runs/{run_id}", params={"wait": 0.05}).json()["status"] == "queued"

    def test_events_tell_progress_and_then_the_decision(
        self, submit: Submit, client: TestClient, sessions: sessionmaker[Session]
    ) -> None:
        run_id = submit().json()["id"]
        decide(sessions, run_id)
        with client.stream("GET", f"/v1/runs/{run_id}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = [line for line in stream.iter_lines() if line]
        assert lines[0] == "event: decided"
        assert json.loads(lines[1].removeprefix("data: "))["sentence"] == "No gate is worse."

    def test_events_of_an_unknown_run_are_404(self, client: TestClient) -> None:
        assert client.get("/v1/runs/nowhere/events").status_code == 404


class TestCancel:
    def test_demands_go_and_the_trail_says_so(
        self, submit: Submit, client: TestClient, sessions: sessionmaker[Session]
    ) -> None:
        run_id = submit().json()["id"]
        answer = client.post(f"/v1/runs/{run_id}/cancel", params={"actor": "ada"})
        assert answer.json()["status"] == "cancelled"
        assert answer.json()["finished"] is not None
        assert client.post(f"/v1/runs/{run_id}/cancel").status_code == 200
        with sessions() as session:
            assert session.scalar(select(func.count()).select_from(DemandRow)) == 0
            assert session.scalar(select(func.count()).select_from(DriveKeyRow)) == 24
            events = session.execute(
                select(EventRow.kind, EventRow.actor)
                .where(EventRow.subject_id == run_id)
                .order_by(EventRow.id)
            ).all()
        assert events == [("run.submitted", ""), ("run.cancelled", "ada")]

    def test_a_decided_run_is_409(
        self, submit: Submit, client: TestClient, sessions: sessionmaker[Session]
    ) -> None:
        run_id = submit().json()["id"]
        decide(sessions, run_id)
        answer = client.post(f"/v1/runs/{run_id}/cancel")
        assert answer.status_code == 409
        assert answer.json()["type"].endswith("#run-over")


def test_lists_are_paged_newest_first_and_filtered(
    submit: Submit, client: TestClient, push: Callable[..., str]
) -> None:
    names = [f"model-{i}" for i in range(5)]
    for name in names:
        push(name)
        submit(candidate=name)
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = client.get(
            "/v1/runs", params={"limit": 2} | ({"cursor": cursor} if cursor else {})
        ).json()
        seen += [run["candidate"]["name"] for run in page["items"]]
        cursor = page["next"]
    assert seen == names[::-1]
    assert cursor is None
    assert [
        r["candidate"]["name"]
        for r in client.get("/v1/runs", params={"model": "model-3"}).json()["items"]
    ] == ["model-3"]
    assert client.get("/v1/runs", params={"status": "finished"}).json() == {
        "items": [],
        "next": None,
    }


def decide(sessions: sessionmaker[Session], run_id: str) -> None:
    """As the coordinator would, with nothing judged."""
    with sessions.begin() as session:
        run = session.get_one(RunRow, run_id)
        run.status = Status.FINISHED
        run.verdict = RunVerdict.PASS
        run.sentence = "No gate is worse."
        run.decided = run.finished = datetime.now(UTC)
