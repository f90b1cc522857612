"""Promotion over HTTP: a held case that the model did not pass refuses it, unless it is waived."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from server.db.run_tables import RunRow
from server.tests.asking import specific, waive
from suites.vocabulary import RunVerdict, Status

pytestmark = pytest.mark.services


@pytest.fixture
def judged(
    client: TestClient, push: Callable[..., str], suite: str, sessions: sessionmaker[Session]
) -> Callable[..., str]:
    """judged("one", bend=True, exit=False): id of a run of that model on `kept` that ended so."""
    for name in ("one", "two", "three", "baseline"):
        push(name)
    client.post("/v1/suites", json={"toml": specific("kept", bend=1, exit=1)})
    numbers = itertools.count()

    def drive(model: str, **results: bool | None) -> str:
        body = {"candidate": model, "baseline": "baseline", "suite": "kept"}
        headers = {"Idempotency-Key": str(next(numbers))}
        run_id = client.post("/v1/runs", json=body, headers=headers).json()["id"]
        with sessions.begin() as session:
            run = session.get_one(RunRow, run_id)
            run.status, run.verdict = Status.RUNNING, RunVerdict.FAIL
            cases = [
                {"case": name, "passed": passed, "reason": f"broken in {name}"}
                for name, passed in results.items()
            ]
            run.verdict_document = {"cases": cases}
        return str(run_id)

    return drive


@pytest.fixture
def promote(client: TestClient) -> Callable[[str], Any]:
    return lambda model: client.put(
        "/v1/suites/kept/promoted", json={"model": model, "actor": "ada"}
    )


def test_what_a_released_model_passed_every_later_one_must(
    client: TestClient, judged: Callable[..., str], promote: Callable[[str], Any]
) -> None:
    judged("one", bend=True, exit=False)
    assert promote("one").json()["waived"] == []
    held = {
        case["name"]: case["held_by_name"]
        for case in client.get("/v1/suite-versions/kept/cases").json()["cases"]
    }
    assert held == {"bend": "one", "exit": None}
    never = promote("two")
    assert (never.status_code, never.json()["type"].partition("#")[2]) == (409, "held-cases")
    (error,) = never.json()["errors"]
    assert (error["where"], error["problem"]) == ("cases.bend", "it was not driven on it")
    assert "redrive submit two --suite kept" in error["remedy"]
    failing = judged("two", bend=False, exit=False)
    (error,) = promote("two").json()["errors"]
    assert error["problem"] == f"failed in run {failing}: broken in bend"
    assert "redrive cases waive kept bend" in error["remedy"]
    assert client.get("/v1/suites").json()["items"][1]["promoted_name"] == "one", (
        "nothing was changed"
    )


def test_a_waived_failure_is_let_through_and_shown(
    client: TestClient, judged: Callable[..., str], promote: Callable[[str], Any]
) -> None:
    judged("one", bend=True)
    promote("one")
    failing = judged("two", bend=False)
    waiver = waive(client, suite="kept", case="bend").json()["id"]
    promoted = promote("two")
    assert promoted.status_code == 200, promoted.text
    (shown,) = promoted.json()["waived"]
    assert (shown["case"], shown["found"]) == ("bend", f"failed in run {failing}: broken in bend")
    assert shown["waived"].startswith("waived by bo until ")
    (event,) = client.get(
        "/v1/audit", params={"subject_kind": "suite", "subject_id": "kept", "limit": 1}
    ).json()["items"]
    assert (event["actor"], event["detail"]["waived"]) == ("ada", ["bend"])
    promote("one")
    client.post(f"/v1/waivers/{waiver}/revoke", json={"actor": "bo"})
    assert promote("two").status_code == 409
    assert promote("three").status_code == 409


def test_what_cannot_be_told_is_not_passed(
    judged: Callable[..., str], promote: Callable[[str], Any]
) -> None:
    judged("one", bend=True)
    promote("one")
    judged("two", bend=None)
    assert promote("two").json()["errors"][0]["problem"].startswith("can't be told in run")


def test_only_a_result_on_the_case_as_it_is_counts(
    client: TestClient, judged: Callable[..., str], promote: Callable[[str], Any]
) -> None:
    old = judged("one", bend=True, exit=True)
    client.post("/v1/suites", json={"toml": specific("kept", bend=2, exit=1)})
    judged("two", bend=True, exit=True)
    promote("two")
    (error,) = promote("one").json()["errors"]
    changed = f"run {old} came before the case or its simulator was changed"
    before = f"it was not driven on it as it is now: {changed}"
    assert (error["where"], error["problem"]) == ("cases.bend", before), (
        "its bend had another bound"
    )


def test_a_result_in_an_older_simulator_does_not_count(
    judged: Callable[..., str], promote: Callable[[str], Any], sessions: sessionmaker[Session]
) -> None:
    judged("one", bend=True)
    assert promote("one").status_code == 200
    old = judged("two", bend=True)
    with sessions.begin() as session:
        run = session.get_one(RunRow, old)
        run.simulator = run.simulator | {"version": "0"}
    (error,) = promote("two").json()["errors"]
    assert error["problem"].endswith(f"run {old} came before the case or its simulator was changed")


def test_a_result_on_other_bytes_of_the_segment_does_not_count(
    client: TestClient,
    judged: Callable[..., str],
    promote: Callable[[str], Any],
    add_segment: Callable[..., Any],
) -> None:
    head, _, end = specific("kept", bend=1, exit=1).rpartition("r1/0")
    text = f"{head}r2/0{end}"
    client.post("/v1/suites", json={"toml": text})
    old = judged("one", bend=True, exit=True)
    assert promote("one").status_code == 200
    add_segment("r1/0", tags=("highway", "wet"))
    client.post("/v1/segments/index")
    (error,) = promote("one").json()["errors"]
    imported = f"run {old} came before its segment was imported again"
    words = f"it was not driven on it as it is now: {imported}"
    assert (error["where"], error["problem"]) == ("cases.bend", words), (
        "exit lies on another segment"
    )
    assert (
        "`redrive suites push` the suite's file, then run it: `redrive submit one --suite kept`"
        in error["remedy"]
    )
    client.post("/v1/suites", json={"toml": text})
    (error,) = promote("one").json()["errors"]
    assert (error["problem"], error["remedy"].split(";")[0]) == (
        words,
        "run it: `redrive submit one --suite kept`",
    )
    judged("one", bend=True, exit=True)
    assert promote("one").status_code == 200


def test_what_the_released_model_passed_only_before_is_not_held(
    client: TestClient, judged: Callable[..., str], promote: Callable[[str], Any]
) -> None:
    judged("one", bend=True, exit=True)
    client.post("/v1/suites", json={"toml": specific("kept", bend=2, exit=1)})
    judged("one", bend=False, exit=True)
    assert promote("one").status_code == 200
    held = {
        case["name"]: case["held_by_name"]
        for case in client.get("/v1/suite-versions/kept/cases").json()["cases"]
    }
    assert held == {"bend": None, "exit": "one"}


def test_a_release_from_the_page_is_refused_and_taken_alike(
    client: TestClient, judged: Callable[..., str]
) -> None:
    judged("one", bend=True)

    def release(model: str) -> Any:
        fields = {"model": model, "actor": "ada"}
        headers = {"Accept": "text/html", "Origin": "http://redrive.test"}
        return client.post(
            "/suites/kept/promote", data=fields, headers=headers, follow_redirects=False
        )

    taken = release("one")
    assert (taken.status_code, taken.headers["location"]) == (303, "/suites/kept")
    refused = release("two")
    assert refused.status_code == 409
    assert "redrive submit two --suite kept" in refused.text
    page = client.get("/suites/kept", headers={"Accept": "text/html"}).text
    assert ">one</a> passed it" in page
    assert "suite promoted" in page
