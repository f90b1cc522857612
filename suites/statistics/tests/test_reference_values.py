"""Published reference values: every row of the reference table about this package."""

import numpy as np
import pytest

from suites.statistics.multiplicity import holm
from suites.statistics.rates import (
    label_e_value,
    log_label_e_value,
    mcnemar_exact,
    poisson_interval,
    zero_event_hours,
)
from suites.statistics.sequences import best_rho, normal_mixture_bound, self_normalised_e
from suites.statistics.signflip import FlipPlan, SignFlips

DIFFERENCES = np.array([0.3, -0.1, 0.4, 0.2, 0.25, 0.5, -0.05, 0.35, 0.3, 0.45])


def test_normal_mixture() -> None:
    rho = best_rho(100)
    assert rho == pytest.approx(12.60056, abs=5e-6)
    assert normal_mixture_bound(100, rho) == pytest.approx(30.35209, abs=5e-6)


def test_self_normalised_e() -> None:
    assert self_normalised_e(DIFFERENCES, 0.05) == pytest.approx(4.919874, abs=5e-7)


@pytest.mark.parametrize(("alpha", "rejected"), [(6 / 1024, 0), (10 / 1024, 1)])
def test_sign_flips_reject_at_the_p_value_of_full_enumeration(alpha: float, rejected: int) -> None:
    """|S| has p = 8 / 1024 over all sign vectors; drawn ones (error of p: 0.9 / 1024) agree."""
    engine = SignFlips(
        np.zeros((1, 1)), FlipPlan(alpha=alpha, rho=1.0, flips=9_999, seed=1, planned=10)
    )
    engine.consume([f"r{i}" for i in range(10)], DIFFERENCES[:, None], np.ones((10, 1)))
    engine.look()
    assert engine.alone[0, 0] == rejected


@pytest.mark.parametrize(
    ("ones", "n", "expected"), [(6, 6, 14.437), (7, 7, 26.8125), (8, 8, 50.2734), (10, 11, 16.4023)]
)
def test_label_e_process(ones: int, n: int, expected: float) -> None:
    assert label_e_value(ones, n - ones) == pytest.approx(expected, abs=6e-4)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_mcnemar() -> None:
    assert mcnemar_exact(121, 59) == pytest.approx(4.43445e-06, rel=2e-6)


def test_a_label_test_of_more_routes_than_a_float_holds() -> None:
    assert log_label_e_value(1030, 0) > 700
    assert np.isfinite(label_e_value(1030, 0))


@pytest.mark.parametrize(
    ("weights", "largest", "expected"),
    [([1.0] * 5, 1.0, (1.62349, 11.66833)), ([1.0, 1.0, 2.0, 0.5, 0.5], 2.0, (1.31655, 14.63432))],
)
def test_gamma_interval_of_the_declared_largest_weight(
    weights: list[float], largest: float, expected: tuple[float, float]
) -> None:
    assert poisson_interval(weights, largest) == pytest.approx(expected, abs=5e-6)


def test_poisson() -> None:
    assert poisson_interval([1 / 400] * 15, 1 / 400) == pytest.approx(
        (0.0209884653319583, 0.0618505471787146), rel=1e-12
    )


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(1e-3, 2995.7), (1e-4, 29957), (1.09e-8, 274.8e6), (77e-8, 3.89e6), (190e-8, 1.58e6)],
    ids=["1/1,000 h", "1/10,000 h", "fatal miles", "injury miles", "crash miles"],
)
def test_zero_events(rate: float, expected: float) -> None:
    assert zero_event_hours(rate) == pytest.approx(expected, rel=2.5e-3)
