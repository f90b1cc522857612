"""Several candidates against one baseline: what each word is worth among them all."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.db.bank_tables import SuiteVersionRow
from server.db.base import Role
from server.db.queue_tables import DemandRow, RolloutRow
from server.db.run_tables import RunRow
from server.services.runs.judge import RunEvidence
from server.tests.driven import add_result, add_rollout
from server.tests.statements import counted
from suites.judgement import document
from suites.metrics.registry import METRICS
from suites.segment import SegmentMeta
from suites.vocabulary import RunVerdict, Status

pytestmark = pytest.mark.services
METRIC = METRICS["lateral_error_mean_m"]
SUITE = """
name = "six"
kind = "overall"
order_seed = 0
[select]
[[gates]]
metric = "lateral_error_mean_m"
"""
BROWSER = {"Accept": "text/html,application/xhtml+xml"}
Judged = Callable[[str, float], str]


@pytest.fixture
def judged(
    client: TestClient,
    push: Callable[..., str],
    add_segment: Callable[..., SegmentMeta],
    sessions: sessionmaker[Session],
) -> Judged:
    """judged("name", 1.5): a finished run of a candidate with 1.5 times the baseline's error."""
    for route in range(6):
        add_segment(f"r{route}/0")
    assert client.post("/v1/suites", json={"toml": SUITE}).status_code == 201
    push("baseline")

    def made(name: str, factor: float) -> str:
        push(name)
        body = {"candidate": name, "baseline": "baseline", "suite": "six"}
        run_id = str(
            client.post("/v1/runs", json=body, headers={"Idempotency-Key": name}).json()["id"]
        )
        with sessions.begin() as session:
            for demand in session.scalars(select(DemandRow).where(DemandRow.owner_id == run_id)):
                if session.get(RolloutRow, demand.drive_key) is not None:
                    continue  # the baseline's, driven for an earlier candidate
                value = 0.1 + 0.001 * demand.position
                if demand.role is Role.CANDIDATE:
                    value *= factor
                add_rollout(session, demand.drive_key)
                add_result(session, demand.drive_key, value, METRIC.name, METRIC.version)
        with sessions.begin() as session:
            run = session.get_one(RunRow, run_id)
            evidence = RunEvidence(session, run)
            evidence.consume(session)
            verdict = evidence.verdict()
            run.verdict = verdict.verdict
            run.sentence = verdict.sentence
            run.verdict_document = document(verdict)
            run.status = Status.FINISHED
            run.finished = datetime.now(UTC)
        return run_id

    return made


