"""Live evidence: fair under the null whenever it is read, moved by a change and by routes."""

from dataclasses import replace

import numpy as np

from suites.definition.suite_schema import Gate
from suites.pair_table import PairTable
from suites.statistics.live_evidence import PILOT, LiveEvidence
from suites.vocabulary import Outcome

GATES = [Gate(metric="m0"), Gate(metric="m1")]


def table(change: np.ndarray, routes: int) -> PairTable:
    """Pairs [n, 2]: the baseline costs 1, the candidate exp(change)."""
    names = [f"r{i % routes}" for i in range(len(change))]
    baseline = np.ones(change.shape)
    return PairTable.completed(np.exp(change), baseline, routes=names, metrics=("m0", "m1"))


def shown(rows: PairTable) -> list[float]:
    live = LiveEvidence(GATES)
    live.consume(rows)
    return live.e_values()


def test_a_change_moves_its_own_gate_only() -> None:
    change = np.random.default_rng(0).normal(0, 0.1, (60, 2))
    change[:, 0] += 0.15
    worse, same = shown(table(change, 60))
    assert worse > 1e4
    assert same < 20
    assert shown(table(-change, 60))[0] > 1e4, "in either direction"


def test_read_after_every_route_it_is_fair_under_the_null() -> None:
    rng, crossed, last = np.random.default_rng(1), 0, []
    for _ in range(150):
        rows, live, highest = table(rng.standard_t(4, (60, 2)) * 0.1, 60), LiveEvidence(GATES), 0.0
        for start in range(0, 60, 3):
            live.consume(rows.rows(slice(start, start + 3)))
            highest = max(highest, *live.e_values())
        crossed += highest >= 2 * 20
        last.append(live.e_values()[0])
    assert crossed <= 0.05 * 150
    assert 0.3 < np.mean(last) < 1.7, "its mean is one"


def test_later_pairs_of_the_same_routes_and_the_pilot_are_no_bets() -> None:
    change = np.full((60, 2), 0.2)
    assert shown(table(change, 20)) == shown(table(change, 20).rows(slice(20)))
    assert shown(table(change, PILOT)) == [1.0, 1.0]
    assert shown(table(change, 10**6))[0] < np.inf
    assert shown(table(np.zeros((60, 2)), 60)) == [1.0, 1.0], "equal models"
    assert shown(table(np.full((3000, 2), 0.2), 3000))[0] < np.inf, "and no number that JSON lacks"


def test_a_pair_that_does_not_count_gives_way_to_the_next_of_its_route() -> None:
    change = np.random.default_rng(2).normal(0.1, 0.1, (40, 2))
    rows = table(change, 20)
    done, unreadable = Outcome.COMPLETED, Outcome.DATA_INVALID
    invalid = replace(rows, outcomes=((unreadable, done),) * 20 + ((done, done),) * 20)
    assert shown(invalid) == shown(rows.rows(slice(20, 40)))
