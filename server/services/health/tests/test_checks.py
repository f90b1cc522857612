"""Standing checks over HTTP: self-checks are kept, bad workers named, probes counted."""

import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from server.db.base import Role
from server.db.health_tables import AlarmRow, ProbeRow, SelfCheckRow
from server.db.queue_tables import DemandRow, DriveKeyRow
from server.db.run_tables import RunRow
from server.tests.driven import add_result, add_rollout
from suites.verdict.planted_effects import Nulls, Planted, SelfCheck, ShapeCheck, rate

pytestmark = pytest.mark.services
METRIC = "lateral_error_mean_m"
Sessions = sessionmaker[Session]


def report(alarms: int) -> dict[str, Any]:
    nulls = Nulls(
        alarms=rate(alarms, 100), failed=rate(0, 100), passed=rate(90, 100), naive=rate(40, 100)
    )
    even = Planted(
        kind="even",
        multiple=1.0,
        failed=rate(80, 100),
        asserted=rate(3, 100),
        passed=rate(1, 100),
        median_pairs=40.0,
    )
    skew = ShapeCheck(shape="skew", failed=rate(2, 100), passed=rate(60, 100), wrong=rate(2, 100))
    harm = ShapeCheck(
        shape="mended harm", failed=rate(0, 100), passed=rate(9, 100), wrong=rate(4, 100)
    )
    made = SelfCheck(
        alpha=0.05,
        pairs=100,
        routes=20,
        runs=100,
        seed=0,
        nulls=nulls,
        planted=(even,),
        not_planted=(),
        shapes=(skew, harm),
    )
    return asdict(made)


def older_report() -> dict[str, Any]:
    """As it was kept before shapes and passes were."""
    made = report(0)
    del made["shapes"], made["nulls"]["passed_pairs"], made["planted"][0]["passed"]
    return made


@pytest.fixture
def run_id(submit: Callable[..., Any]) -> str:
    return str(submit().json()["id"])


@pytest.fixture
def driven(run_id: str, sessions: Sessions) -> Callable[..., None]:
    """driven(bad): 300 more pairs, each rollout by one of three workers; w0 adds `bad`."""

    def drive(bad: float) -> None:
        generator = np.random.default_rng(0)
        with sessions.begin() as session:
            first = session.scalars(
                select(DemandRow).where(DemandRow.owner_id == run_id, DemandRow.position == 0)
            ).all()
            keys = {d.role: session.get_one(DriveKeyRow, d.drive_key) for d in first}
            for position in range(100, 400):
                for role, value in zip(Role, 1 + 0.1 * generator.random(2), strict=True):
                    worker = generator.integers(3)
                    digest = f"{role.value}-{position}"
                    session.add(
                        DriveKeyRow(
                            digest=digest,
                            key=keys[role].key,
                            model=keys[role].model,
                            segment_id="r1/0",
                            group_digest="g",
                            execution=keys[role].execution,
                        )
                    )
                    session.flush()
                    session.add(
                        DemandRow(
                            owner_kind="run",
                            owner_id=run_id,
                            position=position,
                            role=role,
                            case_id=f"c{position}",
                            route="r1",
                            drive_key=digest,
                        )
                    )
                    add_rollout(session, digest, worker=f"w{worker}/{generator.integers(9)}")
                    add_result(session, digest, value + (bad if worker == 0 else 0.0))
            session.execute(update(RunRow).where(RunRow.id == run_id).values(status="running"))

    return drive


def test_a_self_check_is_kept_and_shown(client: TestClient, run_id: str) -> None:
    answer = client.post(f"/v1/runs/{run_id}/self-checks", json=report(2))
    assert answer.status_code == 201, answer.text
    assert answer.json()["faults"] == []
    shown = client.get("/v1/checks").json()
    assert [check["run_id"] for check in shown["self_checks"]] == [run_id]
    assert shown["self_checks"][0]["report"]["nulls"]["alarms"]["hits"] == 2
    assert shown["alarms"] == []


