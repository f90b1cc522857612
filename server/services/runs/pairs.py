"""The results of a run, pair by pair: both models at one place of the order, by one metric."""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select
from sqlalchemy.orm import Session

from server.db.bank_tables import SuiteVersionRow
from server.db.queue_tables import DemandRow, ResultRow, RolloutRow
from server.problems import Refused
from server.services.paging import Page, decode_cursor, encode_cursor
from server.services.queue.demands import run_owner
from server.services.queue.paired_demands import PairedDemands
from server.services.runs.run_views import find_run
from suites.errors import Finding
from suites.metrics.registry import METRICS
from suites.statistics.contrasts import sign_of
from suites.vocabulary import FAILING, Outcome

NOTABLE_FACTOR = 2.0
NOTABLE_SHARE_OF_CAP = 0.01
"""Where both completed, a pair changed when one value is over twice the other and they differ by
over 1 % of the metric's cap. Smaller differences are for the gates, which weigh all pairs."""


class Change(StrEnum):
    """What became of one pair, which is no verdict."""

    REGRESSED = "regressed"
    """The candidate failed where the baseline completed, or its value is notably worse."""
    IMPROVED = "improved"
    """The reverse."""
    UNCHANGED = "unchanged"
    CENSORED = "censored"
    """A rollout left the trust region: the simulator can't tell what came after."""
    INVALID = "invalid"
    """A rollout has no valid data or could not be driven, or the metric is not valid for it."""
    OPEN = "open"
    """Not both driven yet."""


PairVerdict = Literal["pass", "fail", "censored", "invalid", "open"]
"""How the candidate alone ended: completed, failed, out of trust, without evidence, not yet."""
Sort = Literal["position", "-position", "delta", "-delta"]


class Side(BaseModel):
    """One model's rollout of a pair."""

    drive_key: str
    outcome: Outcome | None
    """Null while not driven."""
    reason: str
    ended_s: float | None
    value: float | None
    """Null where the metric is not valid, or not there yet."""
    low: float | None
    high: float | None


class PairView(BaseModel):
    """One place of the run's order."""

    position: int
    case_id: str
    route: str
    segment_id: str
    mandatory: bool
    """Of a must-pass case."""
    metric: str
    unit: str
    candidate: Side
    baseline: Side
    delta: float | None
    """Candidate minus baseline in the metric's unit, signed so that positive is worse."""
    change: Change
    verdict: PairVerdict


class _MetricPairs(PairedDemands):
    """The pairs of a run by one metric, and what is said of each."""

    def __init__(self, run_id: str, metric: str, version: int) -> None:
        super().__init__(run_owner(run_id), (metric, version))
        self.metric = metric
        self.delta: ColumnElement[float | None] = sign_of(metric) * (
            self.candidate.result.value - self.baseline.result.value
        )

    @property
    def change(self) -> ColumnElement[str]:
        """The word of the first rule that holds."""
        candidate = self.candidate.rollout.outcome
        baseline = self.baseline.rollout.outcome
        missing = or_(candidate.is_(None), baseline.is_(None))
        lost = or_(self.candidate.key.failure.is_not(None), self.baseline.key.failure.is_not(None))
        invalid = or_(candidate == Outcome.DATA_INVALID, baseline == Outcome.DATA_INVALID)
        left = or_(candidate == Outcome.LEFT_TRUST_REGION, baseline == Outcome.LEFT_TRUST_REGION)
        unmeasured = or_(
            self.candidate.result.valid.is_(False), self.baseline.result.valid.is_(False)
        )
        candidate_completed = candidate == Outcome.COMPLETED
        baseline_completed = baseline == Outcome.COMPLETED
        completed = and_(candidate_completed, baseline_completed)
        worse, better = self._notable()
        rules = (
            (and_(lost, missing), Change.INVALID),
            (missing, Change.OPEN),
            (invalid, Change.INVALID),
            (and_(candidate.in_(FAILING), baseline_completed), Change.REGRESSED),
            (and_(candidate_completed, baseline.in_(FAILING)), Change.IMPROVED),
            (left, Change.CENSORED),
            (unmeasured, Change.INVALID),
            (and_(completed, worse), Change.REGRESSED),
            (and_(completed, better), Change.IMPROVED),
        )
        words = ((rule, change.value) for rule, change in rules)
        return case(*words, else_=Change.UNCHANGED.value)

    def _notable(self) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        """The conditions that the candidate's value is notably worse, and notably better."""
        candidate = self.candidate.result.value
        baseline = self.baseline.result.value
        least = NOTABLE_SHARE_OF_CAP * (METRICS[self.metric].cap or 0.0)
        differ = func.abs(candidate - baseline) > least
        larger = and_(candidate > NOTABLE_FACTOR * baseline, differ)
        smaller = and_(baseline > NOTABLE_FACTOR * candidate, differ)
        return (larger, smaller) if sign_of(self.metric) > 0 else (smaller, larger)

    @property
    def verdict(self) -> ColumnElement[str]:
        """A PairVerdict."""
        outcome = self.candidate.rollout.outcome
        return case(
            (and_(outcome.is_(None), self.candidate.key.failure.is_not(None)), "invalid"),
            (outcome.is_(None), "open"),
            (outcome == Outcome.DATA_INVALID, "invalid"),
            (outcome == Outcome.LEFT_TRUST_REGION, "censored"),
            (outcome.in_(FAILING), "fail"),
            else_="pass",
        )


