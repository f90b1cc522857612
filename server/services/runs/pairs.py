"""The results of a run, pair by pair: both models at one place of the order, by one metric."""

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select
from sqlalchemy.orm import Session, aliased

from server.db.bank_tables import SuiteVersionRow
from server.db.base import OwnerKind, Role
from server.db.queue_tables import DemandRow, DriveKeyRow, ResultRow, RolloutRow
from server.problems import Refused
from server.services.paging import Page, decode_cursor, encode_cursor
from server.services.runs.run_views import find_run
from suites.errors import Finding
from suites.metrics.registry import METRICS
from suites.vocabulary import FAILING, Outcome

NOTABLE_FACTOR = 2.0
NOTABLE_SHARE_OF_CAP = 0.01
"""Where both completed, a pair changed when one value is over twice the other and they differ by over 1 % of the metric's
cap: a place to look at. Smaller differences are for the gates, which weigh all pairs."""


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
"""How the candidate alone ended: completed, failed (or its policy did), out of trust, without evidence, not yet."""
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


class _Pair:
    """The joined tables of a run's pairs by one metric."""

    def __init__(self, run_id: str, metric: str, version: int, sign: int) -> None:
        self.run_id = run_id
        self.mine, self.theirs = aliased(DemandRow), aliased(DemandRow)
        self.key_mine, self.key_theirs = aliased(DriveKeyRow), aliased(DriveKeyRow)
        self.rollout_mine, self.rollout_theirs = aliased(RolloutRow), aliased(RolloutRow)
        self.result_mine, self.result_theirs = aliased(ResultRow), aliased(ResultRow)
        self.metric, self.version = metric, version
        value, against = self.result_mine.value, self.result_theirs.value
        self.delta: ColumnElement[float | None] = sign * (value - against)
        enough = func.abs(value - against) > NOTABLE_SHARE_OF_CAP * (METRICS[metric].cap or 0.0)
        larger = and_(value > NOTABLE_FACTOR * against, enough)
        smaller = and_(against > NOTABLE_FACTOR * value, enough)
        worse, better = (larger, smaller) if sign > 0 else (smaller, larger)
        mine, theirs = self.rollout_mine.outcome, self.rollout_theirs.outcome
        lost = or_(self.key_mine.failure.is_not(None), self.key_theirs.failure.is_not(None))
        self.change: ColumnElement[str] = case(
            (and_(lost, or_(mine.is_(None), theirs.is_(None))), Change.INVALID.value),
            (or_(mine.is_(None), theirs.is_(None)), Change.OPEN.value),
            (
                or_(mine == Outcome.DATA_INVALID, theirs == Outcome.DATA_INVALID),
                Change.INVALID.value,
            ),
            (and_(mine.in_(FAILING), theirs == Outcome.COMPLETED), Change.REGRESSED.value),
            (and_(mine == Outcome.COMPLETED, theirs.in_(FAILING)), Change.IMPROVED.value),
            (
                or_(mine == Outcome.LEFT_TRUST_REGION, theirs == Outcome.LEFT_TRUST_REGION),
                Change.CENSORED.value,
            ),
            (
                or_(self.result_mine.valid.is_(False), self.result_theirs.valid.is_(False)),
                Change.INVALID.value,
            ),
            (
                and_(mine == Outcome.COMPLETED, theirs == Outcome.COMPLETED, worse),
                Change.REGRESSED.value,
            ),
            (
                and_(mine == Outcome.COMPLETED, theirs == Outcome.COMPLETED, better),
                Change.IMPROVED.value,
            ),
            else_=Change.UNCHANGED.value,
        )
        self.verdict: ColumnElement[str] = case(
            (and_(mine.is_(None), self.key_mine.failure.is_not(None)), "invalid"),
            (mine.is_(None), "open"),
            (mine == Outcome.DATA_INVALID, "invalid"),
            (mine == Outcome.LEFT_TRUST_REGION, "censored"),
            (mine.in_(FAILING), "fail"),
            else_="pass",
        )

    def joined(self, *columns: Any) -> Any:
        """SELECT of `columns` over the run's pairs."""
        query = select(*columns).select_from(self.mine)
        same = and_(
            self.theirs.owner_kind == OwnerKind.RUN,
            self.theirs.owner_id == self.run_id,
            self.theirs.position == self.mine.position,
            self.theirs.role == Role.BASELINE,
        )
        query = query.join(self.theirs, same)
        sides = (
            (self.mine, self.key_mine, self.rollout_mine, self.result_mine),
            (self.theirs, self.key_theirs, self.rollout_theirs, self.result_theirs),
        )
        for demand, key, rollout, result in sides:
            query = query.join(key, key.digest == demand.drive_key)
            query = query.outerjoin(rollout, rollout.drive_key == demand.drive_key)
            of_metric = (result.metric == self.metric, result.version == self.version)
            query = query.outerjoin(result, and_(result.drive_key == demand.drive_key, *of_metric))
        return query.where(
            self.mine.owner_kind == OwnerKind.RUN,
            self.mine.owner_id == self.run_id,
            self.mine.role == Role.CANDIDATE,
        )


