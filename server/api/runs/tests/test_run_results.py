"""Pairs of a run, stored rollouts and comparisons, on rollouts as workers write them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.db.base import Role
from server.db.queue_tables import DemandRow, ResultRow, RolloutRow
from server.db.run_tables import RunRow
from server.storage import BlobStore
from suites.metrics.registry import METRICS
from suites.rollout import Trace
from suites.vocabulary import Outcome, RunVerdict, Status

pytestmark = pytest.mark.services
METRIC = METRICS["lateral_error_mean_m"]
GATE = {
    "metric": METRIC.name,
    "estimand": "typical",
    "margin": 0.02,
    "critical": True,
    "verdict": "worse",
    "interval": {"estimate": 0.5, "low": 0.25, "high": 0.75},
    "other_estimand": None,
    "decided_at": 12,
    "pairs": 12,
    "routes": 3,
    "invalid": 1,
    "smallest_visible_effect": None,
    "candidate_mean": 0.2,
    "baseline_mean": 0.1,
    "reason": "",
}
RATE_GATE = GATE | {
    "metric": "incident_hard_brake",
    "estimand": "rate",
    "margin": 0.005,
    "interval": {"estimate": 0.25, "low": 0.05, "high": 0.6},
    "candidate_mean": 4 / 12,
    "baseline_mean": 1 / 12,
    "candidate_events": 4,
    "baseline_events": 1,
}
ENDINGS: dict[int, tuple[Outcome, Outcome]] = {
    0: (Outcome.FAILED, Outcome.COMPLETED),
    1: (Outcome.COMPLETED, Outcome.POLICY_FAILED),
    2: (Outcome.DATA_INVALID, Outcome.DATA_INVALID),
    3: (Outcome.LEFT_TRUST_REGION, Outcome.COMPLETED),
}
"""By position. The others completed, the candidate 1 mm worse with each position."""


@pytest.fixture
def driven(submit: Callable[..., Any], sessions: sessionmaker[Session], app: FastAPI) -> str:
    """Id of a run that is driven but for its last position; position 4 is much worse."""
    run_id = str(submit().json()["id"])
    blobs: BlobStore = app.state.blobs
    with sessions.begin() as session:
        for demand in session.scalars(
            select(DemandRow).where(DemandRow.owner_id == run_id, DemandRow.position < 11)
        ):
            candidate = demand.role is Role.CANDIDATE
            endings = ENDINGS.get(demand.position, (Outcome.COMPLETED, Outcome.COMPLETED))
            value = (
                (0.5 if demand.position == 4 else 0.1 + 0.001 * demand.position)
                if candidate
                else 0.1
            )
            write(session, blobs, demand.drive_key, endings[0 if candidate else 1], value)
    return run_id


def write(
    session: Session, blobs: BlobStore, drive_key: str, outcome: Outcome, value: float
) -> None:
    trace = Trace(
        simulator="reprojection",
        rate_hz=20.0,
        planned_steps=3,
        columns={"t_s": np.array([0.0, 0.05]), "x_m": np.array([0.0, np.nan])},
    )
    session.add(
        RolloutRow(
            drive_key=drive_key,
            outcome=outcome,
            reason="",
            ended_s=0.1,
            trusted_share=1.0,
            provenance={},
            worker="w",
            fence=1,
            trace_sha256=blobs.put(trace.to_bytes())
            if outcome is not Outcome.DATA_INVALID
            else None,
            trace_bits="0" * 64,
        )
    )
    session.flush()
    session.add(
        ResultRow(
            drive_key=drive_key,
            metric=METRIC.name,
            version=METRIC.version,
            value=value,
            valid=True,
            low=value,
            high=value,
        )
    )


def test_pairs_are_told_apart_by_outcome_and_by_notable_difference(
    driven: str, client: TestClient
) -> None:
    pairs = client.get(f"/v1/runs/{driven}/results").json()["items"]
    assert [pair["position"] for pair in pairs] == list(range(12))
    assert [pair["change"] for pair in pairs] == [
        "regressed",
        "improved",
        "invalid",
        "censored",
        "regressed",
        *["unchanged"] * 6,
        "open",
    ]
    assert [pair["verdict"] for pair in pairs] == [
        "fail",
        "pass",
        "invalid",
        "censored",
        *["pass"] * 7,
        "open",
    ]
    assert pairs[5]["delta"] == pytest.approx(0.005)
    assert (pairs[5]["unit"], pairs[11]["delta"], pairs[11]["candidate"]["outcome"]) == (
        METRIC.unit,
        None,
        None,
    )


def test_pairs_are_sorted_filtered_and_paged(driven: str, client: TestClient) -> None:
    path = f"/v1/runs/{driven}/results"
    seen: list[int] = []
    query: dict[str, Any] = {"sort": "-delta", "limit": 5}
    while True:
        page = client.get(path, params=query).json()
        seen += [pair["position"] for pair in page["items"]]
        query["cursor"] = page["next"]
        if page["next"] is None:
            break
    assert seen == [4, 10, 9, 8, 7, 6, 5, 3, 2, 1, 0, 11]
    assert [
        p["position"] for p in client.get(path, params={"verdict": "fail"}).json()["items"]
    ] == [0]
    assert [
        p["position"]
        for p in client.get(path, params={"change": "regressed", "sort": "-position"}).json()[
            "items"
        ]
    ] == [4, 0]
    other = client.get(path, params={"metric": "total_cost", "limit": 1}).json()["items"][0]
    assert (other["metric"], other["delta"]) == ("total_cost", None)
    assert client.get(path, params={"metric": "charm"}).status_code == 400


def decided(
    sessions: sessionmaker[Session], run_id: str, cases: list[dict[str, Any]] | None = None
) -> None:
    with sessions.begin() as session:
        run = session.get_one(RunRow, run_id)
        run.status = Status.FINISHED
        run.verdict = RunVerdict.FAIL
        run.sentence = "FAIL: worse & <b>bad</b>."
        run.verdict_document = {"gates": [GATE, RATE_GATE], "cases": cases or []}
        run.pairs_consumed = 12
        run.decided = run.finished = datetime.now(UTC)


class TestDocuments:
    def test_the_comment_is_one_line_then_worst_cases_then_a_fold(
        self, driven: str, client: TestClient, sessions: sessionmaker[Session], suite: str
    ) -> None:
        decided(sessions, driven)
        answer = client.get(f"/v1/runs/{driven}/comment.md")
        assert answer.headers["content-type"].startswith("text/markdown")
        lines = answer.text.splitlines()
        assert lines[0] == (
            f"### ❌ FAIL · highway@{suite[:6]} · 2 of 2 gates worse"
            " · 2 regressed, 1 improved, 6 unchanged · 1 censored · 1 invalid · 1 open"
        )
        assert "&lt;b>bad" in lines[2]
        cells = [line.split(" | ") for line in lines if line.startswith("| `r")]
        assert [cell[1] for cell in cells][:2] == ["0.5 m", "failed at 0.1 s"]
        change = "+50.0 % [+25.0 %, +75.0 %]"
        assert f"| lateral_error_mean_m, typical | worse | {change} | +2.0 % | 12 | 1 |" in lines
        change = "+25 pp [+5 pp, +60 pp], 4 against 1 of 12"
        assert f"| incident_hard_brake, rate | worse | {change} | +0.5 pp | 12 | 1 |" in lines

    def test_junit_has_one_test_for_each_gate_and_case(
        self, driven: str, client: TestClient, sessions: sessionmaker[Session]
    ) -> None:
        case = {
            "case": "exit_7",
            "passed": False,
            "reason": "took the exit\x01",
            "instant_s": 3.0,
            "waived": "",
        }
        told = {
            "case": "exit_8",
            "passed": None,
            "reason": "left the trust region",
            "instant_s": None,
            "waived": "",
        }
        decided(sessions, driven, [case, told])
        root = ElementTree.fromstring(client.get(f"/v1/runs/{driven}/junit.xml").content)
        suite = root[0]
        assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
            "tests": "4",
            "failures": "3",
            "errors": "0",
            "skipped": "1",
        }

    def test_each_says_what_a_pass_is_worth(
        self, driven: str, client: TestClient, decide: Callable[..., None]
    ) -> None:
        def documents() -> tuple[str, str, dict[str | None, str | None]]:
            comment, report, xml = (
                client.get(f"/v1/runs/{driven}/{name}").text
                for name in ("comment.md", "report.html", "junit.xml")
            )
            found = ElementTree.fromstring(xml).findall(".//property")
            return comment, report, {p.get("name"): p.get("value") for p in found}

        decide(driven, RunVerdict.PASS, "PASS: not worse.", told={"complete": False})
        comment, report, properties = documents()
        assert comment.startswith("### ✅ PASS, provisional · highway@")
        told = "Provisional: it may merge, not promote"
        assert f"**{told}; `redrive runs complete {driven}` drives the rest" in comment
        assert "Try 1 of model candidate on highway; only a complete pass promotes." in comment
        assert told in report
        assert (properties["provisional"], properties["complete"]) == ("true", "false")
        assert (properties["line"], properties["tries"]) == ("model candidate", "1")
        gone = {"complete": True, "withdrawn": "labels | turned"}
        decide(driven, RunVerdict.FAIL, "FAIL: worse.", told=gone)
        comment, report, properties = documents()
        assert comment.startswith("### ❌ FAIL, its pass withdrawn · highway@")
        assert "**Its earlier pass is withdrawn: labels \\| turned.**" in comment
        assert "fail, its pass withdrawn" in report
        assert (properties["provisional"], properties["withdrawn"]) == ("false", "labels | turned")

    def test_junit_of_an_errored_run_is_an_error_and_no_failure(
        self, driven: str, client: TestClient, sessions: sessionmaker[Session]
    ) -> None:
        with sessions.begin() as session:
            run = session.get_one(RunRow, driven)
            run.status = Status.ERRORED
            run.error = "no worker could drive it"
        suite = ElementTree.fromstring(client.get(f"/v1/runs/{driven}/junit.xml").content)[0]
        assert (suite.get("errors"), suite.get("failures")) == ("1", "0")

    def test_the_report_is_one_page_with_escaped_text(
        self, driven: str, client: TestClient, sessions: sessionmaker[Session]
    ) -> None:
        decided(sessions, driven)
        page = client.get(f"/v1/runs/{driven}/report.html").text
        assert "worse &amp; &lt;b&gt;bad" in page
        assert "+50.0 % [+25.0 %, +75.0 %]" in page
        assert "<script" not in page


class TestRollouts:
    def test_a_rollout_has_its_results_and_the_command_that_reproduces_it(
        self, driven: str, client: TestClient
    ) -> None:
        pair = next(
            p
            for p in client.get(f"/v1/runs/{driven}/results").json()["items"]
            if "+0.50m" in p["case_id"] and p["position"] > 3
        )
        rollout = client.get(f"/v1/rollouts/{pair['candidate']['drive_key']}").json()
        assert rollout["results"][0]["metric"] == METRIC.name
        assert rollout["reproduce"] == (
            f"redrive replay {pair['segment_id']} --model candidate --simulator reprojection"
            " --start 1.0 --end 12.0 --lateral 0.5"
        )

    def test_the_trace_is_given_as_numbers_and_as_stored(
        self, driven: str, client: TestClient
    ) -> None:
        key = client.get(f"/v1/runs/{driven}/results").json()["items"][4]["candidate"]["drive_key"]
        trace = client.get(f"/v1/rollouts/{key}/trace").json()
        assert (trace["steps"], trace["planned_steps"]) == (2, 3)
        assert trace["columns"]["x_m"]["values"] == [0.0, None]
        raw = client.get(f"/v1/rollouts/{key}/trace.npz").content
        assert Trace.from_bytes(raw)["t_s"].tolist() == [0.0, 0.05]

    def test_no_trace_is_404_and_a_damaged_one_is_the_datas_problem(
        self, driven: str, client: TestClient, app: FastAPI
    ) -> None:
        pairs = client.get(f"/v1/runs/{driven}/results").json()["items"]
        assert (
            client.get(f"/v1/rollouts/{pairs[2]['candidate']['drive_key']}/trace").status_code
            == 404
        )
        key = pairs[4]["candidate"]["drive_key"]
        blob = app.state.blobs.path(client.get(f"/v1/rollouts/{key}").json()["trace_sha256"])
        blob.write_bytes(b"damaged")
        answer = client.get(f"/v1/rollouts/{key}/trace")
        assert (answer.status_code, answer.json()["owner"]) == (409, "data")


class TestComparisons:
    def test_candidates_meet_one_baseline_on_one_suite(
        self,
        submit: Callable[..., Any],
        push: Callable[..., str],
        client: TestClient,
        sessions: sessionmaker[Session],
    ) -> None:
        push("second")
        for name in ("candidate", "second"):
            decided(sessions, submit(candidate=name).json()["id"])
        answer = client.get(
            "/v1/comparisons", params={"baseline": "baseline", "candidate": ["candidate", "second"]}
        ).json()
        assert [c["candidate"]["name"] for c in answer["candidates"]] == ["candidate", "second"]
        assert answer["candidates"][0]["gates"] == [GATE, RATE_GATE]

    def test_different_digests_are_refused_with_the_fields_that_differ(
        self,
        submit: Callable[..., Any],
        push: Callable[..., str],
        client: TestClient,
        sessions: sessionmaker[Session],
    ) -> None:
        push("second")
        decided(sessions, submit().json()["id"])
        decided(sessions, submit(candidate="second", max_routes=1).json()["id"])
        query: dict[str, Any] = {"baseline": "baseline", "candidate": ["candidate", "second"]}
        answer = client.get("/v1/comparisons", params=query)
        assert (answer.status_code, answer.json()["type"].partition("#")[2]) == (
            409,
            "different-suites",
        )
        assert {"suite.select.max_routes", "planned"} <= {
            error["where"] for error in answer.json()["errors"]
        }

    def test_a_pair_that_never_met_is_404(
        self, submit: Callable[..., Any], client: TestClient
    ) -> None:
        submit()
        answer = client.get(
            "/v1/comparisons", params={"baseline": "baseline", "candidate": "candidate"}
        )
        assert answer.status_code == 404
