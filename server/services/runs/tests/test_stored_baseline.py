"""A run of a suite that draws or caps by cost: what it needs, what is frozen, in which order."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from server.db.base import Role
from server.db.queue_tables import DemandRow, ResultRow
from server.db.run_tables import RunRow
from server.services.runs.judge import RunEvidence
from server.services.runs.stored_baseline import known_then
from server.tests.driven import add_result, add_rollout
from suites.definition.cost_draw import draw_weights, drawn_order
from suites.segment import SegmentMeta
from suites.statistics.inclusion import inclusion
from suites.vocabulary import Outcome, RunVerdict

pytestmark = pytest.mark.services

SUITE = """
name = "hard"
kind = "overall"
order_seed = 3
draw = "cost"

[select]

[[gates]]
metric = "lateral_error_mean_m"
estimand = "mean"
margin = 0.1
"""
RATE = """
[[gates]]
metric = "incident_lane_departure"
estimand = "rate"
margin = 0.1
"""
METRIC = "lateral_error_mean_m"
ROUTES = [f"r{i:02}" for i in range(20)]
COSTS = {f"{route}/0": 0.1 + 0.05 * i for i, route in enumerate(ROUTES)}


@pytest.fixture
def register(
    client: TestClient, push: Callable[..., str], add_segment: Callable[..., SegmentMeta]
) -> Callable[[str], None]:
    for name in ("candidate", "baseline"):
        push(name)
    for route in ROUTES:
        add_segment(f"{route}/0")

    def post(toml: str) -> None:
        answer = client.post("/v1/suites", json={"toml": toml})
        assert answer.status_code == 201, answer.text

    return post


@pytest.fixture
def ask(client: TestClient) -> Callable[..., Any]:
    def post(candidate: str = "candidate", **fields: Any) -> Any:
        body = {"candidate": candidate, "baseline": "baseline", "suite": "hard"} | fields
        key = {"Idempotency-Key": f"{candidate}{fields}"}
        return client.post("/v1/runs", json=body, headers=key)

    return post


def drive(
    sessions: sessionmaker[Session],
    run_id: str,
    value: Callable[[str], float | None] = lambda segment: COSTS[segment],
    metric: str = METRIC,
) -> None:
    """Stores what the baseline costs on each segment of a run; None: bytes that can't be driven."""
    with sessions.begin() as session:
        mine = (DemandRow.owner_id == run_id, DemandRow.role == Role.BASELINE)
        for demand in session.scalars(select(DemandRow).where(*mine)):
            cost = value(demand.case_id.split("@")[0])
            if metric == METRIC:
                outcome = Outcome.DATA_INVALID if cost is None else Outcome.COMPLETED
                add_rollout(session, demand.drive_key, outcome)
            if cost is not None:
                add_result(session, demand.drive_key, cost, metric)


def rows(sessions: sessionmaker[Session], run_id: str) -> tuple[list[str], RunRow, Any]:
    """The order of a run's segments, its row, and its judge's plan."""
    with sessions() as session:
        mine = (DemandRow.owner_id == run_id, DemandRow.role == Role.CANDIDATE)
        order = select(DemandRow.case_id).where(*mine).order_by(DemandRow.position)
        run = session.get_one(RunRow, run_id)
        plan = RunEvidence(session, run).judge.plan
        known_then(run)
        return [case.split("@")[0] for case in session.scalars(order)], run, plan


def test_costs_that_are_not_stored_are_asked_for(
    register: Callable[[str], None], ask: Callable[..., Any]
) -> None:
    register(SUITE)
    refused = ask()
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert "no stored lateral_error_mean_m on 20 of 20 planned pairs" in error["problem"]
    assert "redrive submit baseline --baseline baseline --suite hard --full" in error["remedy"]


def test_weights_are_those_of_the_submission_and_fix_the_order(
    register: Callable[[str], None], ask: Callable[..., Any], sessions: sessionmaker[Session]
) -> None:
    register(SUITE)
    drive(sessions, ask("baseline", full=True).json()["id"])
    answer = ask()
    assert answer.status_code == 201, answer.text
    run_id = answer.json()["id"]
    order, _, plan = rows(sessions, run_id)
    costs = np.array([COSTS[segment] for segment in order])
    assert plan.stored.costs[METRIC] == pytest.approx(np.stack([costs, costs]))
    assert plan.stored.weights == pytest.approx(0.3 * costs / costs.mean() + 0.7)
    with sessions.begin() as session:
        session.execute(update(ResultRow).values(value=9.0, low=9.0, high=9.0))
    again = rows(sessions, run_id)
    assert again[0] == order
    assert (again[2].stored.weights == plan.stored.weights).all()
    names = [f"{segment}@+0.00m+0.0m+0.0deg#0" for segment in COSTS]
    weights = draw_weights(np.array(list(COSTS.values())), 0.3, METRIC)
    assert order == [list(COSTS)[i] for i in drawn_order(names, weights, 3)]