def _pair(session: Session, run_id: str, metric: str | None) -> _Pair:
    run = find_run(session, run_id)
    document = session.execute(
        select(SuiteVersionRow.document).where(SuiteVersionRow.digest == run.suite_digest)
    ).scalar_one()
    gates = [gate["metric"] for gate in document["suite"]["gates"]]
    name = metric or next(iter(gates), None) or next(iter(METRICS))
    if name not in METRICS:
        finding = Finding(
            "query.metric", f"no metric is named {name!r}", f"one of {', '.join(METRICS)}"
        )
        raise Refused("bad-request", "that metric doesn't exist", (finding,))
    version = document["metric_versions"].get(name, METRICS[name].version)
    return _Pair(run_id, name, version, -1 if METRICS[name].direction == "higher" else 1)


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
    """Pairs of a run by one metric (the first gate's when not named). By delta, pairs without one come last.
    Raises Refused (404, 400)."""
    pair = _pair(session, run_id, metric)
    missing = -1.0 if sort == "-delta" else 1.0
    delta = func.coalesce(pair.delta, literal(missing) * float("inf"))
    query = pair.joined(
        pair.mine,
        pair.theirs,
        pair.rollout_mine,
        pair.rollout_theirs,
        pair.result_mine,
        pair.result_theirs,
        pair.key_mine.segment_id,
        pair.delta,
        pair.change,
        pair.verdict,
        pair.key_mine.failure,
        pair.key_theirs.failure,
        delta.label("sorted"),
    )
    if verdict is not None:
        query = query.where(pair.verdict == verdict)
    if change is not None:
        query = query.where(pair.change == change.value)
    down, by_delta = sort.startswith("-"), sort.endswith("delta")
    position = pair.mine.position
    if cursor is not None:
        at, after = decode_cursor(cursor, [float, int])
        beyond = position < after if sort == "-position" else position > after
        if by_delta:
            past = delta < at if down else delta > at
            beyond = or_(past, and_(delta == at, beyond))
        query = query.where(beyond)
    if by_delta:
        query = query.order_by(delta.desc() if down else delta.asc(), position)
    else:
        query = query.order_by(position.desc() if down else position.asc())
    rows = session.execute(query.limit(limit + 1)).all()
    items = [_view(pair, row) for row in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    following = encode_cursor([float(last.sorted), last[0].position]) if last is not None else None
    return Page(items=items, next=following)


def _view(pair: _Pair, row: Any) -> PairView:
    (
        demand,
        other,
        mine,
        theirs,
        result,
        against,
        segment_id,
        delta,
        change,
        verdict,
        failure,
        failure_theirs,
        _,
    ) = row
    return PairView(
        position=demand.position,
        case_id=demand.case_id,
        route=demand.route,
        segment_id=segment_id,
        mandatory=demand.mandatory,
        metric=pair.metric,
        unit=METRICS[pair.metric].unit,
        candidate=_side(demand, mine, result, failure),
        baseline=_side(other, theirs, against, failure_theirs),
        delta=delta,
        change=change,
        verdict=verdict,
    )


def _side(
    demand: DemandRow, rollout: RolloutRow | None, result: ResultRow | None, failure: str | None
) -> Side:
    return Side(
        drive_key=demand.drive_key,
        outcome=rollout.outcome
        if rollout is not None
        else (Outcome.INFRA_FAILED if failure is not None else None),
        reason=rollout.reason if rollout is not None else (failure or ""),
        ended_s=rollout.ended_s if rollout is not None else None,
        value=result.value if result is not None else None,
        low=result.low if result is not None else None,
        high=result.high if result is not None else None,
    )


def count_changes(session: Session, run_id: str) -> dict[Change, int]:
    """How many pairs of a run regressed, improved, ...: every word is there, 0 among them. Raises Refused (404)."""
    pair = _pair(session, run_id, None)
    counted = pair.joined(pair.change.label("change"), func.count()).group_by("change")
    found = {Change(change): count for change, count in session.execute(counted)}
    return {change: found.get(change, 0) for change in Change}


def worst_pairs(session: Session, run_id: str, count: int) -> list[PairView]:
    """The pairs to look at first: those that regressed, then the largest losses by the first gate's metric."""
    regressed = list_results(
        session, run_id, change=Change.REGRESSED, sort="-delta", limit=count
    ).items
    seen = {pair.position for pair in regressed}
    losses = list_results(session, run_id, sort="-delta", limit=count).items
    return [
        *regressed,
        *(p for p in losses if p.position not in seen and p.delta is not None and p.delta > 0),
    ][:count]