def asked(client: TestClient, *candidates: str) -> dict[str, Any]:
    answer = client.get("/v1/comparisons", params={"baseline": "baseline", "candidate": candidates})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def words(found: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [
        (c["candidate"]["name"], c["gates"][0]["verdict"], c["corrected"]["gates"][0])
        for c in found["candidates"]
    ]


def test_what_is_shown_alone_may_be_open_among_several(client: TestClient, judged: Judged) -> None:
    """Worse on six of six routes: p = 2 / 64 is below .05, and above .05 / 2."""
    judged("worse", 3.0)
    judged("equal", 1.0)
    alone = asked(client, "worse")
    assert words(alone) == [("worse", "worse", "worse")]
    assert (alone["alpha"], alone["alpha_each"]) == (0.05, 0.05)
    assert "nothing to correct" in alone["correction"]
    both = asked(client, "worse", "equal")
    assert words(both) == [("worse", "worse", "cannot tell"), ("equal", "equivalent", "equivalent")]
    assert [c["verdict"] for c in both["candidates"]] == ["fail", "pass"]
    assert [c["corrected"]["verdict"] for c in both["candidates"]] == ["inconclusive", "pass"]
    assert both["alpha_each"] == 0.025
    assert both["correction"].startswith(
        "2 candidates: each judged again at alpha = 0.05 / 2 (Bonferroni)"
    )
    assert asked(client, "worse", "worse")["alpha_each"] == 0.05, "named twice is one candidate"


def test_a_finished_run_is_judged_again_once_for_each_number_of_candidates(
    app: FastAPI, client: TestClient, judged: Judged
) -> None:
    names = ("worse", "equal", "better")
    for name, factor in zip(names, (1.5, 1.0, 0.5), strict=True):
        judged(name, factor)
    first = asked(client, *names)
    with counted(app) as statements:
        assert asked(client, *names) == first
    assert not [text for text in statements if "FROM results" in text]
    with counted(app) as statements:
        assert words(asked(client, *names[:2])) == words(first)[:2]
    assert [text for text in statements if "FROM results" in text], (
        "another share of alpha is another question"
    )


def test_the_suite_that_all_of_them_met_is_taken_where_none_is_named(
    client: TestClient, judged: Judged, sessions: sessionmaker[Session]
) -> None:
    judged("good", 1.0)
    judged("bad", 2.0)
    met = asked(client, "good", "bad")
    client.post("/v1/suites", json={"toml": SUITE.replace("order_seed = 0", "order_seed = 5")})
    body = {"candidate": "good", "baseline": "baseline", "suite": "six"}
    newer = client.post("/v1/runs", json=body, headers={"Idempotency-Key": "newer"}).json()
    assert newer["suite"]["digest"] != met["suite"]["digest"]
    with sessions.begin() as session:
        run = session.get_one(RunRow, newer["id"])
        run.status, run.verdict = Status.FINISHED, RunVerdict.INCONCLUSIVE
    assert asked(client, "good")["candidates"][0]["run_id"] == newer["id"]
    assert asked(client, "good", "bad") == met
    with sessions.begin() as session:
        withdrawn = session.get_one(RunRow, met["candidates"][0]["run_id"])
        withdrawn.status, withdrawn.verdict = Status.CANCELLED, None
    refused = client.get(
        "/v1/comparisons", params={"baseline": "baseline", "candidate": ["good", "bad"]}
    )
    assert (refused.status_code, refused.json()["type"].partition("#")[2]) == (
        409,
        "different-suites",
    )


def test_the_page_says_both_words_and_that_it_was_corrected(
    client: TestClient, judged: Judged
) -> None:
    judged("worse", 3.0)
    judged("equal", 1.0)
    page = client.get(
        "/comparisons?baseline=baseline&candidate=worse&candidate=equal", headers=BROWSER
    )
    assert page.status_code == 200, page.text
    assert "each judged again at alpha = 0.05 / 2" in page.text
    assert page.text.count("corrected</span>") == 4, "a run and a gate of two candidates"
    assert "cannot tell" in page.text
    single = client.get("/comparisons?baseline=baseline&candidate=worse", headers=BROWSER).text
    assert "corrected</span>" not in single
    empty = client.get("/comparisons", headers=BROWSER).text
    assert "redrive runs compare" in empty
    assert (
        client.get("/comparisons.json?baseline=baseline&candidate=worse").json()["comparison"][
            "alpha"
        ]
        == 0.05
    )
    assert (
        client.get("/comparisons?baseline=baseline&candidate=nobody", headers=BROWSER).status_code
        == 404
    )


def test_what_can_no_longer_be_judged_says_so(
    client: TestClient, judged: Judged, sessions: sessionmaker[Session]
) -> None:
    judged("worse", 3.0)
    judged("equal", 1.0)
    with sessions.begin() as session:
        version = session.scalars(select(SuiteVersionRow)).one()
        version.document = version.document | {"metric_versions": {METRIC.name: 999}}
    found = asked(client, "worse", "equal")
    assert [c["corrected"]["verdict"] for c in found["candidates"]] == [None, None]
    assert "register the suite again" in found["candidates"][0]["corrected"]["problem"]
    page = client.get(
        "/comparisons?baseline=baseline&candidate=worse&candidate=equal", headers=BROWSER
    )
    assert "be judged again: the suite was resolved with" in page.text


def test_runs_on_different_runtimes_are_refused(
    client: TestClient, judged: Judged, sessions: sessionmaker[Session]
) -> None:
    judged("worse", 3.0)
    other = judged("equal", 1.0)
    with sessions.begin() as session:
        run = session.get_one(RunRow, other)
        run.baseline_execution = run.baseline_execution | {"precision": "bf16"}
    answer = client.get(
        "/v1/comparisons", params={"baseline": "baseline", "candidate": ["worse", "equal"]}
    )
    assert (answer.status_code, answer.json()["type"].rpartition("#")[2]) == (
        409,
        "different-runtimes",
    )
    assert [error["where"] for error in answer.json()["errors"]] == ["execution.precision"]
