"""Must-pass cases: each by its own rule over the candidate's repeats."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from server.db.base import Role
from server.db.queue_tables import DemandRow, ResultRow, RolloutRow
from server.services.queue.demands import run_owner
from suites.conditions import load_condition, result_name
from suites.definition.suite_schema import CaseSpec, SuiteVersion
from suites.judgement import CaseVerdict
from suites.vocabulary import FAILING, Outcome

_Ended = Row[str, str, Outcome, str, float]
"""A stored rollout: case_id, drive_key, outcome, reason, ended_s."""


class _Repeat(NamedTuple):
    passed: bool | None
    """None: it can't be told."""
    reason: str
    instant_s: float | None


Unmeasured = dict[str, set[str]]
"""Metric or condition (`condition:<digest>`) to drive_keys of rollouts that lack its result."""


def judge_cases(
    session: Session, run_id: str, version: SuiteVersion, judged: Collection[str]
) -> tuple[dict[str, CaseVerdict], Unmeasured]:
    """Verdicts by name of the cases whose repeats are all driven and measured, but those `judged`
    already; and what remains to be measured."""
    open_cases = {spec.name: spec for spec in version.suite.cases if spec.name not in judged}
    if not open_cases:
        return {}, {}
    spec_of = {f"{s.name}#{r}": s for s in open_cases.values() for r in range(s.repeats)}
    rollouts = _driven(session, run_id, spec_of)
    results = _conditions(session, [rollout.drive_key for rollout in rollouts])
    unmeasured: Unmeasured = defaultdict(set)
    repeats: dict[str, list[_Repeat]] = defaultdict(list)
    for rollout in rollouts:
        spec = spec_of[rollout.case_id]
        names = [result_name(condition) for condition in spec.conditions]
        found = results[rollout.drive_key]
        missing = [name for name in names if name not in found]
        for name in missing:
            unmeasured[name].add(rollout.drive_key)
        if not missing:
            words = [str(load_condition(condition)) for condition in spec.conditions]
            conditions = list(zip(words, (found[name] for name in names), strict=True))
            repeats[spec.name].append(_repeat(rollout, conditions))
    whole = {name for name, ended in repeats.items() if len(ended) == open_cases[name].repeats}
    return {name: _case(open_cases[name], repeats[name]) for name in whole}, unmeasured


def _driven(session: Session, run_id: str, case_ids: Collection[str]) -> Sequence[_Ended]:
    """The candidate's stored rollouts of these must-pass repeats, in order."""
    row = RolloutRow
    asked = (DemandRow.role == Role.CANDIDATE, DemandRow.mandatory, DemandRow.case_id.in_(case_ids))
    return session.execute(
        select(DemandRow.case_id, row.drive_key, row.outcome, row.reason, row.ended_s)
        .join(RolloutRow, RolloutRow.drive_key == DemandRow.drive_key)
        .where(run_owner(run_id).owns(), *asked)
        .order_by(DemandRow.position)
    ).all()


def _conditions(session: Session, drive_keys: list[str]) -> dict[str, dict[str, ResultRow]]:
    """Results of conditions by drive_key and name; value 1 where it held."""
    found: dict[str, dict[str, ResultRow]] = defaultdict(dict)
    query = select(ResultRow).where(
        ResultRow.drive_key.in_(drive_keys), ResultRow.metric.startswith("condition:")
    )
    for row in session.scalars(query):
        found[row.drive_key][row.metric] = row
    return found


def _repeat(rollout: _Ended, conditions: Sequence[tuple[str, ResultRow]]) -> _Repeat:
    """By how it ended, then by its conditions, each with its words: broken ones before unknown."""
    if rollout.outcome in FAILING:
        return _Repeat(False, rollout.reason, rollout.ended_s)
    if rollout.outcome is Outcome.DATA_INVALID:
        return _Repeat(None, rollout.reason, None)
    for words, judged in conditions:
        if judged.valid and not judged.value:
            return _Repeat(False, f"{words}: {judged.reason}", judged.instant_s)
    for words, judged in conditions:
        if not judged.valid:
            return _Repeat(None, f"{words}: {judged.reason}", None)
    # a condition's window may end before the simulator lost sight of the car; without a condition
    # the whole window is asked for
    told = rollout.outcome is Outcome.COMPLETED or bool(conditions)
    return _Repeat(True, "", None) if told else _Repeat(None, rollout.reason, None)


def _case(spec: CaseSpec, repeats: list[_Repeat]) -> CaseVerdict:
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
