import warnings

import numpy as np
import pytest

from suites.statistics.betting import Betting
from suites.statistics.spikes import PairBetting, RouteBetting


def below(r: np.ndarray, thetas: list[float], every: int = 20) -> list[bool]:
    test = PairBetting(np.array([thetas]), alpha=0.05)
    for start in range(0, len(r), every):
        part = r[start : start + every, None]
        test.consume(part, np.ones(part.shape, dtype=np.bool_))
        test.look()
    return [bool(b) for b in test.below[0]]


def routes(n: int) -> list[str]:
    return [f"r{i}" for i in range(n)]


def test_a_quiet_bank_is_bounded_by_what_it_could_not_have_met() -> None:
    assert below(np.zeros(400), [0.017, 0.018]) == [False, True]
    # Twenty pairs never exclude a change by 30 %.
    assert below(np.zeros(20), [0.3, 0.35]) == [False, True]


def test_invalid_pairs_bet_nothing() -> None:
    test = PairBetting(np.array([[0.1]]), alpha=0.05)
    test.consume(np.zeros((500, 1)), np.zeros((500, 1), dtype=np.bool_))
    test.look()
    assert not test.below[0, 0]


@pytest.mark.parametrize("factor", [2.5, 8.0])
def test_margin_made_of_rare_spikes_is_not_asserted(factor: float) -> None:
    rng, n, margin = np.random.default_rng(2), 300, 0.1
    spike = 2 * (factor - 1) / (factor + 1)
    r = np.where(rng.random((200, n)) < margin / spike, spike, 0.0) + rng.normal(0, 0.02, (200, n))
    wrong = sum(below(row, [margin])[0] for row in r)
    assert wrong <= 0.05 * 200 + 4
    quiet = rng.normal(0, 0.02, (20, n))
    assert all(below(row, [margin])[0] for row in quiet)


def on_routes(r: np.ndarray, count: int, theta: float, complete: bool = True) -> bool:
    test = RouteBetting(np.array([[theta]]), alpha=0.05)
    for start in range(0, len(r), 20):
        part = r[start : start + 20, None]
        names = [f"r{i % count}" for i in range(start, start + len(part))]
        test.consume(names, part, np.ones(part.shape, dtype=np.bool_))
        test.look(complete and start + len(part) == len(r))
    return bool(test.below[0, 0])


def test_few_routes_exclude_nothing_however_many_pairs() -> None:
    assert not on_routes(np.zeros(600), 6, 0.25)
    assert on_routes(np.zeros(600), 8, 0.25)


def test_margin_made_of_bad_routes_is_not_asserted() -> None:
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(200):
        bad = np.where(
            rng.random(20) < 0.5, 0.5, 0.0
        )  # half of the routes are worse by 50 %: 25 % over all
        wrong += on_routes(np.tile(bad, 9) + rng.normal(0, 0.02, 180), 20, 0.25)
    assert wrong <= 0.025 * 200 + 4


def test_the_end_of_the_bank_reads_whole_routes() -> None:
    r = np.random.default_rng(2).normal(0.0, 0.3, (9, 12)).ravel()
    r[:12] = 0.2  # the first pairs alone show nothing
    assert on_routes(r, 12, 0.25)
    assert not on_routes(r, 12, 0.25, complete=False)


def betting(thetas: list[float], cap: float) -> Betting:
    return Betting(np.array([thetas]), np.array([cap]), alpha=0.05, joint_alpha=0.05)


def consume(test: Betting, names: list[str], c: np.ndarray, b: np.ndarray) -> None:
    c, b = np.minimum(c, 10.0), np.minimum(b, 10.0)
    test.consume(names, (c - b)[:, None], b[:, None], np.ones((len(c), 1), dtype=np.bool_))


def test_betting_tells_both_directions() -> None:
    b = np.random.default_rng(0).uniform(0.5, 1.5, 800)
    test = betting([-0.5, 0.0, 0.5], 10.0)
    consume(test, routes(800), b * 1.02, b)
    test.look(complete=True)
    np.testing.assert_array_equal(test.alone, [[1, 0, -1]])


def test_betting_holds_when_the_whole_change_is_rare_spikes() -> None:
    rng, wrong = np.random.default_rng(4), 0
    for _ in range(150):
        b = rng.uniform(0.5, 1.5, 400)
        c = np.where(rng.random(400) < 0.01, 10.0, b * 0.99)  # the mean is worse by 8 %
        test = betting([0.08], 10.0)
        for start in range(0, 400, 50):
            consume(
                test, routes(400)[start : start + 50], c[start : start + 50], b[start : start + 50]
            )
            test.look(complete=start == 350)
        wrong += test.alone[0, 0] < 0
    assert wrong <= 0.05 * 150


def test_later_pairs_of_a_route_count_only_as_its_mean() -> None:
    test = betting([0.5], 10.0)
    b = np.ones(900)
    consume(test, [f"r{i % 3}" for i in range(900)], b, b)
    test.look(complete=True)
    assert not test.alone.any()  # three routes show nothing, with however many pairs


def test_negative_costs_show_nothing_and_warn_of_nothing() -> None:
    test = PairBetting(np.array([[0.1]]), alpha=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        test.consume(np.array([[9.0]]), np.ones((1, 1), dtype=np.bool_))
        test.look()
    assert not test.below.any()