def _by_metric(session: Session, run_id: str, metric: str | None) -> _MetricPairs:
    run = find_run(session, run_id)
    document = session.execute(
        select(SuiteVersionRow.document).where(SuiteVersionRow.digest == run.suite_digest)
    ).scalar_one()
    gates = [gate["metric"] for gate in document["suite"]["gates"]]
    name = metric or next(iter(gates), None) or next(iter(METRICS))
    if name not in METRICS:
        problem = f"no metric is named {name!r}"
        finding = Finding("query.metric", problem, f"one of {', '.join(METRICS)}")
        raise Refused("bad-request", "that metric doesn't exist", finding)
    return _MetricPairs(run_id, name, document["metric_versions"].get(name, METRICS[name].version))


def list_results(
    session: Session,
    run_id: str,
    *,
    metric: str | None = None,
    verdict: PairVerdict | None = None,
    change: Change | None = None,
    sort: Sort = "position",
    cursor: str | None = None,
    limit: int = 100,
) -> Page[PairView]:
    """Pairs of a run by one metric, the first gate's when not named. By delta, pairs without one
    come last. Raises Refused (404, 400)."""
    pairs = _by_metric(session, run_id, metric)
    backwards = sort.startswith("-")
    by_delta = sort.endswith("delta")
    delta = func.coalesce(pairs.delta, literal(-math.inf if backwards else math.inf))
    position = pairs.candidate.demand.position
    sides = pairs.both(lambda s: (s.demand, s.rollout, s.result, s.key.failure))
    segment_id = pairs.candidate.key.segment_id
    query = pairs.select(*sides, segment_id, pairs.delta, pairs.change, pairs.verdict, delta)
    if verdict is not None:
        query = query.where(pairs.verdict == verdict)
    if change is not None:
        query = query.where(pairs.change == change.value)
    if cursor is not None:
        at, after = decode_cursor(cursor, [float, int])
        beyond = position < after if sort == "-position" else position > after
        if by_delta:
            beyond = or_(delta < at if backwards else delta > at, and_(delta == at, beyond))
        query = query.where(beyond)
    if by_delta:
        query = query.order_by(delta.desc() if backwards else delta.asc(), position)
    else:
        query = query.order_by(position.desc() if backwards else position.asc())
    rows = session.execute(query.limit(limit + 1)).all()
    items = [_view(pairs.metric, row) for row in rows[:limit]]
    following = None
    if len(rows) > limit:
        *_, sorted_by = rows[limit - 1]
        following = encode_cursor([float(sorted_by), items[-1].position])
    return Page(items=items, next=following)


def _view(metric: str, row: Sequence[Any]) -> PairView:
    candidate = row[:4]
    baseline = row[4:8]
    segment_id, delta, change, verdict, _ = row[8:]
    demand: DemandRow = candidate[0]
    return PairView(
        position=demand.position,
        case_id=demand.case_id,
        route=demand.route,
        segment_id=segment_id,
        mandatory=demand.mandatory,
        metric=metric,
        unit=METRICS[metric].unit,
        candidate=_side(*candidate),
        baseline=_side(*baseline),
        delta=delta,
        change=change,
        verdict=verdict,
    )


def _side(
    demand: DemandRow, rollout: RolloutRow | None, result: ResultRow | None, failure: str | None
) -> Side:
    lost = Outcome.INFRA_FAILED if failure is not None else None
    return Side(
        drive_key=demand.drive_key,
        outcome=lost if rollout is None else rollout.outcome,
        reason=(failure or "") if rollout is None else rollout.reason,
        ended_s=None if rollout is None else rollout.ended_s,
        value=None if result is None else result.value,
        low=None if result is None else result.low,
        high=None if result is None else result.high,
    )


def count_changes(session: Session, run_id: str) -> dict[Change, int]:
    """How many pairs of a run regressed, improved and so on, zeros too. Raises Refused (404)."""
    pairs = _by_metric(session, run_id, None)
    counted = pairs.select(pairs.change.label("change"), func.count()).group_by("change")
    found = {Change(change): count for change, count in session.execute(counted)}
    return {change: found.get(change, 0) for change in Change}


def worst_pairs(session: Session, run_id: str, count: int) -> list[PairView]:
    """The pairs to look at first: those that regressed, then the largest losses."""
    regressed = list_results(session, run_id, change=Change.REGRESSED, sort="-delta", limit=count)
    losses = list_results(session, run_id, sort="-delta", limit=count)
    seen = {pair.position for pair in regressed.items}
    others = [p for p in losses.items if p.position not in seen and (p.delta or 0.0) > 0]
    return [*regressed.items, *others][:count]
