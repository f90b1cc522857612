"""Rates: events that are counted, shares that are averaged, and a bank of known events."""

import numpy as np
import pytest

from suites.statistics.betting import mixed
from suites.statistics.rate_bets import KnownEvents, RateBets
from suites.statistics.rates import log_worse_e_value

DELTA = 0.005
N = 5000
UNKNOWN = float("nan")

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def bets(thetas: list[float], planned: int = N, events: float = UNKNOWN, **plan: bool) -> RateBets:
    return RateBets(
        np.array([thetas]),
        planned=planned,
        baseline_events=np.array([events]),
        repeated=plan.get("repeated", False),
        alpha=0.05,
        joint_alpha=0.05,
    )


def judged(
    engine: RateBets, c: Floats, b: Floats, routes: list[str] | None = None
) -> dict[tuple[int, int], int]:
    """(theta's number, side) to the pairs at which it was first shown, a look every 20."""
    routes = routes or [f"r{i}" for i in range(len(c))]
    first: dict[tuple[int, int], int] = {}
    for start in range(0, len(c), 20):
        part = slice(start, start + 20)
        valid = np.ones((len(c[part]), 1), dtype=np.bool_)
        engine.consume(routes[part], c[part, None], b[part, None], valid)
        engine.look(complete=start + 20 >= len(c))
        for u, side in enumerate(engine.alone[0]):
            if side:
                first.setdefault((u, int(side)), min(start + 20, len(c)))
    return first


def events(rng: np.random.Generator, only: int, others: int, both: int) -> tuple[Floats, Floats]:
    """Values [N] in a random order: events of the candidate only, the baseline only, of both."""
    kinds = rng.permutation(np.repeat([0, 1, 2, 3], [N - only - others - both, only, others, both]))
    return np.isin(kinds, [1, 3]).astype(float), np.isin(kinds, [2, 3]).astype(float)


@pytest.mark.parametrize(
    ("k", "n", "expected"),
    [(6, 0, 28.782666), (7, 0, 53.544467), (10, 1, 32.741516), (45, 20, 27.354179)],
)
def test_labels(k: int, n: int, expected: float) -> None:
    assert float(np.exp(log_worse_e_value(k, n))) == pytest.approx(expected, abs=5e-7)


def test_known_events() -> None:
    bank = KnownEvents(50, np.array([2.0]))
    happened = np.zeros((10, 1), dtype=np.bool_)
    happened[[3, 9]] = True
    bank.consume(happened[:7])
    bank.consume(happened[7:])
    assert bank.log_e()[0] == pytest.approx(1.573768, abs=5e-7)
    bank.consume(np.ones((1, 1), dtype=np.bool_))
    assert np.isinf(bank.log_e()[0]), "three of at most two"


@pytest.mark.parametrize(
    ("zeros", "then", "expected"),
    [(479, [], 2.993608), (480, [], 3.000222), (480, [1], 0.893684), (480, [1, -1], 1.431135)],
)
def test_rare_bets(zeros: int, then: list[int], expected: float) -> None:
    d = np.array([*[0.0] * zeros, *then])[:, None]
    below = bets([0.0075])._bets(d, np.ones_like(d, dtype=np.bool_))[0]
    assert mixed(below[:4], np.full(4, 0.25))[0, 0] == pytest.approx(expected, abs=5e-7)


def test_a_doubling_of_rare_events_is_found_and_equal_banks_are_not_called_worse() -> None:
    """20 -> 45 of 5,000; and 20 on both sides, ten of them shared."""
    rng = np.random.default_rng(1)
    found, wrong = [], 0
    for _ in range(8):
        shown = judged(bets([0.0, DELTA], events=20), *events(rng, 30, 5, 15))
        found.append(shown.get((0, 1), N + 1))
        wrong += (0, 1) in judged(bets([0.0, DELTA], events=20), *events(rng, 10, 10, 10))
    assert max(found) <= N
    assert np.median(found) < 1400
    assert wrong <= 1


def test_without_the_guard_few_events_of_the_baseline_would_make_an_equal_model_worse() -> None:
    """21 against 20 events of 5,000 are more on this bank, for certain, and mean nothing."""
    c, b = events(np.random.default_rng(2), 21, 20, 0)
    engine = bets([0.0], events=20)
    assert (0, 1) not in judged(engine, c, b)
    assert np.isinf(engine._bank.log_e()[0])


