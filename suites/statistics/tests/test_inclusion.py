import numpy as np
import pytest

from suites.statistics.inclusion import bank_error, inclusion, weighted_ratio


def test_as_many_are_expected_as_were_drawn() -> None:
    weights = np.array([0.1, 0.2, 1.0, 5.0, 40.0])
    for drawn in (1, 3, 4):
        chance = inclusion(weights, drawn)
        assert chance.sum() == pytest.approx(drawn)
        assert (np.diff(chance) > 0).all()
    assert inclusion(weights, 5).tolist() == [1.0] * 5
    assert inclusion(np.ones(8), 2) == pytest.approx([0.25] * 8)


def test_estimates_hit_the_bank_and_their_errors_are_true() -> None:
    rng = np.random.default_rng(3)
    n, drawn = 600, 80
    b = rng.lognormal(0, 1, n)
    c = b * rng.lognormal(0.05, 0.3, n)
    weights = 0.8 * b / b.mean() + 0.2
    seen = []
    for _ in range(400):
        at = np.argsort(rng.exponential(size=n) / weights)[:drawn]
        chance = inclusion(weights, drawn)[at]
        seen.append(weighted_ratio((c - b)[at, None], b[at, None], chance))
    estimates, errors = np.array(seen)[..., 0].T
    truth = float((c - b).sum() / b.sum())
    assert estimates.mean() == pytest.approx(truth, abs=3 * estimates.std() / 20)
    assert np.sqrt((errors**2).mean()) == pytest.approx(estimates.std(), rel=0.15)


def test_the_end_is_exact_and_nothing_is_made_of_nothing() -> None:
    p, q = np.array([[1.0], [3.0]]), np.array([[10.0], [10.0]])
    estimate, error = weighted_ratio(p, q, np.ones(2))
    assert (estimate[0], error[0]) == (0.2, 0.0)
    assert np.isnan(weighted_ratio(p, 0 * q, np.ones(2))[0][0])
    assert np.isnan(weighted_ratio(p[:1], q[:1], np.ones(1))[1][0])


def test_both_errors_together_are_that_of_new_banks() -> None:
    rng = np.random.default_rng(4)
    routes, each = 60, 5
    at = np.repeat(np.arange(routes), each)
    seen = []
    for _ in range(300):
        r = (rng.normal(0, 0.2, routes)[at] + rng.normal(0, 0.2, len(at)))[:, None]
        weights = rng.exponential(size=len(at)) + 0.5
        drawn = np.argsort(rng.exponential(size=len(at)) / weights)[:120]
        chance = inclusion(weights, 120)[drawn]
        p, q = r[drawn], np.ones((120, 1))
        estimate, error = (each[0] for each in weighted_ratio(p, q, chance))
        seen.append((estimate, np.hypot(error, bank_error(p, q, chance, at[drawn])[0])))
    estimates, errors = np.array(seen).T
    assert np.sqrt((errors**2).mean()) == pytest.approx(estimates.std(), rel=0.15)
