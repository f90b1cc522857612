"""Each run has an order of its own, which only this installation can tell beforehand."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, select
from sqlalchemy.orm import Session, sessionmaker

from server.db.bank_tables import SuiteVersionRow
from server.db.base import Role
from server.db.queue_tables import DemandRow
from server.db.run_tables import RunRow, SecretRow
from server.services.bank.register_suite import stored_version
from server.services.runs.judge import RunEvidence
from suites.definition.resolving import run_order

pytestmark = pytest.mark.services
Submit = Callable[..., Any]


def order_of(sessions: sessionmaker[Session], run_id: str) -> list[str]:
    demanded = select(DemandRow.case_id).where(
        DemandRow.owner_id == run_id, DemandRow.role == Role.CANDIDATE
    )
    with sessions() as session:
        return list(session.scalars(demanded.order_by(DemandRow.position)))


def test_two_candidates_meet_the_same_rollouts_in_two_orders(
    submit: Submit, push: Callable[..., str], sessions: sessionmaker[Session]
) -> None:
    push("second")
    first = order_of(sessions, submit().json()["id"])
    second = order_of(sessions, submit(candidate="second").json()["id"])
    assert first != second
    assert sorted(first) == sorted(second)


def test_the_same_candidate_after_a_cancellation_meets_the_same_order(
    submit: Submit, client: TestClient, sessions: sessionmaker[Session]
) -> None:
    first = submit().json()["id"]
    before = order_of(sessions, first)
    client.post(f"/v1/runs/{first}/cancel")
    again = submit().json()["id"]
    assert again != first
    assert order_of(sessions, again) == before, "asking twice draws no other luck"


def test_the_judge_has_the_order_and_the_signs_of_the_run(
    submit: Submit, sessions: sessionmaker[Session]
) -> None:
    run_id = submit().json()["id"]
    with sessions() as session:
        run = session.get_one(RunRow, run_id)
        version = stored_version(session.get_one(SuiteVersionRow, run.suite_digest))
        evidence = RunEvidence(session, run)
        verdict = evidence.verdict()
    assert 0 < run.order_seed < 2**53, "JSON keeps it to the digit"
    order = [place.case_id for place in run_order(version, run.order_seed)]
    assert order_of(sessions, run_id) == order
    assert verdict.method["order_seed"] == run.order_seed
    assert evidence.judge.plan.route_pairs == {"r1": 4, "r2": 4, "r3": 4}


def test_a_suite_that_fixes_the_order_has_it_in_every_run(
    submit: Submit, client: TestClient, sessions: sessionmaker[Session], suite_toml: str
) -> None:
    toml = suite_toml.replace('"highway"', '"fixed"', 1).replace(
        "offsets", "order_seed = 3\noffsets"
    )
    digest = client.post("/v1/suites", json={"toml": toml}).json()["digest"]
    run_id = submit(suite="fixed").json()["id"]
    planned = client.get("/v1/cases", params={"suite": digest}).json()["items"]
    assert order_of(sessions, run_id) == [case["case_id"] for case in planned]
    with sessions() as session:
        assert session.get_one(RunRow, run_id).order_seed == 3


def test_the_secret_is_made_once_and_never_shown(
    submit: Submit, push: Callable[..., str], client: TestClient, sessions: sessionmaker[Session]
) -> None:
    before = order_of(sessions, submit().json()["id"])
    with sessions.begin() as session:
        session.execute(delete(SecretRow))
        session.execute(delete(DemandRow))
        session.execute(delete(RunRow))
    push("second")
    run_id = submit(key="fresh").json()["id"]
    submit(candidate="second")
    with sessions() as session:
        (secret,) = session.scalars(select(SecretRow.value))
    assert len(secret) == 64
    assert order_of(sessions, run_id) != before, "another installation has another order"
    for path in (f"/v1/runs/{run_id}", "/v1/audit", "/openapi.json", f"/runs/{run_id}"):
        assert secret not in client.get(path).text