def test_events_that_both_have_early_make_neither_worse() -> None:
    """Ten events of both models among the first 20 pairs of 300."""
    both = np.repeat([1.0, 0.0], [10, 290])
    engine = bets([0.0, DELTA], planned=300, events=10)
    assert (0, 1) not in judged(engine, both, both)


def test_quiet_pairs_show_that_events_are_not_more_frequent() -> None:
    quiet = np.zeros(N)
    shown = judged(bets([0.0, DELTA, 0.02]), quiet, quiet)
    assert shown == {(1, -1): 940, (2, -1): 240}
    assert (1, -1) not in judged(bets([0.0, DELTA]), quiet[:920], quiet[:920])


def test_mirrored_events_are_fewer() -> None:
    c, b = events(np.random.default_rng(3), 5, 30, 15)
    engine = bets([-DELTA, 0.0, DELTA])
    shown = judged(engine, c, b)
    assert (1, -1) in shown
    assert engine.alone[0, 2] == -1, "below 0 is below the margin"


def test_a_route_counts_once_however_many_of_its_pairs_have_the_event() -> None:
    routes = [f"r{i % 5}" for i in range(100)]
    c, b = np.ones(100), np.zeros(100)
    engine = bets([0.0], planned=100, repeated=True)
    assert judged(engine, c, b, routes) == {}
    assert engine.labels[:, 0].tolist() == [5, 0]
    back_and_forth = bets([0.0], planned=100, repeated=True)
    judged(back_and_forth, np.repeat([1.0, 0.0], 50), np.repeat([0.0, 1.0], 50), routes)
    assert back_and_forth.labels[:, 0].tolist() == [5, 0], "the first difference is the label"


def test_events_that_are_known_count_only_where_the_order_is_uniform() -> None:
    c, b = np.repeat([1.0, 0.0], [8, 92]), np.zeros(100)
    apart = [f"r{i}" for i in range(100)]
    assert bets([0.0], planned=100, events=0)._known.all()
    assert not bets([0.0], planned=100, events=0, repeated=True)._known.any()
    assert (0, 1) in judged(bets([0.0], planned=100, events=0, repeated=True), c, b, apart)


def test_shares_are_told_apart_by_their_means_both_ways() -> None:
    rng = np.random.default_rng(4)
    b = rng.uniform(0.1, 0.3, 2000)
    c = np.clip(b + 0.03 + rng.normal(0, 0.05, 2000), 0, 1)
    engine = bets([-0.1, 0.0, 0.01, 0.1])
    shown = judged(engine, c, b)
    assert set(shown) == {(0, 1), (1, 1), (2, 1), (3, -1)}
    assert not engine.two_valued[0]


def test_a_share_with_a_rare_large_fall_is_not_called_worse() -> None:
    """49 pairs in 50 are .01 worse and one .49 better: the means agree."""
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(100):
        rare = rng.random(1000) < 1 / 50
        wrong += (0, 1) in judged(
            bets([0.0], planned=1000), np.where(rare, 0.01, 0.51), 0.5 + np.zeros(1000)
        )
    assert wrong <= 8


def test_half_of_the_stake_waits_for_the_means_of_routes() -> None:
    quiet, routes = np.zeros(1000), [f"r{i % 500}" for i in range(1000)]
    once = judged(bets([0.02]), quiet[:500], quiet[:500])
    several = judged(bets([0.02], planned=1000, repeated=True), quiet, quiet, routes)
    assert once == {(0, -1): 240}
    assert several == {(0, -1): 280}


def test_invalid_pairs_are_neither_quiet_nor_events() -> None:
    engine = bets([DELTA], planned=1000, events=3)
    ones = np.ones((1000, 1))
    engine.consume([f"r{i}" for i in range(1000)], ones, 0 * ones, np.zeros_like(ones, dtype=bool))
    engine.look(complete=True)
    assert engine.alone[0, 0] == 0
    assert engine._bank.seen[0] == 0


def test_several_gates_share_the_error_of_worse() -> None:
    engine = RateBets(
        np.zeros((2, 1)),
        planned=100,
        baseline_events=np.full(2, UNKNOWN),
        repeated=False,
        alpha=0.05,
        joint_alpha=0.025,
    )
    c = np.zeros((20, 2))
    c[:6] = 1.0
    valid = np.ones_like(c, dtype=np.bool_)
    engine.consume([f"r{i}" for i in range(20)], c, np.zeros_like(c), valid)
    engine.look(complete=False)
    assert engine.alone[:, 0].tolist() == [1, 1], "28.8 >= 20"
    assert engine.joint[:, 0].tolist() == [0, 0], "28.8 < 40"
