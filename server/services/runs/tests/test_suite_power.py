"""What a suite can tell: the spread comes from the newest run that has one."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.db.base import Role
from server.db.queue_tables import DemandRow, RolloutRow
from server.db.run_tables import RunRow
from server.services.runs.suite_power import SuiteTells, read_power
from server.tests.driven import add_result, add_rollout
from suites.vocabulary import RunVerdict, Status

pytestmark = pytest.mark.services

Finish = Callable[..., str]


@pytest.fixture
def finish(
    submit: Callable[..., Any], push: Callable[..., str], sessions: sessionmaker[Session]
) -> Finish:
    """finish("name", spread=.1): that model against the baseline, every pair driven; the run."""

    def finished(
        candidate: str, spread: float, verdict: RunVerdict = RunVerdict.PASS, suite: str = "highway"
    ) -> str:
        push(candidate)
        run_id = str(submit(candidate=candidate, suite=suite).json()["id"])
        rng = np.random.default_rng(0)
        with sessions.begin() as session:
            row = session.get_one(RunRow, run_id)
            row.status, row.verdict = Status.FINISHED, verdict
            row.decided = row.finished = datetime.now(UTC)
            demands = select(DemandRow).where(DemandRow.owner_id == run_id)
            for demand in session.scalars(demands.order_by(DemandRow.position)).all():
                cost = float(np.exp(rng.normal(0, spread)))
                if session.get(RolloutRow, demand.drive_key) is None:
                    add_rollout(session, demand.drive_key)
                    add_result(
                        session, demand.drive_key, cost if demand.role is Role.CANDIDATE else 1
                    )
        return run_id

    return finished


@pytest.fixture
def tells(sessions: sessionmaker[Session], suite: str) -> Callable[..., SuiteTells]:
    """tells("highway"): what the suite can tell."""

    def asked(name: str = "highway") -> SuiteTells:
        with sessions() as session:
            return read_power(session, name)

    return asked


def seen(told: SuiteTells) -> str:
    assert told.figures is not None
    return told.figures.gates[0].seen


def test_the_newest_run_that_did_not_fail_says_how_models_differ(
    finish: Finish, tells: Callable[..., SuiteTells]
) -> None:
    assert "is not known" in tells().lines[1]
    broken = finish("broken", 2.0, RunVerdict.FAIL)
    assert seen(tells()) == f"broken and baseline in run {broken}"
    older = finish("older", 0.1)
    finish("broken_again", 2.0, RunVerdict.FAIL)
    finish("copy", 0.0)
    told = tells()
    assert seen(told) == f"older and baseline in run {older}", "a copy has no spread"
    assert told.figures is not None
    (figures,) = told.figures.gates[0].told
    assert figures.spread == pytest.approx(0.1 / 2, rel=0.8), "four pairs a route"
    assert (told.figures.pairs, told.figures.segments, told.figures.routes) == (12, 6, 3)
    assert told.warnings == ["3 routes tell nothing at alpha = 0.05: at least 6 are needed"]


def test_another_suite_lends_its_results_where_simulator_and_metric_are_the_same(
    finish: Finish, tells: Callable[..., SuiteTells], client: TestClient, suite_toml: str
) -> None:
    run = finish("older", 0.1)
    for name, change in (
        ("same", ("lateral_m = 0.5", "lateral_m = 0.4")),
        ("rendered", ("[select]", "[simulator]\nparameters = {feedback = 'log'}\n[select]")),
        ("other_metric", ("lateral_error_mean_m", "curvature_error")),
    ):
        text = suite_toml.replace("highway", name, 1).replace(*change)
        answer = client.post("/v1/suites", json={"toml": text})
        assert answer.is_success, answer.text
        assert answer.json()["tells"] == tells(name).model_dump(mode="json")
    assert seen(tells("same")) == f"older and baseline in run {run}"
    assert seen(tells("rendered")) == seen(tells("other_metric")) == ""


def test_the_page_and_the_address_of_a_version_say_it(
    finish: Finish, tells: Callable[..., SuiteTells], client: TestClient
) -> None:
    finish("older", 0.1)
    told = tells()
    assert client.get("/v1/suite-versions/highway/power").json() == told.model_dump(mode="json")
    page = client.get("/suites/highway", headers={"Accept": "text/html"}).text
    for line in (*told.lines, *told.warnings):
        assert line in page.replace("&#43;", "+").replace("&#39;", "'")
    assert client.get("/v1/suite-versions/nowhere/power").status_code == 404


def test_a_suite_without_gates_tells_nothing(client: TestClient, suite: str) -> None:
    text = 'name = "kept"\nkind = "specific"\n[[cases]]\nname = "a"\nsegment = "r1/0"\n'
    answer = client.post("/v1/suites", json={"toml": text})
    assert answer.json()["tells"] == {"figures": None, "lines": [], "warnings": []}
