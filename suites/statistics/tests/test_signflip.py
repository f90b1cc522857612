import numpy as np
import pytest

from suites.statistics import signflip
from suites.statistics.signflip import FlipPlan, SignFlips, _kill, spent


def engine(
    planned: int, *, flips: int = 199, seed: int = 0, theta: float = 0.0, alpha: float = 0.05
) -> SignFlips:
    return SignFlips(
        np.array([[theta]]), FlipPlan(alpha=alpha, rho=1.0, flips=flips, seed=seed, planned=planned)
    )


def feed(engine: SignFlips, d: np.ndarray, routes: list[str], every: int) -> None:
    for start in range(0, len(d), every):
        part = slice(start, start + every)
        engine.consume(routes[part], d[part, None], np.ones((len(d[part]), 1)))
        engine.look()


def names(n: int) -> list[str]:
    return [f"r{i}" for i in range(n)]


def test_critical_value_by_hand() -> None:
    # five vectors, two may be rejected: the third largest is critical, the two above it are killed
    alive = np.ones((1, 5), dtype=np.bool_)
    assert _kill(np.array([[5.0, 1, 4, 2, 3]]), alive, np.array([2]))[0] == 3
    assert alive.tolist() == [[False, True, False, True, True]]
    # both are used up: none may be killed until more is spent, then the largest of those left is
    assert _kill(np.array([[0.0, 9, 0, 8, 7]]), alive, np.array([2]))[0] == 9
    assert _kill(np.array([[0.0, 9, 0, 8, 7]]), alive, np.array([3]))[0] == 8
    assert alive.tolist() == [[False, False, False, True, True]]


def test_ties_are_not_rejected() -> None:
    alive = np.ones((1, 4), dtype=np.bool_)
    statistic = np.array([[3.0, 3.0 * (1 - 1e-13), 3.0, 1.0]])
    assert _kill(statistic, alive, np.array([2]))[0] == pytest.approx(3.0)
    assert alive.all()


def test_spending() -> None:
    assert spent(0.05, 0.5, 1.0) == 0.025
    assert spent(0.05, 0.5, 2.0) == 0.0125
    assert spent(0.05, 1.5, 1.0) == 0.05


@pytest.mark.parametrize(("routes", "shown"), [(5, False), (7, True)])
def test_few_routes_reject_only_what_their_sign_vectors_allow(routes: int, shown: bool) -> None:
    test = engine(routes, flips=1999)
    feed(test, np.ones(routes), names(routes), routes)
    assert bool(test.alone[0, 0]) is shown  # 2 / 2**5 is more than alpha, 2 / 2**7 is less


def test_pairs_of_one_route_are_one_toss() -> None:
    test = engine(300)
    feed(test, np.ones(300), ["only"] * 300, 100)
    assert test.alone[0, 0] == 0


def test_evidence_does_not_depend_on_how_it_was_cut() -> None:
    d = np.random.default_rng(3).normal(0.1, 1, 60)
    routes = [f"r{i % 13}" for i in range(60)]
    whole, pieces = engine(60), engine(60)
    whole.consume(routes, d[:, None], np.ones((60, 1)))
    for i in range(60):
        pieces.consume(routes[i : i + 1], d[i : i + 1, None], np.ones((1, 1)))
    np.testing.assert_allclose(whole._sum_p, pieces._sum_p, atol=1e-12)
    np.testing.assert_array_equal(whole._signs[:13], pieces._signs[:13])


def test_direction_and_theta() -> None:
    d = np.random.default_rng(1).normal(0.5, 0.2, 40)
    thetas = np.array([[0.0, 0.5, 1.0]])
    test = SignFlips(thetas, FlipPlan(alpha=0.05, rho=1.0, flips=499, seed=1, planned=40))
    feed(test, d, names(40), 10)
    assert test.alone.tolist() == [[1, 0, -1]]


def test_all_zero_differences_show_nothing() -> None:
    test = engine(50)
    feed(test, np.zeros(50), names(50), 10)
    assert test.alone[0, 0] == 0


def test_false_alarms_over_many_looks_stay_at_alpha() -> None:
    rng = np.random.default_rng(5)
    alarms = 0
    for run in range(400):
        test = engine(40, flips=99, seed=run, alpha=0.2)
        feed(test, rng.standard_t(3, 40), names(40), 4)
        alarms += bool(test.alone[0, 0])
    assert (
        0.11 < alarms / 400 < 0.26
    )  # 0.2 ± 3 standard errors, and not so few that nothing is spent


def test_family_is_controlled_together_and_keeps_its_power() -> None:
    rng = np.random.default_rng(6)
    alarms = 0
    for run in range(150):
        test = SignFlips(
            np.zeros((20, 1)),
            FlipPlan(alpha=0.2, rho=1.0, flips=99, seed=run, planned=40),
            families=[0] * 20,
            levels=[0.2],
        )
        d = rng.normal(0, 1, (40, 20))
        if run == 0:
            d[:, 3] += 1.5
        for start in range(0, 40, 10):
            test.consume(names(40)[start : start + 10], d[start : start + 10], np.ones((10, 20)))
            test.look()
        if run == 0:
            assert test.joint[3, 0] == 1
        else:
            alarms += bool(test.joint.any())
    assert alarms / 149 < 0.3  # each by itself at 0.2 would alarm in 99 % of the runs


def test_contrasts_taken_a_few_at_a_time_give_the_same_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    d = np.random.default_rng(8).normal(0.15, 1, (120, 7))
    found = []
    for cached in (1, 3_000, 10**9):
        monkeypatch.setattr(signflip, "CACHED", cached)
        test = SignFlips(
            np.tile([-0.5, 0.0, 0.2, 3.0], (7, 1)),
            FlipPlan(alpha=0.1, rho=1.0, flips=199, seed=2, planned=120),
            families=[0, 0, 1, 0, 1, 2, 2],
            levels=[0.1, 0.1, 0.05],
            singly=[1, 2, 4, 6],
        )
        for start in range(0, 120, 20):
            test.consume(names(120)[start : start + 20], d[start : start + 20], np.ones((20, 7)))
            test.look()
        found.append((test.alone.tolist(), test.joint.tolist()))
    assert found[0] == found[1] == found[2]
    assert {1, 0, -1} == set(np.ravel(found[0][1]).tolist())  # some of each
    assert not np.array(found[0][0])[[0, 3, 5]].any()  # not judged by themselves


def test_signs_are_kept_in_few_bytes() -> None:
    test = engine(10_000, flips=999)
    test.consume(names(10_000), np.ones((10_000, 1)), np.ones((10_000, 1)))
    assert test._signs.nbytes < 4_000_000  # a byte each would be sixteen million
    share = np.unpackbits(test._signs[:10_000], axis=1, count=1000).mean(axis=0)
    assert share[0] == 1.0  # the data as observed
    assert abs(share[1:].mean() - 0.5) < 0.001
