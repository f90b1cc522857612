"""Must-pass cases of a run: which repeats are driven and measured, and what they say."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from server.db.base import Role
from server.db.queue_tables import DemandRow, ResultRow, RolloutRow
from server.services.queue.demands import run_owner
from suites.conditions import Judgement, load_condition, result_name
from suites.definition.suite_schema import CaseSpec, SuiteVersion
from suites.judgement import CaseVerdict
from suites.verdict.case_rule import Repeat, judge_case, judge_repeat
from suites.vocabulary import Outcome

_Ended = Row[str, str, Outcome, str, float]
"""A stored rollout: case_id, drive_key, outcome, reason, ended_s."""

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
    found, unmeasured = read_repeats(session, run_id, spec_of)
    repeats: dict[str, list[Repeat]] = defaultdict(list)
    for case_id, repeat in found.items():
        repeats[spec_of[case_id].name].append(repeat)
    whole = {name for name, ended in repeats.items() if len(ended) == open_cases[name].repeats}
    return {name: judge_case(open_cases[name], repeats[name]) for name in whole}, unmeasured


def read_repeats(
    session: Session, run_id: str, spec_of: Mapping[str, CaseSpec]
) -> tuple[dict[str, Repeat], Unmeasured]:
    """What these repeats (by case_id) say, in order, where they are driven and measured; and what
    remains to be measured."""
    rollouts = _driven(session, run_id, spec_of)
    results = _conditions(session, [rollout.drive_key for rollout in rollouts])
    unmeasured: Unmeasured = defaultdict(set)
    repeats: dict[str, Repeat] = {}
    for rollout in rollouts:
        conditions = spec_of[rollout.case_id].conditions
        names = [result_name(condition) for condition in conditions]
        found = results[rollout.drive_key]
        missing = [name for name in names if name not in found]
        for name in missing:
            unmeasured[name].add(rollout.drive_key)
        if not missing:
            judged = [
                _judgement(condition, found[name])
                for condition, name in zip(conditions, names, strict=True)
            ]
            ended = rollout.outcome, rollout.reason, rollout.ended_s
            repeats[rollout.case_id] = judge_repeat(*ended, judged)
    return repeats, unmeasured


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


def _judgement(condition: dict[str, object], row: ResultRow) -> Judgement:
    return Judgement(
        condition=str(load_condition(condition)),
        held=bool(row.value) if row.valid else None,
        reason=row.reason,
        instant_s=row.instant_s,
    )
