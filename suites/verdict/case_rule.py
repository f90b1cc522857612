"""Must-pass cases: each is judged by its own rule over the candidate's repeats."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from suites.conditions import Judgement
from suites.definition.suite_schema import CaseSpec
from suites.judgement import CaseVerdict
from suites.vocabulary import FAILING, Outcome


class Repeat(NamedTuple):
    """What one repeat of a case says."""

    passed: bool | None
    """None: it can't be told."""
    reason: str = ""
    instant_s: float | None = None


def judge_repeat(
    outcome: Outcome, reason: str, ended_s: float, conditions: Iterable[Judgement]
) -> Repeat:
    """By how it ended and why, then by its conditions, each with its words: broken ones before
    unknown."""
    if outcome in FAILING:
        return Repeat(False, reason, ended_s)
    if outcome is Outcome.DATA_INVALID:
        return Repeat(None, reason)
    judged = list(conditions)
    for one in judged:
        if one.held is False:
            return Repeat(False, f"{one.condition}: {one.reason}", one.instant_s)
    for one in judged:
        if one.held is None:
            return Repeat(None, f"{one.condition}: {one.reason}")
    # a condition's window may end before the simulator lost sight of the car; without a condition
    # the whole window is asked for
    told = outcome is Outcome.COMPLETED or bool(judged)
    return Repeat(True) if told else Repeat(None, reason)


def judge_case(spec: CaseSpec, repeats: Sequence[Repeat]) -> CaseVerdict:
    """By all of its repeats, in their order."""
    needed = spec.must_pass_repeats or spec.repeats
    passed = sum(repeat.passed is True for repeat in repeats)
    unknown = [repeat for repeat in repeats if repeat.passed is None]
    if passed >= needed:
        return CaseVerdict(case=spec.name, passed=True)
    if passed + len(unknown) >= needed:
        return CaseVerdict(case=spec.name, passed=None, reason=unknown[0].reason)
    failed = next(repeat for repeat in repeats if repeat.passed is False)
    return CaseVerdict(
        case=spec.name, passed=False, reason=failed.reason, instant_s=failed.instant_s
    )