def test_pages_weigh_pairs_back_to_the_bank(
    register: Callable[[str], None],
    ask: Callable[..., Any],
    sessions: sessionmaker[Session],
    client: TestClient,
) -> None:
    """Each of the first 12 counts for those like it among all 20."""
    register(SUITE.replace('draw = "cost"', 'draw = "cost"\ndraw_share = 0.9'))
    drive(sessions, ask("baseline", full=True).json()["id"])
    run_id = ask().json()["id"]
    with sessions.begin() as session:
        first = (DemandRow.owner_id == run_id, DemandRow.position < 12)
        for demand in session.scalars(select(DemandRow).where(*first)):
            if demand.role is Role.CANDIDATE:
                add_rollout(session, demand.drive_key)
                cost = 2 * COSTS[demand.case_id.split("@")[0]]
                add_result(session, demand.drive_key, cost)
    order, _, plan = rows(sessions, run_id)
    costs = np.array([COSTS[segment] for segment in order])
    counted = 1 / inclusion(plan.stored.weights, 12)[:12]
    mean = np.average(costs[:12], weights=counted)
    assert mean != pytest.approx(costs[:12].mean(), rel=0.01)
    view = client.get(f"/runs/{run_id}.json").json()["offsets"]
    (row,) = view["rows"]
    assert view["weighted_back"]
    assert (row["pairs"], row["baseline_mean"]) == (12, pytest.approx(mean))
    assert row["candidate_mean"] == pytest.approx(2 * mean)
    assert "weighted back to the bank" in client.get(f"/runs/{run_id}").text
    incidents = client.get(f"/v1/runs/{run_id}/incidents").json()
    (failure,) = [kind for kind in incidents["kinds"] if kind["kind"] == "failure"]
    worth = counted.sum() ** 2 / (counted**2).sum()
    assert failure["baseline"]["effective_hours"] == pytest.approx(worth / 3600, rel=1e-6)


def test_it_is_judged_on_its_bank(
    register: Callable[[str], None], ask: Callable[..., Any], sessions: sessionmaker[Session]
) -> None:
    register(SUITE)
    drive(sessions, ask("baseline", full=True).json()["id"])
    run_id = ask().json()["id"]
    with sessions.begin() as session:
        mine = (DemandRow.owner_id == run_id, DemandRow.role == Role.CANDIDATE)
        for demand in session.scalars(select(DemandRow).where(*mine)):
            add_rollout(session, demand.drive_key)
            add_result(session, demand.drive_key, 1.3 * COSTS[demand.case_id.split("@")[0]])
    with sessions() as session:
        evidence = RunEvidence(session, session.get_one(RunRow, run_id))
        assert evidence.consume(session)
        verdict = evidence.verdict()
    assert verdict.verdict is RunVerdict.FAIL
    assert "worse in the mean by 30.0 %" in verdict.sentence
    assert "drawn by cost, on this bank" in verdict.sentence
    assert verdict.method["draw"] == {"metric": METRIC, "share": 0.3}


def test_what_the_baseline_cannot_drive_has_no_cost_and_weighs_least(
    register: Callable[[str], None], ask: Callable[..., Any], sessions: sessionmaker[Session]
) -> None:
    register(SUITE)
    drive(
        sessions,
        ask("baseline", full=True).json()["id"],
        lambda segment: None if segment == "r07/0" else COSTS[segment],
    )
    order, _, plan = rows(sessions, ask().json()["id"])
    at = order.index("r07/0")
    assert np.isnan(plan.stored.costs[METRIC][:, at]).all()
    assert plan.stored.weights[at] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("value", "said"), [(lambda s: -COSTS[s], "negative"), (lambda s: 0.25, "all stored costs")]
)
def test_costs_that_weigh_nothing_are_refused(
    register: Callable[[str], None],
    ask: Callable[..., Any],
    sessions: sessionmaker[Session],
    value: Callable[[str], float],
    said: str,
) -> None:
    register(SUITE)
    drive(sessions, ask("baseline", full=True).json()["id"], value)
    refused = ask()
    assert refused.status_code == 422
    assert said in refused.json()["errors"][0]["problem"]


def test_a_suite_may_fall_back_to_a_uniform_draw(
    register: Callable[[str], None], ask: Callable[..., Any], sessions: sessionmaker[Session]
) -> None:
    typical = SUITE.replace('estimand = "mean"\n', "")
    register(typical.replace("order_seed", "draw_else_uniform = true\norder_seed"))
    _, run, plan = rows(sessions, ask().json()["id"])
    assert plan.stored is None
    assert known_then(run).stored is None


def test_events_of_a_rate_are_known_where_all_are_stored(
    register: Callable[[str], None], ask: Callable[..., Any], sessions: sessionmaker[Session]
) -> None:
    register(SUITE.replace('draw = "cost"', "").replace('estimand = "mean"\n', "") + RATE)
    first = ask("baseline", full=True).json()["id"]
    drive(sessions, first)
    assert rows(sessions, first)[2].baseline_events == {}
    happened = {"r03/0", "r05/0"}
    drive(sessions, first, lambda segment: float(segment in happened), "incident_lane_departure")
    assert rows(sessions, ask().json()["id"])[2].baseline_events == {"incident_lane_departure": 2}


def test_caps_by_cost_keep_the_uniform_order(
    register: Callable[[str], None], ask: Callable[..., Any], sessions: sessionmaker[Session]
) -> None:
    register(SUITE.replace('draw = "cost"', "") + "relative_cap = 8.0\n")
    assert ask().status_code == 422
    first = ask("baseline", full=True).json()["id"]
    drive(sessions, first)
    run_id = ask().json()["id"]
    assert rows(sessions, run_id)[0] == rows(sessions, first)[0]
    with sessions() as session:
        (gate,) = RunEvidence(session, session.get_one(RunRow, run_id)).judge.suite.gates
    assert gate.winsor_cap == pytest.approx(8 * np.mean(list(COSTS.values())))
