"""The bets against numbers worked out by hand, and against orders drawn again and again."""

from typing import Any

import numpy as np
import pytest

from suites.statistics.bank_bets import ABOVE, BELOW, BankBets, KnownBank

B = np.array([[10.0], [20.0], [30.0], [40.0]])
C = np.array([[12.0], [20.0], [33.0], [100.0]])
WEIGHTS = (0.8 * B / B.mean() + 0.2)[:, 0]
CAPS = 5 * 25 * WEIGHTS[:, None]
VALID = np.ones((4, 1), dtype=bool)


def _bets(thetas: list[float]) -> BankBets:
    high = CAPS - np.minimum(B, CAPS)
    return BankBets(KnownBank(weights=WEIGHTS, q=B, low=-B, high=high), np.array([thetas]))


def _consume(bets: BankBets, rows: slice, valid: Any = VALID) -> None:
    cut = np.minimum(C, CAPS) - np.minimum(B, CAPS)
    bets.consume(cut[rows], (C - B)[rows], valid[rows])


def test_reference_values() -> None:
    assert pytest.approx([0.52, 0.84, 1.16, 1.48]) == WEIGHTS
    bets = _bets([0.05])
    below, above = [], []
    for pair in range(3):
        _consume(bets, slice(pair, pair + 1))
        wealth = bets.wealth()
        below.append(wealth[BELOW, 0, 0])
        above.append(wealth[ABOVE, 0, 0])
    assert below == pytest.approx([-0.013923, -0.009400, -0.017096], abs=1e-6)
    assert above == pytest.approx([0.049842, 0.031935, 0.060751], abs=1e-6)


def test_the_end_of_the_bank_is_certain_and_an_exact_tie_shows_nothing() -> None:
    change = float((C - B).sum() / B.sum())
    bets = _bets([change - 1e-3, change, change + 1e-3])
    _consume(bets, slice(0, 4))
    assert np.isinf(bets.wealth()[ABOVE, 0]).tolist() == [True, False, False]
    cut = float((np.minimum(C, CAPS) - np.minimum(B, CAPS)).sum() / B.sum())
    bets = _bets([cut, cut + 1e-3])
    _consume(bets, slice(0, 4))
    assert np.isinf(bets.wealth()[BELOW, 0]).tolist() == [False, True]


def test_certainty_comes_before_the_end_where_the_rest_cannot_turn_it() -> None:
    bets = _bets([0.05])
    spike = C.copy()
    spike[0] = 200.0  # +190 of a bank of 100: the rest can fall by 90 at most
    bets.consume(spike[:1] - B[:1], spike[:1] - B[:1], VALID[:1])
    assert np.isinf(bets.wealth()[ABOVE, 0, 0])


def test_a_pair_that_does_not_count_leaves_the_bank() -> None:
    """All others are +10 %, whatever share of the costs the dropped one has."""
    bets = BankBets(
        KnownBank(weights=WEIGHTS, q=B, low=-B, high=CAPS - B), np.array([[0.05, 0.1 + 1e-9, 0.15]])
    )
    valid = np.array([[True], [True], [True], [False]])
    bets.consume(0.1 * B, 0.1 * B, valid)
    above, below = (np.isinf(bets.wealth()[side, 0]).tolist() for side in (ABOVE, BELOW))
    assert above == [True, False, False]
    assert below == [False, True, True]


def test_wrong_claims_are_rare_whatever_order_is_drawn() -> None:
    """A bank whose change is exactly theta, made of spikes on 4 % of the pairs."""
    rng = np.random.default_rng(5)
    n, runs = 150, 400
    b = rng.lognormal(0, 1.5, n)
    c = np.where(rng.random(n) < 0.04, 9 * b, 0.95 * b)
    theta = float(c.sum() / b.sum() - 1)
    weights = 0.3 * b / b.mean() + 0.7
    cap = np.full(n, 10 * float(c.max()))
    wrong = np.zeros(2)
    for _ in range(runs):
        at = np.argsort(rng.exponential(size=n) / weights)
        y = (c - b)[at, None]
        bank = KnownBank(weights[at], b[at, None], -b[at, None], (cap - b)[at, None])
        bets = BankBets(bank, np.array([[theta]]))
        crossed = np.zeros(2, dtype=bool)
        for start in range(0, n - 10, 10):
            rows = slice(start, start + 10)
            bets.consume(y[rows], y[rows], np.ones((10, 1), dtype=bool))
            crossed |= bets.wealth()[:, 0, 0] >= np.log(20)
        wrong += crossed
    assert (wrong / runs < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)).all()
