"""The pairs of a run as its judge reads them: in the registered order, with results, as a table."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import Row, select, tuple_
from sqlalchemy.orm import Session

from server.db.queue_tables import ResultRow
from server.services.queue.demands import run_owner
from server.services.queue.paired_demands import PairedDemands
from suites.pair_table import PairTable
from suites.vocabulary import Outcome


class JudgedRollout(NamedTuple):
    """How a demanded rollout ended."""

    drive_key: str
    outcome: Outcome
    reason: str


class JudgedPair(NamedTuple):
    """Both rollouts at one position."""

    case_id: str
    route: str
    candidate: JudgedRollout
    baseline: JudgedRollout


Results = dict[tuple[str, str], Row[str, str, float | None, float | None, float | None]]
"""(drive_key, metric) to its result: those two, value, low, high."""


def read_pairs(session: Session, run_id: str, start: int, stop: int) -> list[JudgedPair]:
    """Consecutive pairs from position `start` on that both models have driven."""
    pairs = PairedDemands(run_owner(run_id))
    demand = pairs.candidate.demand
    ends = pairs.both(lambda side: [getattr(side.rollout, name) for name in JudgedRollout._fields])
    rows = session.execute(
        pairs.select(demand.position, demand.case_id, demand.route, *ends)
        .where(pairs.driven, demand.position >= start, demand.position < stop)
        .order_by(demand.position)
    )
    found: list[JudgedPair] = []
    for position, case_id, route, *ended in rows:
        if position != start + len(found):
            break
        candidate = JudgedRollout(*ended[:3])
        baseline = JudgedRollout(*ended[3:])
        found.append(JudgedPair(case_id, route, candidate, baseline))
    return found


def keys_of(pairs: Sequence[JudgedPair]) -> set[str]:
    """The drive_keys of both models."""
    return {side.drive_key for pair in pairs for side in (pair.candidate, pair.baseline)}


def read_results(session: Session, keys: Collection[str], versions: Mapping[str, int]) -> Results:
    """What is stored of these drive_keys, by metrics in the versions named."""
    row = ResultRow
    query = select(row.drive_key, row.metric, row.value, row.low, row.high).where(
        row.drive_key.in_(keys), tuple_(row.metric, row.version).in_(list(versions.items()))
    )
    return {(found.drive_key, found.metric): found for found in session.execute(query)}


def pair_table(
    pairs: Sequence[JudgedPair], results: Results, metrics: tuple[str, ...]
) -> PairTable:
    """The table that judging reads: NaN is missing or invalid."""
    numbers = np.full((3, 2, len(pairs), len(metrics)), np.nan)
    for i, pair in enumerate(pairs):
        for model, side in enumerate((pair.candidate, pair.baseline)):
            if side.outcome is Outcome.DATA_INVALID:
                continue
            for m, metric in enumerate(metrics):
                _, _, *found = results[side.drive_key, metric]
                numbers[:, model, i, m] = [math.nan if n is None else n for n in found]
    return PairTable(
        case_ids=tuple(pair.case_id for pair in pairs),
        routes=tuple(pair.route for pair in pairs),
        metrics=metrics,
        results=numbers,
        outcomes=tuple((pair.candidate.outcome, pair.baseline.outcome) for pair in pairs),
        reasons=tuple(pair.candidate.reason for pair in pairs),
    )
