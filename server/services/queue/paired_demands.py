"""Pairs: what candidate and baseline did at one position of an owner's order, as one row."""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select
from sqlalchemy.orm import aliased

from server.db.base import Role
from server.db.queue_tables import DemandRow, DriveKeyRow, ResultRow, RolloutRow
from server.services.queue.demands import DemandOwner


class PairSide:
    """The tables of one model of a pair."""

    def __init__(self) -> None:
        self.demand = aliased(DemandRow)
        self.key = aliased(DriveKeyRow)
        self.rollout = aliased(RolloutRow)
        self.result = aliased(ResultRow)


class PairedDemands:
    """The pairs of an owner, to select from; `metric` (name, version) joins its results.

        candidate.demand ─────── position ─────── baseline.demand
            │ drive_key                               │ drive_key
            ├ candidate.key                           ├ baseline.key
            ├ candidate.rollout?                      ├ baseline.rollout?
            └ candidate.result?                       └ baseline.result?

    What is marked ? may be missing (NULL). Postgres drops an outer join on a primary key of which
    nothing is selected, and makes it an inner one where a condition asks for a value.
    """

    def __init__(self, owner: DemandOwner, metric: tuple[str, int] | None = None) -> None:
        self.candidate = PairSide()
        self.baseline = PairSide()
        self._owner = owner
        self._metric = metric

    @property
    def driven(self) -> ColumnElement[bool]:
        """The condition that both rollouts are stored."""
        candidate, baseline = self.candidate.rollout, self.baseline.rollout
        return and_(candidate.drive_key.is_not(None), baseline.drive_key.is_not(None))

    def both(self, columns: Callable[[PairSide], Iterable[Any]]) -> list[Any]:
        """The same columns of both sides, the candidate's first."""
        return [*columns(self.candidate), *columns(self.baseline)]

    def select(self, *columns: Any) -> Select[*tuple[Any, ...]]:
        """`columns` of every pair, whether it is driven or not."""
        candidate, baseline = self.candidate.demand, self.baseline.demand
        same_place = and_(
            self._owner.owns(baseline),
            baseline.position == candidate.position,
            baseline.role == Role.BASELINE,
        )
        query = select(*columns).select_from(candidate).join(baseline, same_place)
        for side in (self.candidate, self.baseline):
            digest = side.demand.drive_key
            query = query.outerjoin(side.key, side.key.digest == digest)
            query = query.outerjoin(side.rollout, side.rollout.drive_key == digest)
            if self._metric is not None:
                name, version = self._metric
                result = side.result
                of_metric = and_(result.metric == name, result.version == version)
                query = query.outerjoin(result, and_(result.drive_key == digest, of_metric))
        return query.where(self._owner.owns(candidate), candidate.role == Role.CANDIDATE)
