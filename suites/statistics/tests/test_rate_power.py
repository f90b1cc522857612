import numpy as np
import pytest

from suites.statistics.rate_power import excluded_difference, expected_events, failing_events


def test_quiet_pairs_exclude_half_a_point_after_940() -> None:
    assert excluded_difference(940, 0, 0.05) == pytest.approx(0.005, rel=0.02)
    assert excluded_difference(940, 3, 0.05) > 0.009


def test_the_fewest_events_that_fail_are_those_of_the_judge() -> None:
    assert failing_events(500, 500, 0, 0.05, known=False) == 6
    known, alone = (failing_events(5000, 5000, 20, 0.05, known=k) for k in (True, False))
    assert known == pytest.approx(39, abs=2)
    assert alone == pytest.approx(45, abs=1), "labels alone: E_1(45, 20) = 27, E_1(44, 20) = 23"
    joint = failing_events(5000, 5000, 20, 0.01, known=True)
    assert known is not None
    assert joint is not None
    assert joint > known
    assert failing_events(20, 3, 0, 0.05, known=False) is None, "three routes show nothing"


def test_a_candidate_that_is_found_in_four_of_five_runs_has_more_to_expect() -> None:
    expected = expected_events(39, 0.8)
    hits = np.random.default_rng(0).poisson(expected, 20_000) >= 39
    assert hits.mean() == pytest.approx(0.8, abs=0.01)
