"""The paired table is cut, joined and mirrored without a change of its numbers."""

from dataclasses import replace

import numpy as np
import pytest

from suites.pair_table import BASELINE, CANDIDATE, HIGH, VALUE, PairTable, concat
from suites.vocabulary import Outcome


@pytest.fixture
def table() -> PairTable:
    """Three pairs of two metrics; the candidate failed on the second."""
    values = np.random.default_rng(0).random((2, 3, 2))
    made = PairTable.completed(*values, routes=["r0", "r1", "r0"], metrics=["a", "b"])
    made.results[HIGH] += 1.0
    done = Outcome.COMPLETED
    return replace(made, outcomes=((done, done), (Outcome.FAILED, done), (done, done)))


def same(one: PairTable, other: PairTable) -> bool:
    return replace(one, results=None) == replace(other, results=None) and np.array_equal(  # type: ignore[arg-type]
        one.results, other.results
    )


def test_cutting_and_joining_are_inverse(table: PairTable) -> None:
    assert same(concat([table.rows(slice(1)), table.rows(slice(1, 9))]), table)
    assert len(table.rows(slice(0))) == 0


def test_rows_come_in_the_order_asked_for(table: PairTable) -> None:
    turned = table.rows(np.array([2, 1]))
    assert turned.case_ids == ("s2", "s1")
    assert turned.outcomes == (table.outcomes[2], table.outcomes[1])
    np.testing.assert_array_equal(turned.results, table.results[:, :, [2, 1]])


def test_swap_exchanges_candidate_and_baseline(table: PairTable) -> None:
    swapped = table.swap()
    np.testing.assert_array_equal(swapped.results[HIGH, CANDIDATE], table.results[HIGH, BASELINE])
    assert swapped.outcomes[1] == (Outcome.COMPLETED, Outcome.FAILED)
    assert same(swapped.swap(), table)


def test_swap_of_marked_pairs_leaves_the_others(table: PairTable) -> None:
    swapped = table.swap(np.array([True, False, False]))
    assert same(swapped.rows(slice(1, 3)), table.rows(slice(1, 3)))
    candidate, baseline = table.results[VALUE, :, 0]
    np.testing.assert_array_equal(swapped.results[VALUE, :, 0], [baseline, candidate])
