"""Must-pass cases of a run, each by its own rule: repeats, conditions, the run's verdict."""

import pytest

from server.db.base import Role
from server.tests.stage import CONDITION, Stage
from suites.conditions import load_condition, result_name
from suites.vocabulary import Outcome, RunVerdict

pytestmark = pytest.mark.services


def passed_by_case(stage: Stage) -> dict[str, bool | None]:
    evidence = stage.evidence()
    stage.consume(evidence)
    return {case.case: case.passed for case in evidence.verdict().cases}


def test_a_case_waits_for_all_its_repeats(specific: Stage) -> None:
    specific.end(Role.CANDIDATE, 0)
    assert passed_by_case(specific) == {}
    specific.end(Role.CANDIDATE, 1)
    assert passed_by_case(specific) == {"exit": True}


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
    specific: Stage, first: Outcome, second: Outcome, passed: bool | None
) -> None:
    specific.end(Role.CANDIDATE, 0, first)
    specific.end(Role.CANDIDATE, 1, second)
    assert passed_by_case(specific) == {"exit": passed}


@pytest.mark.parametrize(("value", "passed"), [(1.0, True), (0.0, False), (None, None)])
def test_a_condition_decides(specific: Stage, value: float | None, passed: bool | None) -> None:
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


def test_pairs_of_judged_cases_are_counted(specific: Stage) -> None:
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
def test_the_run_follows_its_cases(specific: Stage, outcome: Outcome, verdict: RunVerdict) -> None:
    specific.condition(specific.end(Role.CANDIDATE, 2), 1.0)
    evidence = specific.evidence()
    specific.consume(evidence)
    assert evidence.verdict().verdict is None
    specific.end(Role.CANDIDATE, 0, outcome)
    specific.end(Role.CANDIDATE, 1, outcome)
    specific.consume(evidence)
    assert evidence.verdict().verdict is verdict
