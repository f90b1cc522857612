"""Judging a run from what is stored: order, breaks, what is missing."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.db.bank_tables import SuiteVersionRow
from server.db.base import Role
from server.services.runs.judge import UndecidableError
from server.tests.stage import METRIC, Stage, Submit
from suites.judgement import document
from suites.metrics.registry import METRICS
from suites.vocabulary import MetricVerdict, Outcome, RunVerdict

pytestmark = pytest.mark.services


class TestOrder:
    def test_only_what_follows_without_a_gap_is_consumed(self, overall: Stage) -> None:
        evidence = overall.evidence()
        for position in (0, 1, 3):
            overall.pair(position)
        overall.end(Role.CANDIDATE, 2)
        assert overall.consume(evidence)
        assert evidence.consumed == 2
        assert not overall.consume(evidence), "nothing new"
        overall.end(Role.BASELINE, 2)
        overall.consume(evidence)
        assert evidence.consumed == 4

    def test_a_judge_that_starts_again_says_the_same(self, overall: Stage) -> None:
        steady, late = overall.evidence(), overall.evidence()
        for position in range(12):
            overall.pair(position, value=0.1 * (position + 1))
            overall.consume(steady)
        overall.consume(late)
        assert steady.verdict() == late.verdict()
        assert late.verdict().verdict is not None
        assert late.gates_decided

    def test_what_is_driven_after_the_look_that_decides_changes_no_word_of_the_verdict(
        self, looks: Stage
    ) -> None:
        early, late = looks.evidence(), looks.evidence()
        for position in range(12):
            looks.pair(position, Outcome.FAILED if position < 6 else Outcome.COMPLETED)
            looks.consume(early)
        looks.consume(late)
        assert (early.consumed, late.consumed) == (4, 4), "the second look would be at 8"
        assert early.verdict() == late.verdict()
        assert "failed on 4 rollouts" in late.verdict().sentence
        with looks.sessions() as session:
            assert late.consume(session, beyond=True)
        assert (late.consumed, late.verdict().pairs_consumed) == (12, 4)

    def test_invalid_data_drops_the_pair_and_is_counted(self, overall: Stage) -> None:
        overall.pair(0, Outcome.DATA_INVALID)
        for position in range(1, 12):
            overall.pair(position)
        evidence = overall.evidence()
        overall.consume(evidence)
        verdict = evidence.verdict()
        assert verdict.outcomes["candidate"] == {"completed": 11, "data_invalid": 1}
        assert (verdict.gates[0].pairs, verdict.gates[0].invalid) == (11, 1)

    def test_the_document_has_null_for_numbers_that_do_not_exist(self, overall: Stage) -> None:
        evidence = overall.evidence()
        found = document(evidence.verdict())
        assert found["gates"][0]["candidate_mean"] is None
        assert found["verdict"] is None


class TestBrokenCandidate:
    def test_it_fails_at_the_first_rollout_in_order_on_which_it_breaks(
        self, overall: Stage
    ) -> None:
        evidence = overall.evidence()
        for position in range(12):
            overall.pair(
                position, Outcome.POLICY_FAILED if position in (3, 7) else Outcome.COMPLETED
            )
        overall.consume(evidence)
        assert evidence.broken
        assert evidence.consumed == 4
        verdict = evidence.verdict()
        assert verdict.verdict is RunVerdict.FAIL
        assert "it policy_failed" in verdict.sentence


class TestMissingResults:
    def test_they_are_asked_for_and_the_pair_waits(self, overall: Stage) -> None:
        overall.pair(0)
        digest = overall.end(Role.CANDIDATE, 1, value=None)
        overall.end(Role.BASELINE, 1)
        evidence = overall.evidence()
        overall.consume(evidence)
        assert evidence.consumed == 1
        assert evidence.unmeasured == {METRIC: {digest}}

    def test_results_of_another_version_do_not_count(self, overall: Stage) -> None:
        overall.pair(0, value=0.1, version=METRICS[METRIC].version + 1)
        evidence = overall.evidence()
        overall.consume(evidence)
        assert evidence.consumed == 0
        assert len(evidence.unmeasured[METRIC]) == 2

    def test_a_version_that_nobody_can_measure_any_more_is_said(
        self, overall: Stage, sessions: sessionmaker[Session]
    ) -> None:
        with sessions.begin() as session:
            row = session.scalars(select(SuiteVersionRow)).one()
            row.document = {**row.document, "metric_versions": {METRIC: 77}}
        overall.pair(0)
        evidence = overall.evidence()
        with pytest.raises(
            UndecidableError, match=r"lateral_error_mean_m@77.*register the suite again"
        ):
            overall.consume(evidence)


def test_an_equal_pair_of_models_is_equivalent(overall: Stage) -> None:
    for position in range(12):
        overall.pair(position)
    evidence = overall.evidence()
    overall.consume(evidence)
    assert evidence.verdict().gates[0].verdict is MetricVerdict.EQUIVALENT


def test_a_slice_is_counted_on_the_segments_that_the_run_will_drive(
    submit: Submit,
    client: TestClient,
    add_segment: Callable[..., Any],
    sessions: sessionmaker[Session],
    suite_toml: str,
) -> None:
    for route in range(1, 4):
        add_segment(f"r{route}/7", tags=("highway", "rain"))
    part = 'name = "sliced"\nslices = [{ name = "rain", tags = ["rain"] }]'
    toml = suite_toml.replace('name = "highway"', part)
    assert client.post("/v1/suites", json={"toml": toml}).status_code == 201
    for asked, count in (({}, 3), ({"max_routes": 2}, 2)):
        stage = Stage(sessions, submit(suite="sliced", **asked).json()["id"])
        plan = stage.evidence().judge.plan
        assert (list(plan.slices), len(plan.slices["rain"])) == (["rain"], count)
        assert {segment[:2] for segment in plan.slices["rain"]} == set(plan.route_pairs)
