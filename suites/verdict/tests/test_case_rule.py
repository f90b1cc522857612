"""The rule of a must-pass case: how a repeat ended, its conditions, how many must pass."""

import pytest

from suites.conditions import Judgement
from suites.definition.suite_schema import CaseSpec
from suites.verdict.case_rule import Repeat, judge_case, judge_repeat
from suites.vocabulary import Outcome

HELD = Judgement(condition="slow", held=True, reason="held throughout")
BROKEN = Judgement(condition="calm", held=False, reason="broken at 1.50 s", instant_s=1.5)
UNKNOWN = Judgement(condition="near", held=None, reason="never reached")
LEFT, GOOD, BAD = Outcome.LEFT_TRUST_REGION, Repeat(True), Repeat(False, "it left")


@pytest.mark.parametrize(
    ("outcome", "conditions", "said"),
    [
        (Outcome.COMPLETED, (), Repeat(True)),
        (Outcome.COMPLETED, (HELD,), Repeat(True)),
        (Outcome.COMPLETED, (UNKNOWN, BROKEN), Repeat(False, "calm: broken at 1.50 s", 1.5)),
        (Outcome.COMPLETED, (HELD, UNKNOWN), Repeat(None, "near: never reached")),
        (Outcome.FAILED, (HELD,), Repeat(False, "why", 2.5)),
        (Outcome.POLICY_FAILED, (), Repeat(False, "why", 2.5)),
        (Outcome.DATA_INVALID, (BROKEN,), Repeat(None, "why")),
        (LEFT, (), Repeat(None, "why")),
        (LEFT, (HELD,), Repeat(True)),
    ],
)
def test_a_repeat_is_judged_by_its_end_and_then_by_its_conditions(
    outcome: Outcome, conditions: tuple[Judgement, ...], said: Repeat
) -> None:
    assert judge_repeat(outcome, "why", 2.5, conditions) == said


@pytest.mark.parametrize(
    ("needed", "repeats", "passed"),
    [
        (2, [GOOD, BAD, GOOD], True),
        (None, [GOOD, BAD, GOOD], False),
        (2, [GOOD, BAD, Repeat(None, "untold")], None),
        (2, [BAD, BAD, Repeat(None, "untold")], False),
    ],
)
def test_a_case_is_judged_by_its_repeats(
    needed: int | None, repeats: list[Repeat], passed: bool | None
) -> None:
    spec = CaseSpec(name="exit", segment="r/0", repeats=3, must_pass_repeats=needed)
    verdict = judge_case(spec, repeats)
    assert verdict.passed is passed
    assert verdict.reason == {True: "", False: "it left", None: "untold"}[passed]