def test_a_judge_that_errs_too_often_raises_an_alarm(client: TestClient, run_id: str) -> None:
    assert client.post(f"/v1/runs/{run_id}/self-checks", json=report(30)).json()["faults"]
    (alarm,) = client.get("/v1/checks").json()["alarms"]
    assert alarm["kind"] == "self_check"
    assert alarm["detail"]["faults"][0].startswith("false alarms: 30.0 %")


def test_nonsense_is_refused(client: TestClient, run_id: str) -> None:
    assert client.post(f"/v1/runs/{run_id}/self-checks", json={"alpha": 0.05}).status_code == 422
    assert client.post("/v1/runs/nobody/self-checks", json=report(2)).status_code == 404


def test_a_bad_worker_is_named_once(
    client: TestClient, driven: Callable[..., None], sessions: Sessions
) -> None:
    driven(bad=0.1)
    worst = client.post("/v1/checks/workers").json()["workers"][0]
    assert (worst["worker"], worst["bad"]) == ("w0", True)
    assert worst["population"].endswith(f"{METRIC}, candidate") or worst["population"].endswith(
        f"{METRIC}, baseline"
    )
    client.post("/v1/checks/workers")
    with sessions() as session:
        named = session.scalars(
            select(AlarmRow.detail["worker"].astext).where(AlarmRow.kind == "bad_worker")
        ).all()
    assert sorted(named).count("w0") == 1
    assert len(named) == len(set(named))


def test_good_workers_are_left_alone(client: TestClient, driven: Callable[..., None]) -> None:
    driven(bad=0.0)
    views = client.post("/v1/checks/workers").json()["workers"]
    assert {view["worker"] for view in views} == {"w0", "w1", "w2"}
    assert not any(view["bad"] for view in views)
    assert client.get("/v1/checks").json()["alarms"] == []


