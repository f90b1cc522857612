"""What an early verdict left out is driven on the same run, and nothing twice."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, sessionmaker

from server.db.queue_tables import DemandRow, DriveKeyRow
from server.db.run_tables import RunRow
from server.tests.driven import add_rollout
from suites.vocabulary import RunVerdict, Status

pytestmark = pytest.mark.services
Submit = Callable[..., Any]
EARLY = {"complete": False, "withdrawn": ""}


def demanded(sessions: sessionmaker[Session], run_id: str) -> dict[tuple[int, str], str]:
    columns = select(DemandRow.position, DemandRow.role, DemandRow.drive_key)
    with sessions() as session:
        rows = session.execute(columns.where(DemandRow.owner_id == run_id))
        return {(position, role): key for position, role, key in rows}


@pytest.fixture
def early(
    submit: Submit, decide: Callable[..., None], sessions: sessionmaker[Session]
) -> tuple[str, dict[tuple[int, str], str]]:
    """A run that passed when four pairs were driven, and all that it demanded at first."""
    run_id = submit().json()["id"]
    whole = demanded(sessions, run_id)
    decide(run_id, RunVerdict.PASS, "PASS: not worse.", told=EARLY)
    with sessions.begin() as session:
        for (position, _), key in whole.items():
            if position < 4:
                add_rollout(session, key)
        gone = (DemandRow.owner_id == run_id, DemandRow.position >= 4)
        session.execute(delete(DemandRow).where(*gone))
    return run_id, whole


@pytest.mark.parametrize("way", ["complete", "submit"])
def test_a_run_that_passed_early_asks_for_the_rest_again_and_keeps_its_verdict(
    way: str,
    early: tuple[str, dict[tuple[int, str], str]],
    submit: Submit,
    client: TestClient,
    sessions: sessionmaker[Session],
) -> None:
    run_id, whole = early
    if way == "submit":
        run = submit(full=True, requested_by="ada").json()
    else:
        run = client.post(f"/v1/runs/{run_id}/complete", params={"actor": "ada"}).json()
    assert (run["id"], run["status"], run["verdict"]) == (run_id, "running", "pass")
    assert (run["provisional"], run["complete"], run["finished"]) == (True, False, None)
    assert "the rest is being driven" in run["standing"]
    assert demanded(sessions, run_id) == whole, "the same order, the same rollouts"
    assert (run["progress"]["done"], run["progress"]["total"]) == (8, 24)
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(DriveKeyRow)) == 24
    asked: dict[str, Any] = {"subject_kind": "run", "subject_id": run_id, "limit": 1}
    (event,) = client.get("/v1/audit", params=asked).json()["items"]
    assert (event["kind"], event["actor"]) == ("run.resumed", "ada")
    again = client.post(f"/v1/runs/{run_id}/complete").json()
    assert again["status"] == "running"
    assert demanded(sessions, run_id) == whole


def test_waiting_for_the_verdict_ends_at_once_and_for_the_rest_it_does_not(
    early: tuple[str, dict[tuple[int, str], str]], client: TestClient
) -> None:
    run_id, _ = early
    client.post(f"/v1/runs/{run_id}/complete")
    assert client.get(f"/v1/runs/{run_id}", params={"wait": 30}).json()["verdict"] == "pass"
    patience: dict[str, Any] = {"wait": 0.05, "until": "finished"}
    assert client.get(f"/v1/runs/{run_id}", params=patience).json()["status"] == "running"
    with client.stream("GET", f"/v1/runs/{run_id}/events") as stream:
        assert next(iter(stream.iter_lines())) == "event: decided"
    assert client.post(f"/v1/runs/{run_id}/cancel").status_code == 409


def test_what_was_given_up_is_tried_again(
    early: tuple[str, dict[tuple[int, str], str]],
    client: TestClient,
    sessions: sessionmaker[Session],
) -> None:
    run_id, whole = early
    client.post(f"/v1/runs/{run_id}/complete")
    with sessions.begin() as session:
        lost = session.get_one(DriveKeyRow, whole[7, "candidate"])
        lost.failure = "given up after 3 attempts"
        session.get_one(RunRow, run_id).status = Status.FINISHED
    client.post(f"/v1/runs/{run_id}/complete")
    with sessions() as session:
        assert session.get_one(DriveKeyRow, whole[7, "candidate"]).failure is None
        assert session.get_one(RunRow, run_id).status is Status.RUNNING


def test_a_complete_run_stays_as_it_is_and_an_undecided_one_will_be_driven_whole(
    submit: Submit, client: TestClient, decide: Callable[..., None], sessions: sessionmaker[Session]
) -> None:
    run_id = submit().json()["id"]
    assert client.post(f"/v1/runs/{run_id}/complete").json()["status"] == "queued"
    with sessions() as session:
        assert session.get_one(RunRow, run_id).drive_all
    decide(run_id, RunVerdict.PASS, "PASS: not worse.", told={"complete": True})
    assert client.post(f"/v1/runs/{run_id}/complete").json()["status"] == "finished"


def refused(answer: Any, kind: str) -> dict[str, Any]:
    assert answer.json()["type"].endswith(f"#{kind}"), answer.text
    return dict(answer.json())


def test_what_can_no_longer_be_driven_alike_is_refused_and_says_what_to_do(
    early: tuple[str, dict[tuple[int, str], str]],
    client: TestClient,
    sessions: sessionmaker[Session],
    add_segment: Callable[..., Any],
) -> None:
    run_id, _ = early
    complete = f"/v1/runs/{run_id}/complete"
    with sessions.begin() as session:
        run = session.get_one(RunRow, run_id)
        run.simulator = run.simulator | {"version": "1"}
    body = refused(client.post(complete), "not-now")
    assert [error["where"] for error in body["errors"]] == ["simulator.version", "run"]
    assert "1 in the first, 2 in the other" in body["errors"][0]["problem"]
    assert "redrive submit" in body["errors"][1]["remedy"]
    with sessions.begin() as session:
        run = session.get_one(RunRow, run_id)
        run.simulator = run.simulator | {"version": "2"}
    add_segment("r1/0", frame_count=239)
    client.post("/v1/segments/index")
    assert refused(client.post(complete), "invalid-submission")["errors"][0]["remedy"]
    with sessions() as session:
        assert session.get_one(RunRow, run_id).status is Status.FINISHED


def test_a_cancelled_run_has_nothing_to_complete(submit: Submit, client: TestClient) -> None:
    run_id = submit().json()["id"]
    client.post(f"/v1/runs/{run_id}/cancel")
    refused(client.post(f"/v1/runs/{run_id}/complete"), "run-over")
    refused(client.post("/v1/runs/nowhere/complete"), "not-found")
