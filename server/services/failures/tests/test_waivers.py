"""Waivers over HTTP: they show on verdicts, end by themselves, and never excuse each other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.coordinator import Coordinator
from server.db.bank_tables import SuiteRow
from server.db.failure_tables import WaiverRow
from server.db.run_tables import RunRow
from server.services.failures.waivers import end_expired
from server.services.runs.judge import RunEvidence
from server.tests.asking import kind, specific, waive
from suites.judgement import CaseVerdict

pytestmark = pytest.mark.services


def test_a_waiver_shows_on_the_verdict_and_makes_another_run(
    enforced: str, client: TestClient, sessions: sessionmaker[Session]
) -> None:
    def submitted() -> str:
        body = {"candidate": "clone", "baseline": "baseline", "suite": "surprises"}
        headers = {"Idempotency-Key": str(datetime.now(UTC))}
        return str(client.post("/v1/runs", json=body, headers=headers).json()["id"])

    before = submitted()
    assert waive(client).status_code == 201
    after = submitted()
    assert after != before
    failed = CaseVerdict(case="drifted", passed=False, reason="away: broken at 1 s")
    with sessions() as session:
        for run_id, verdict, said in ((before, "fail", ""), (after, "pass", "waived by bo until")):
            evidence = RunEvidence(session, session.get_one(RunRow, run_id))
            evidence.cases = {"drifted": failed}
            judged = evidence.verdict()
            assert judged.verdict == verdict
            assert judged.cases[0].waived.startswith(said)
    assert client.get("/v1/case-drafts").json()["items"][0]["status"] == "waived"
    waiver = client.get("/v1/waivers").json()["items"][0]["id"]
    assert client.post(f"/v1/waivers/{waiver}/revoke", json={"actor": "bo"}).json()["revoked"]
    assert client.get("/v1/case-drafts").json()["items"][0]["status"] == "enforced"
    assert submitted() == before, "without the waiver it is the run that was judged without it"


def test_a_waiver_ends_by_itself(
    enforced: str, client: TestClient, sessions: sessionmaker[Session], coordinator: Coordinator
) -> None:
    waiver = waive(client).json()["id"]
    with sessions.begin() as session:
        row = session.get_one(WaiverRow, waiver)
        row.created, row.expires = (datetime.now(UTC) - timedelta(days=days) for days in (2, 1))
    coordinator.tick()
    assert client.get("/v1/waivers").json()["items"][0]["revoked"]
    assert client.get("/v1/case-drafts").json()["items"][0]["status"] == "enforced"


def test_two_waivers_never_excuse_each_other(
    client: TestClient, push: Callable[..., str], suite: str
) -> None:
    client.post("/v1/suites", json={"toml": specific("surprises", one=1, two=1)})
    root = waive(client, case="one").json()["id"]
    assert waive(client, days=3, case="two", because_of="one").status_code == 201
    assert waive(client, days=8, case="two", because_of="one").status_code == 409
    client.post(f"/v1/waivers/{root}/revoke", json={"actor": "bo"})
    circle = waive(client, days=2, case="one", because_of="two")
    assert circle.status_code == 422
    assert "circle" in circle.json()["detail"]


def test_waivers_that_lean_on_nothing_or_last_for_ever_are_refused(
    enforced: str, client: TestClient
) -> None:
    assert waive(client, case="nothing").status_code == 404
    for changes in (
        {"days": 400},
        {"days": -1},
        {"because_of": "drifted"},
        {"because_of": "other"},
        {"reason": "no"},
    ):
        answer = waive(client, **changes)
        assert answer.status_code == 422, changes
    assert waive(client).status_code == 201
    assert kind(waive(client)) == (409, "not-now")


def test_of_many_who_answer_for_a_case_at_once_one_does(enforced: str, client: TestClient) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: waive(client), range(6)))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 5


@pytest.fixture
def waivers(client: TestClient, sessions: sessionmaker[Session]) -> dict[str, WaiverRow]:
    """A waiver for each way in which one stands, by the name of its case."""
    now = datetime.now(UTC)
    ends: dict[str, tuple[int, int | None]] = {
        "lasting": (2, None),
        "ran out": (-1, None),
        "noticed": (-1, -1),
        "revoked": (2, -1),
        "revoked in time": (-1, -2),
    }
    rows = {}
    with sessions.begin() as session:
        session.add(SuiteRow(name="kept"))
        session.flush()
        for case, (expires, revoked) in ends.items():
            rows[case] = WaiverRow(
                id=case,
                suite="kept",
                case=case,
                owner="bo",
                reason="fixed by the next camera",
                created=now - timedelta(days=3),
                expires=now + timedelta(days=expires),
                revoked=None if revoked is None else now + timedelta(days=revoked),
            )
            session.add(rows[case])
        session.flush()
        session.expunge_all()
    return rows


@pytest.mark.parametrize(
    ("asked", "cases"),
    [
        ({"state": "in force"}, {"lasting"}),
        ({"state": "expired"}, {"ran out", "noticed"}),
        ({"state": "revoked"}, {"revoked", "revoked in time"}),
        ({"suite": "kept", "state": "in force"}, {"lasting"}),
        ({"suite": "other", "state": "in force"}, set()),
    ],
)
def test_each_state_lists_its_own(
    client: TestClient, waivers: dict[str, WaiverRow], asked: dict[str, str], cases: set[str]
) -> None:
    listed = client.get("/v1/waivers", params=asked).json()["items"]
    assert {waiver["case"] for waiver in listed} == cases
    assert {waiver["state"] for waiver in listed} <= {asked["state"]}


def test_only_a_waiver_that_nobody_revoked_runs_out(
    waivers: dict[str, WaiverRow], sessions: sessionmaker[Session]
) -> None:
    with sessions.begin() as session:
        end_expired(session)
    with sessions() as session:
        ended = {waiver.case: waiver.revoked for waiver in session.scalars(select(WaiverRow))}
    before = {case: waiver.revoked for case, waiver in waivers.items()}
    assert ended == before | {"ran out": waivers["ran out"].expires}
