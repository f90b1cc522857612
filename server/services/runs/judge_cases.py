"""Must-pass cases: each by its own rule over the candidate's repeats."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.db.base import OwnerKind, Role
from server.db.queue_tables import DemandRow, ResultRow, RolloutRow
from suites.conditions import load_condition, result_name
from suites.definition.suite_schema import CaseSpec, SuiteVersion
from suites.judgement import CaseVerdict
from suites.vocabulary import FAILING, Outcome


class _Repeat(NamedTuple):
    passed: bool | None
    """None: it can't be told."""
    reason: str
    instant_s: float | None


Unmeasured = dict[str, set[str]]
"""Metric or condition (`condition:<digest>`) to drive_keys of stored rollouts that lack its result."""


def judge_cases(
    session: Session, run_id: str, version: SuiteVersion, judged: Collection[str]
) -> tuple[dict[str, CaseVerdict], Unmeasured]:
    """Verdicts, by name, of the cases that are not `judged` yet and whose repeats are all driven and measured; and what
    remains to be measured."""
    open_cases = {spec.name: spec for spec in version.suite.cases if spec.name not in judged}
    if not open_cases:
        return {}, {}
    case_at = {
        position: planned.case
        for position, planned in enumerate(version.planned)
        if planned.case in open_cases
    }
    rows = session.execute(
        select(
            DemandRow.position,
            RolloutRow.drive_key,
            RolloutRow.outcome,
            RolloutRow.reason,
            RolloutRow.ended_s,
        )
        .join(RolloutRow, RolloutRow.drive_key == DemandRow.drive_key)
        .where(
            DemandRow.owner_kind == OwnerKind.RUN,
            DemandRow.owner_id == run_id,
            DemandRow.role == Role.CANDIDATE,
            DemandRow.position.in_(case_at),
        )
        .order_by(DemandRow.position)
    ).all()
    results = _conditions(session, [row.drive_key for row in rows])
    unmeasured: Unmeasured = defaultdict(set)
    repeats: dict[str, list[_Repeat]] = defaultdict(list)
    for row in rows:
        spec = open_cases[str(case_at[row.position])]
        names = [result_name(condition) for condition in spec.conditions]
        found = results[row.drive_key]
        for name in names:
            if name not in found:
                unmeasured[name].add(row.drive_key)
        if all(name in found for name in names):
            ended = (row.outcome, row.reason, row.ended_s)
            words = [str(load_condition(condition)) for condition in spec.conditions]
            repeats[spec.name].append(
                _repeat(*ended, list(zip(words, (found[name] for name in names), strict=True)))
            )
    whole = {name for name, ended in repeats.items() if len(ended) == open_cases[name].repeats}
    return {name: _case(open_cases[name], repeats[name]) for name in whole}, unmeasured


def _conditions(session: Session, drive_keys: list[str]) -> dict[str, dict[str, ResultRow]]:
    """Results of conditions by drive_key and name; value 1 where it held."""
    found: dict[str, dict[str, ResultRow]] = defaultdict(dict)
    query = select(ResultRow).where(
        ResultRow.drive_key.in_(drive_keys), ResultRow.metric.startswith("condition:")
    )
    for row in session.scalars(query):
        found[row.drive_key][row.metric] = row
    return found


def _repeat(
    outcome: Outcome, reason: str, ended_s: float, conditions: Sequence[tuple[str, ResultRow]]
) -> _Repeat:
    if outcome in FAILING:
        return _Repeat(False, reason, ended_s)
    if outcome is Outcome.DATA_INVALID:
        return _Repeat(None, reason, None)
    for words, judged in conditions:
        if judged.valid and not judged.value:
            return _Repeat(False, f"{words}: {judged.reason}", judged.instant_s)
    for words, judged in conditions:
        if not judged.valid:
            return _Repeat(None, f"{words}: {judged.reason}", None)
    # a condition's window may end before the simulator lost sight of the car; without one, the whole window is asked for
    told = outcome is Outcome.COMPLETED or bool(conditions)
    return _Repeat(True, "", None) if told else _Repeat(None, reason, None)


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
