"""Must-pass cases: each by its own rule over the candidate's repeats."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.db.models import Demand, OwnerKind, ResultRow, Role, RolloutRow
from suites.identity import digest
from suites.judgement import CaseVerdict
from suites.schema import CaseSpec, SuiteVersion
from suites.words import Outcome


class _Repeat(NamedTuple):
    passed: bool | None
    """None: it can't be told."""
    reason: str
    ended_s: float


def judge_cases(session: Session, run_id: str, version: SuiteVersion, judged: Collection[str]) -> dict[str, CaseVerdict]:
    """Verdicts of the cases that are not `judged` yet and whose repeats are all driven, by name."""
    open_cases = {spec.name: spec for spec in version.suite.cases if spec.name not in judged}
    if not open_cases:
        return {}
    case_at = {position: planned.case for position, planned in enumerate(version.planned) if planned.case in open_cases}
    rows = session.execute(
        select(Demand.position, RolloutRow.drive_key, RolloutRow.outcome, RolloutRow.reason, RolloutRow.ended_s)
        .join(RolloutRow, RolloutRow.drive_key == Demand.drive_key)
        .where(
            Demand.owner_kind == OwnerKind.RUN, Demand.owner_id == run_id, Demand.role == Role.CANDIDATE,
            Demand.position.in_(case_at),
        )
        .order_by(Demand.position)
    ).all()  # fmt: skip
    conditions = _conditions(session, [row.drive_key for row in rows])
    repeats: dict[str, list[_Repeat]] = defaultdict(list)
    for row in rows:
        spec = open_cases[str(case_at[row.position])]
        passed, reason = _repeat(spec, row.outcome, row.reason, conditions[row.drive_key])
        repeats[spec.name].append(_Repeat(passed, reason, row.ended_s))
    return {name: _case(open_cases[name], ended) for name, ended in repeats.items() if len(ended) == open_cases[name].repeats}


def _conditions(session: Session, drive_keys: list[str]) -> dict[str, dict[str, ResultRow]]:
    """Results of conditions by drive_key and name: `condition:<digest>`, value 1 where it was met."""
    found: dict[str, dict[str, ResultRow]] = defaultdict(dict)
    query = select(ResultRow).where(ResultRow.drive_key.in_(drive_keys), ResultRow.metric.startswith("condition:"))
    for row in session.scalars(query):
        found[row.drive_key][row.metric] = row
    return found


def _repeat(spec: CaseSpec, outcome: Outcome, reason: str, results: Mapping[str, ResultRow]) -> tuple[bool | None, str]:
    if outcome in (Outcome.FAILED, Outcome.POLICY_FAILED):
        return False, reason
    if outcome is not Outcome.COMPLETED:
        return None, reason
    told = [results.get(f"condition:{digest(condition)}") for condition in spec.conditions]
    for result in told:
        if result is not None and result.valid and not result.value:
            return False, result.reason
    for result in told:
        if result is None or not result.valid:
            return None, "a condition was not measured" if result is None else result.reason
    return True, ""


def _case(spec: CaseSpec, repeats: list[_Repeat]) -> CaseVerdict:
    needed = spec.must_pass_repeats or spec.repeats
    passed = sum(repeat.passed is True for repeat in repeats)
    unknown = [repeat for repeat in repeats if repeat.passed is None]
    if passed >= needed:
        return CaseVerdict(case=spec.name, passed=True)
    if passed + len(unknown) >= needed:
        return CaseVerdict(case=spec.name, passed=None, reason=unknown[0].reason)
    failed = next(repeat for repeat in repeats if repeat.passed is False)
    return CaseVerdict(case=spec.name, passed=False, reason=failed.reason, instant_s=failed.ended_s)
