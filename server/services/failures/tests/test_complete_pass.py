"""Promotion where gates judge: only a complete pass that stands, or a first release."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from server.db.run_tables import RunRow
from suites.vocabulary import RunVerdict

pytestmark = pytest.mark.services
Submit = Callable[..., Any]
WHOLE = {"complete": True, "withdrawn": ""}
EARLY = {"complete": False, "withdrawn": ""}


@pytest.fixture
def promote(client: TestClient) -> Callable[[str], Any]:
    return lambda model: client.put("/v1/suites/highway/promoted", json={"model": model})


def refusal(answer: Any) -> dict[str, str]:
    assert answer.status_code == 409, answer.text
    body = answer.json()
    assert body["type"].partition("#")[2] == "no-complete-pass"
    (error,) = body["errors"]
    return dict(error)


def test_the_first_release_has_nothing_to_be_compared_with_and_says_so(
    submit: Submit, client: TestClient, promote: Callable[[str], Any]
) -> None:
    first = promote("baseline").json()
    assert first["run_id"] is None
    assert "the suite's first release" in first["rests_on"]
    asked: dict[str, Any] = {"subject_kind": "suite", "subject_id": "highway", "limit": 1}
    (event,) = client.get("/v1/audit", params=asked).json()["items"]
    assert "first release" in event["detail"]["rests_on"]
    page = client.get("/suites/highway", headers={"Accept": "text/html"}).text
    assert "first release" in page
    assert "needs a complete pass against baseline" in page
    assert "released model already" in promote("baseline").json()["rests_on"]


def test_a_model_that_did_not_meet_the_released_one_is_told_what_to_submit(
    submit: Submit, promote: Callable[[str], Any]
) -> None:
    promote("baseline")
    error = refusal(promote("candidate"))
    assert "did not meet baseline on the newest version" in error["problem"]
    wanted = "`redrive submit candidate --suite highway --baseline baseline --full`"
    assert wanted in error["remedy"]


def test_an_early_pass_does_not_promote_until_it_is_complete(
    submit: Submit, promote: Callable[[str], Any], decide: Callable[..., None]
) -> None:
    promote("baseline")
    run_id = submit().json()["id"]
    decide(run_id, RunVerdict.PASS, "PASS: not worse.", told=EARLY)
    error = refusal(promote("candidate"))
    assert error["problem"] == f"run {run_id} passed after 12 of 12 pairs: provisionally"
    assert f"`redrive runs complete {run_id}`" in error["remedy"]
    decide(run_id, RunVerdict.PASS, "PASS: not worse.", told=WHOLE)
    promoted = promote("candidate").json()
    assert (promoted["promoted_name"], promoted["run_id"]) == ("candidate", run_id)
    assert promoted["rests_on"] == f"the complete pass of run {run_id}"


@pytest.mark.parametrize(
    ("verdict", "told", "problem"),
    [
        (RunVerdict.INCONCLUSIVE, WHOLE | {"withdrawn": "new spikes"}, "withdrawn: new spikes"),
        (RunVerdict.FAIL, WHOLE, "is fail"),
        (RunVerdict.INCONCLUSIVE, WHOLE, "is inconclusive"),
    ],
)
def test_neither_does_what_is_withdrawn_or_no_pass(
    verdict: RunVerdict,
    told: dict[str, Any],
    problem: str,
    submit: Submit,
    promote: Callable[[str], Any],
    decide: Callable[..., None],
) -> None:
    promote("baseline")
    decide(submit().json()["id"], verdict, "Said.", told=told)
    assert problem in refusal(promote("candidate"))["problem"]


def test_nor_a_pass_against_another_model_or_on_an_older_version_or_simulator(
    submit: Submit,
    push: Callable[..., str],
    client: TestClient,
    promote: Callable[[str], Any],
    decide: Callable[..., None],
    sessions: sessionmaker[Session],
    suite_toml: str,
) -> None:
    push("other")
    promote("baseline")
    decide(submit(baseline="other").json()["id"], RunVerdict.PASS, "PASS.", told=WHOLE)
    assert "did not meet baseline" in refusal(promote("candidate"))["problem"]
    run_id = submit().json()["id"]
    decide(run_id, RunVerdict.PASS, "PASS.", told=WHOLE)
    with sessions.begin() as session:
        run = session.get_one(RunRow, run_id)
        run.simulator = run.simulator | {"version": "0"}
    assert "did not meet baseline" in refusal(promote("candidate"))["problem"]
    with sessions.begin() as session:
        run = session.get_one(RunRow, run_id)
        run.simulator = run.simulator | {"version": "2"}
    client.post("/v1/suites", json={"toml": f"{suite_toml}margin = 0.5\n"})
    assert "did not meet baseline" in refusal(promote("candidate"))["problem"]


def test_a_pass_of_before_that_judged_every_pair_promotes(
    submit: Submit, promote: Callable[[str], Any], decide: Callable[..., None]
) -> None:
    """Its document knows nothing of complete or withdrawn."""
    promote("baseline")
    decide(submit().json()["id"], RunVerdict.PASS, "PASS.")
    assert promote("candidate").status_code == 200
