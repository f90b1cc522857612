"""Pairs as rows: candidate with baseline, of one owner, whether driven and measured or not."""

from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from server.db.base import Role
from server.services.queue.demands import run_owner
from server.services.queue.paired_demands import PairedDemands
from server.tests.stage import METRIC, Stage, Submit
from suites.vocabulary import Outcome

pytestmark = pytest.mark.services


@pytest.fixture
def pairs(overall: Stage) -> PairedDemands:
    """Position 0: both driven; 1: only the candidate; 2: the candidate was not measured."""
    overall.pair(0, Outcome.FAILED, value=0.25)
    overall.end(Role.CANDIDATE, 1)
    overall.end(Role.CANDIDATE, 2, value=None)
    overall.end(Role.BASELINE, 2, value=0.5)
    return PairedDemands(run_owner(overall.run_id), (METRIC, 1))


def rows(session: Session, pairs: PairedDemands, *rules: Any) -> list[tuple[Any, ...]]:
    position = pairs.candidate.demand.position
    ends = pairs.both(lambda side: (side.rollout.outcome, side.result.value))
    query = pairs.select(position, *ends).where(*rules).order_by(position).limit(4)
    return [tuple(row) for row in session.execute(query)]


def test_what_is_missing_is_null(pairs: PairedDemands, sessions: sessionmaker[Session]) -> None:
    completed = Outcome.COMPLETED
    with sessions() as session:
        assert rows(session, pairs) == [
            (0, Outcome.FAILED, 0.25, completed, 0.25),
            (1, completed, 0.1, None, None),
            (2, completed, None, completed, 0.5),
            (3, None, None, None, None),
        ]
        assert [row[0] for row in rows(session, pairs, pairs.driven)] == [0, 2]


def test_results_of_another_version_are_missing(
    pairs: PairedDemands, overall: Stage, sessions: sessionmaker[Session]
) -> None:
    with sessions() as session:
        found = rows(session, PairedDemands(run_owner(overall.run_id), (METRIC, 2)))
    assert {row[2] for row in found} == {row[4] for row in found} == {None}


def test_pairs_of_another_owner_are_left_out(
    pairs: PairedDemands, submit: Submit, overall: Stage, sessions: sessionmaker[Session]
) -> None:
    other = submit(candidate="baseline").json()["id"]
    assert other != overall.run_id
    with sessions() as session:
        for owner in (overall.run_id, other):
            found = PairedDemands(run_owner(owner))
            ids = session.execute(
                found.select(*found.both(lambda side: (side.demand.owner_id, side.demand.role)))
            ).all()
            both = (owner, Role.CANDIDATE, owner, Role.BASELINE)
            assert [tuple(row) for row in ids] == [both] * 12
