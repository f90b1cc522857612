"""Judging a run from what is stored: order, cases, conditions, what is missing; progress and gauges beside it."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session, sessionmaker

from server.db.bank_tables import SuiteVersionRow
from server.db.base import Role
from server.db.queue_tables import DemandRow, DriveKeyRow, ResultRow, RolloutRow, ShardRow
from server.db.run_tables import RunRow
from server.services.runs.judge import RunEvidence, UndecidableError, document
from server.services.runs.progress import read_progress
from suites.conditions import load_condition, result_name
from suites.metrics.registry import METRICS
from suites.vocabulary import MetricVerdict, Outcome, RunVerdict, ShardStatus

pytestmark = pytest.mark.services
Submit = Callable[..., Any]
METRIC = "lateral_error_mean_m"
CONDITION = {"name": "slow", "always": {"signal": "speed_mps", "below": 30.0}}
CASES = """
name = "incidents"
kind = "specific"
[[cases]]
name = "exit"
segment = "r1/0"
repeats = 2
noise = {pose_m = 0.1}
must_pass_repeats = 1
[[cases]]
name = "merge"
segment = "r2/0"
[[cases.conditions]]
name = "slow"
always = {signal = "speed_mps", below = 30.0}
"""


class Stage:
    """A run, and the hand that stores its rollouts."""

    def __init__(self, sessions: sessionmaker[Session], run_id: str) -> None:
        self.sessions, self.run_id = sessions, run_id

    def end(
        self,
        role: Role,
        position: int,
        outcome: Outcome = Outcome.COMPLETED,
        value: float | None = 0.1,
        version: int = 1,
    ) -> str:
        """Store how one rollout ended; its drive_key. `value` None: nothing was measured."""
        with self.sessions.begin() as session:
            digest = session.scalars(
                select(DemandRow.drive_key).where(
                    DemandRow.owner_id == self.run_id,
                    DemandRow.role == role,
                    DemandRow.position == position,
                )
            ).one()
            session.add(
                RolloutRow(
                    drive_key=digest,
                    outcome=outcome,
                    reason="" if outcome is Outcome.COMPLETED else f"it {outcome}",
                    ended_s=2.5,
                    trusted_share=1.0,
                    provenance={},
                    worker="w",
                    fence=1,
                )
            )
            session.flush()
            if value is not None:
                row = {
                    "drive_key": digest,
                    "metric": METRIC,
                    "version": version,
                    "value": value,
                    "valid": True,
                }
                session.add(ResultRow(**row, low=value, high=value))
        return digest

    def pair(self, position: int, candidate: Outcome = Outcome.COMPLETED, **named: Any) -> None:
        self.end(Role.CANDIDATE, position, candidate, **named)
        self.end(Role.BASELINE, position, **named)

    def condition(self, drive_key: str, value: float | None, reason: str = "") -> None:
        with self.sessions.begin() as session:
            session.add(
                ResultRow(
                    drive_key=drive_key,
                    metric=result_name(CONDITION),
                    version=1,
                    value=value,
                    valid=value is not None,
                    reason=reason,
                    instant_s=None if value else 1.5,
                )
            )

    def evidence(self) -> RunEvidence:
        with self.sessions() as session:
            return RunEvidence(session, session.get_one(RunRow, self.run_id))

    def consume(self, evidence: RunEvidence) -> bool:
        with self.sessions() as session:
            return evidence.consume(session)


@pytest.fixture
def overall(submit: Submit, sessions: sessionmaker[Session]) -> Stage:
    """12 pairs, one gate."""
    return Stage(sessions, submit().json()["id"])


@pytest.fixture
def looks(
    submit: Submit, sessions: sessionmaker[Session], client: TestClient, suite_toml: str
) -> Stage:
    """12 pairs, a look after every four, and a bound that two failures cross."""
    toml = "look_every = 4\nmax_failed_share = 0.1\n" + suite_toml.replace(
        'name = "', 'name = "looks_', 1
    )
    answer = client.post("/v1/suites", json={"toml": toml})
    assert answer.is_success, answer.text
    return Stage(sessions, submit(suite="looks_highway").json()["id"])


@pytest.fixture
def specific(submit: Submit, sessions: sessionmaker[Session], client: TestClient) -> Stage:
    """Cases `exit` (2 repeats, one must pass: positions 0 and 1) and `merge` (a condition: position 2), no gates."""
    answer = client.post("/v1/suites", json={"toml": CASES})
    assert answer.is_success, answer.text
    return Stage(sessions, submit(suite="incidents").json()["id"])


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


class TestCases:
    def passed(self, stage: Stage) -> dict[str, bool | None]:
        evidence = stage.evidence()
        stage.consume(evidence)
        return {case.case: case.passed for case in evidence.verdict().cases}

    def test_a_case_waits_for_all_its_repeats(self, specific: Stage) -> None:
        specific.end(Role.CANDIDATE, 0)
        assert self.passed(specific) == {}
        specific.end(Role.CANDIDATE, 1)
        assert self.passed(specific) == {"exit": True}

    @pytest.mark.parametrize(
        ("first", "second", "passed"),
        [
            (Outcome.FAILED, Outcome.COMPLETED, True),
            (Outcome.FAILED, Outcome.FAILED, False),
            (Outcome.FAILED, Outcome.LEFT_TRUST_REGION, None),
            (Outcome.DATA_INVALID, Outcome.FAILED, None),
            (Outcome.POLICY_FAILED, Outcome.POLICY_FAILED, False),
        ],
    )
    def test_by_its_own_rule(
        self, specific: Stage, first: Outcome, second: Outcome, passed: bool | None
    ) -> None:
        specific.end(Role.CANDIDATE, 0, first)
        specific.end(Role.CANDIDATE, 1, second)
        assert self.passed(specific) == {"exit": passed}

    @pytest.mark.parametrize(("value", "passed"), [(1.0, True), (0.0, False), (None, None)])
    def test_a_condition_decides(
        self, specific: Stage, value: float | None, passed: bool | None
    ) -> None:
        digest = specific.end(Role.CANDIDATE, 2)
        evidence = specific.evidence()
        specific.consume(evidence)
        assert evidence.unmeasured == {result_name(CONDITION): {digest}}
        assert evidence.conditions[result_name(CONDITION)] == CONDITION
        specific.condition(digest, value, "broken at 1.50 s")
        specific.consume(evidence)
        assert evidence.unmeasured == {}
        case = evidence.verdict().cases[0]
        assert (case.case, case.passed) == ("merge", passed)
        assert case.instant_s == (1.5 if passed is False else None)
        said = f"{load_condition(CONDITION)}: broken at 1.50 s"
        assert case.reason == ("" if passed else said), "which of its conditions, by name"

    def test_pairs_of_judged_cases_are_counted(self, specific: Stage) -> None:
        evidence = specific.evidence()
        specific.end(Role.CANDIDATE, 0)
        specific.consume(evidence)
        assert evidence.counted == 0
        specific.end(Role.CANDIDATE, 1)
        specific.condition(specific.end(Role.CANDIDATE, 2), 1.0)
        specific.consume(evidence)
        assert (evidence.counted, len(evidence.version.planned)) == (3, 3)

    @pytest.mark.parametrize(
        ("outcome", "verdict"),
        [
            (Outcome.COMPLETED, RunVerdict.PASS),
            (Outcome.FAILED, RunVerdict.FAIL),
            (Outcome.LEFT_TRUST_REGION, RunVerdict.INCONCLUSIVE),
        ],
    )
    def test_the_run_follows_its_cases(
        self, specific: Stage, outcome: Outcome, verdict: RunVerdict
    ) -> None:
        specific.condition(specific.end(Role.CANDIDATE, 2), 1.0)
        evidence = specific.evidence()
        specific.consume(evidence)
        assert evidence.verdict().verdict is None
        specific.end(Role.CANDIDATE, 0, outcome)
        specific.end(Role.CANDIDATE, 1, outcome)
        specific.consume(evidence)
        assert evidence.verdict().verdict is verdict


class TestProgress:
    def test_counts_rate_and_the_worst_case(
        self, overall: Stage, sessions: sessionmaker[Session]
    ) -> None:
        overall.pair(0)
        overall.end(Role.CANDIDATE, 1, Outcome.FAILED, value=0.9)
        overall.end(Role.BASELINE, 1, value=0.2)
        with sessions.begin() as session:
            keys = session.scalars(
                select(DriveKeyRow).where(~DriveKeyRow.digest.in_(select(RolloutRow.drive_key)))
            ).all()
            shard = ShardRow(
                drive_keys=[k.digest for k in keys[:3]],
                group_digest="g",
                execution={},
                status=ShardStatus.LEASED,
                lease_until=func.now(),
                error_owner="machine",
                error="no memory",
            )
            session.add(shard)
            session.flush()
            for row in keys[:3]:
                row.shard_id = shard.id
            keys[3].failure = "given up"
            session.get_one(RunRow, overall.run_id).started = session.scalar(
                select(func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 10))
            )
        with sessions() as session:
            progress = read_progress(session, session.get_one(RunRow, overall.run_id))
        assert (progress.done, progress.total, progress.driving, progress.infra_failed) == (
            4,
            24,
            3,
            1,
        )
        assert progress.outcomes == {
            "candidate": {"completed": 1, "failed": 1},
            "baseline": {"completed": 2},
        }
        assert progress.errors == {"machine": 1}
        assert progress.rollouts_per_s == pytest.approx(4 / 10, rel=0.2)
        assert progress.seconds_left == pytest.approx(20 / (4 / 10), rel=0.2)
        assert progress.worst is not None
        assert (progress.worst.candidate, progress.worst.baseline, progress.worst.unit) == (
            0.9,
            0.2,
            "m",
        )

    def test_the_number_of_statements_does_not_grow_with_the_run(
        self, overall: Stage, sessions: sessionmaker[Session]
    ) -> None:
        for position in range(6):
            overall.pair(position)
        statements: list[str] = []
        with sessions() as session:
            run = session.get_one(RunRow, overall.run_id)
            event.listen(
                session.connection(),
                "before_cursor_execute",
                lambda *seen: statements.append(seen[2]),
            )
            read_progress(session, run)
        assert len(statements) <= 7


def test_gauges_say_what_the_queue_holds(
    overall: Stage, client: TestClient, sessions: sessionmaker[Session]
) -> None:
    overall.pair(0)
    with sessions.begin() as session:
        session.add(
            ShardRow(
                drive_keys=["d"],
                group_digest="g",
                execution={"device": "cpu"},
                status=ShardStatus.QUEUED,
            )
        )
    text = client.get("/metrics").text
    assert 'redrive_shards{device="cpu",status="queued"} 1.0' in text
    assert 'redrive_runs{status="queued"} 1.0' in text
    assert 'redrive_rollouts_per_second{outcome="completed"}' in text


def test_an_equal_pair_of_models_is_equivalent(overall: Stage) -> None:
    for position in range(12):
        overall.pair(position)
    evidence = overall.evidence()
    overall.consume(evidence)
    assert evidence.verdict().gates[0].verdict is MetricVerdict.EQUIVALENT