def test_probes_are_asked_for_in_small_messages(
    client: TestClient,
    app: FastAPI,
    driven: Callable[..., None],
    sessions: Sessions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driven(bad=0.0)
    sent: list[tuple[str, list[int]]] = []
    monkeypatch.setattr(
        app.state.celery, "send_task", lambda _, args, queue, priority: sent.append((queue, *args))
    )
    answer = client.post("/v1/probes", json={"count": 10})
    assert answer.status_code == 202, answer.text
    numbers = [view["id"] for view in answer.json()["probes"]]
    assert [n for _, part in sent for n in part] == numbers
    assert [(device, len(part)) for device, part in sent] == [
        ("drive.cpu", 4),
        ("drive.cpu", 4),
        ("drive.cpu", 2),
    ]
    with sessions.begin() as session:
        session.execute(
            update(ProbeRow).where(ProbeRow.id == numbers[0]).values(equal=True, driven=func.now())
        )
        session.execute(
            update(ProbeRow)
            .where(ProbeRow.id == numbers[1])
            .values(error="no disk", driven=func.now())
        )
    assert client.get("/v1/checks").json()["probes"] == {
        "equal": 1,
        "unequal": 0,
        "waiting": 8,
        "failed": 1,
    }
    assert [
        p["equal"]
        for p in client.get("/v1/probes", params={"number": numbers[:2]}).json()["probes"]
    ] == [True, None]


def test_probes_wait_while_the_broker_is_away(
    client: TestClient,
    app: FastAPI,
    driven: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OSError("no route to it")

    driven(bad=0.0)
    monkeypatch.setattr(app.state.celery, "send_task", away)
    assert client.post("/v1/probes", json={"count": 3}).status_code == 202
    assert client.get("/v1/checks").json()["probes"]["waiting"] == 3
    assert (
        "the broker is away, probes wait that nobody was asked to drive: no route to it"
        in caplog.text
    )


def test_only_rollouts_that_this_code_can_repeat_are_probed(
    client: TestClient, run_id: str, app: FastAPI, sessions: Sessions
) -> None:
    assert client.post("/v1/probes", json={"count": 1}).status_code == 409, "nothing is stored"
    with sessions.begin() as session:
        digest = session.scalars(
            select(DemandRow.drive_key).where(DemandRow.owner_id == run_id)
        ).first()
        row = session.get_one(DriveKeyRow, digest)
        row.key = row.key | {"simulator": row.key["simulator"] | {"version": "0"}}
        add_rollout(session, row.digest)
    assert client.post("/v1/probes", json={"count": 1}).status_code == 409, "of an older simulator"


BROWSER = {"Accept": "text/html"}


def test_the_page_shows_what_was_checked_and_alarms_are_closed_there(
    client: TestClient,
    app: FastAPI,
    run_id: str,
    driven: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    sessions: Sessions,
) -> None:
    driven(bad=0.1)
    monkeypatch.setattr(app.state.celery, "send_task", lambda *_, **__: None)
    client.post(f"/v1/runs/{run_id}/self-checks", json=report(30))
    sent = client.post(
        "/checks/probes", data={"count": "3"}, headers=BROWSER, follow_redirects=False
    )
    assert (sent.status_code, sent.headers["location"]) == (303, "/checks#probes")
    page = client.get("/checks", headers=BROWSER).text
    for words in (
        "30.0 %",
        f"/runs/{run_id}",
        "errs",
        "false alarms: 30.0 %",
        "No night has compared them yet",
        "waits",
    ):
        assert words in page, words
    seen = client.get("/checks.json").json()
    assert (seen["compared_now"], seen["workers"], len(seen["checks"]["recent_probes"])) == (
        False,
        [],
        3,
    )
    (alarm,) = seen["checks"]["alarms"]
    path = f"/checks/alarms/{alarm['id']}/acknowledge"
    assert client.post(path, data={}, headers=BROWSER).status_code == 422, "somebody must say so"
    assert (
        client.post(
            path, data={"actor": "ada"}, headers=BROWSER, follow_redirects=False
        ).status_code
        == 303
    )
    assert client.get("/v1/checks").json()["alarms"] == []
    again = client.post(f"/v1/alarms/{alarm['id']}/acknowledge", json={"actor": "bo"})
    assert again.status_code == 409
    assert client.post("/v1/alarms/99/acknowledge", json={"actor": "bo"}).status_code == 404
    trail = client.get("/v1/audit", params={"subject_kind": "alarm"}).json()["items"]
    assert [(event["kind"], event["actor"]) for event in trail] == [("alarm.acknowledged", "ada")]


def words_of(page: str) -> str:
    """The text of a page, its tags and spaces gone."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_wrong_verdicts_are_shown_with_their_intervals_and_so_are_older_reports(
    client: TestClient, run_id: str, sessions: Sessions
) -> None:
    client.post(f"/v1/runs/{run_id}/self-checks", json=report(3))
    shown = words_of(client.get("/checks", headers=BROWSER).text)
    for words in (
        "equal models 0.0 % 0.0 … 3.7",
        "skewed 2.0 % 0.6 … 7.0",
        "at the margin, even 1.0 % 0.2 … 5.4",
        "new spikes, as many mended 4.0 % 1.6 … 9.8",
    ):
        assert words in shown, words
    with sessions.begin() as session:
        session.execute(update(SelfCheckRow).values(report=older_report()))
    older = words_of(client.get("/checks", headers=BROWSER).text)
    assert "at the margin, even 3.0 % 1.0 … 8.5" in older
    assert "skewed" not in older
    assert client.post(f"/v1/runs/{run_id}/self-checks", json=older_report()).status_code == 201


def test_workers_are_compared_now_without_an_alarm(
    client: TestClient, driven: Callable[..., None]
) -> None:
    driven(bad=0.1)
    seen = client.get("/checks.json", params={"workers": "now"}).json()
    assert (seen["compared_now"], seen["workers"][0]["worker"], seen["workers"][0]["bad"]) == (
        True,
        "w0",
        True,
    )
    assert seen["checks"]["alarms"] == []
    assert "differs" in client.get("/checks", params={"workers": "now"}, headers=BROWSER).text
