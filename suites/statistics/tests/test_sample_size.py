import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites.enriched_rates import mixture, weighted_mean, weights
from suites.statistics.betting import Betting
from suites.statistics.chances import Sample, cleared, found
from suites.statistics.multiplicity import holm
from suites.statistics.rates import (
    hours_still_needed,
    label_e_value,
    mcnemar_exact,
    poisson_interval,
)
from suites.statistics.sample_size import (
    betting_finds,
    betting_segments,
    deciding_segments,
    finding_segments,
    segments_needed,
    visible_mean,
)
from suites.statistics.sequences import asymptotic_half_width


def test_poisson_without_events_starts_at_zero() -> None:
    low, high = poisson_interval([], 1 / 1000)
    assert low == 0
    assert high == pytest.approx(3.689 / 1000, rel=1e-3)


def test_weighted_poisson_interval_holds_the_rate() -> None:
    # three weights, most of the rate from the rare heavy events: each side errs at most 2.5 %
    rng, weights, rates = (
        np.random.default_rng(0),
        np.array([0.1, 1.0, 5.0]),
        np.array([30.0, 4.0, 2.0]),
    )
    truth, below, above = float(weights @ rates), 0, 0
    for counts in rng.poisson(rates, (1000, 3)):
        low, high = poisson_interval(np.repeat(weights, counts).tolist(), 5.0)
        below, above = below + (high < truth), above + (low > truth)
    assert below + above <= 0.05 * 1000
    assert above > 0


def test_hours_still_needed() -> None:
    needed = hours_still_needed(1e-3, 1e-4, done=0)
    assert 8_000 < needed < 14_000  # STATISTICS: 10,896 h by a fixed test
    assert hours_still_needed(1e-3, 1e-4, done=2_000) == pytest.approx(needed - 2_000)
    assert hours_still_needed(1e-3, 1e-3, done=0) == float("inf")
    assert hours_still_needed(1e-4, 1e-3, done=0) == pytest.approx(needed)


@given(st.integers(0, 60), st.integers(0, 60))
def test_labels_are_fair_to_both_models(k: int, m: int) -> None:
    assert label_e_value(k, m) == pytest.approx(label_e_value(m, k))
    assert mcnemar_exact(k, m) == mcnemar_exact(m, k) <= 1


def test_label_evidence_is_a_fair_bet() -> None:
    # E[e] over fair coins is exactly one: what makes 1/alpha a valid threshold
    from math import comb

    assert sum(comb(12, k) / 2**12 * label_e_value(k, 12 - k) for k in range(13)) == pytest.approx(
        1
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_ordered_and_never_below_the_raw(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(a >= p for a, p in zip(adjusted, values, strict=True))
    assert max(adjusted) <= 1
    by_p = [a for _, a in sorted(zip(values, adjusted, strict=True))]
    assert by_p == sorted(by_p)


def test_asymptotic_sequence_waits_for_thirty_routes() -> None:
    deviation = np.array([1.0])
    assert np.isinf(asymptotic_half_width(deviation, 29, 0.05))[0]
    # wider than the fixed-N interval of the sum, by no more than the price of being valid always
    assert 1.96 < asymptotic_half_width(deviation, 100, 0.05)[0] / 10 < 3.6


@given(st.floats(0.001, 0.05), st.floats(0.005, 0.2), st.integers(20, 5000))
def test_planning_inverts(error: float, distance: float, segments: int) -> None:
    needed = segments_needed(error, distance, segments, segments, 0.05)
    seen = visible_mean(error, segments, segments, 1, 0.05) / np.sqrt(needed)
    assert seen == pytest.approx(distance)


@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_planned_segments_have_the_power_that_was_asked_for(power: float) -> None:
    sample = Sample(300, 50, 0.01)
    n = deciding_segments(sample, 100, 0.03, 0.05, power)
    assert cleared(0.03, sample.times(n / 100), 0.05) == pytest.approx(power, abs=0.01)
    n = deciding_segments(sample, 100, 0.03, 0.05, power, change=0.025)
    assert found(0.025, sample.times(n / 100), 0.05) == pytest.approx(power, abs=0.01)
    n = finding_segments(sample, 100, 0.03, 0.05, power, gates=3)
    assert found(0.03, sample.times(n / 100), 0.05, gates=3) == pytest.approx(power, abs=0.01)


def test_no_number_of_segments_tells_nothing_from_the_margin() -> None:
    assert segments_needed(0.01, 0.0, 100, 100, 0.05) == float("inf")
    assert deciding_segments(Sample(100, 100, 0.01), 100, 1e-7, 0.05) == float("inf")


def test_betting_plan_grows_with_the_cap() -> None:
    b = np.random.default_rng(0).uniform(20, 80, 500)
    c = np.random.default_rng(1).permutation(b)
    low, high = (betting_segments(c - b, b, 0.05, cap, 0.05) for cap in (200.0, 2000.0))
    assert low is not None
    assert high is not None
    assert low < high
    finds = betting_finds(c - b, b, 0.05, 200.0, 0.05)
    assert finds is not None
    assert finds < low, "a bet against a rise wins no more than the cap, one against a fall (1 + m)"


def test_betting_plan_is_about_what_betting_needs() -> None:
    b = np.random.default_rng(0).uniform(20, 80, 500)
    c = np.random.default_rng(1).permutation(b)
    cap, margin = 200.0, 0.05
    planned = betting_segments(c - b, b, margin, cap, 0.05)
    assert planned is not None
    needed: list[int] = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        engine = Betting(np.array([[margin]]), np.array([cap]), alpha=0.05, joint_alpha=0.05)
        while not engine.alone[0, 0]:
            q, other = (rng.choice(b, 100)[:, None] for _ in range(2))
            routes = [f"r{len(needed)}-{i}" for i in rng.integers(1 << 60, size=100)]
            engine.consume(routes, other - q, q, np.ones((100, 1), np.bool_))
            engine.look(complete=False)
        assert engine.alone[0, 0] == -1
        needed.append(len(engine._index))
    assert 0.8 < np.median(needed) / planned < 1.25


def test_enriched_replay_is_unbiased_with_bounded_weights() -> None:
    # 1,000 scenarios, the last ten fail; enriched replay draws them a hundred times as often
    natural = np.full(1000, 1e-3)
    fails = np.arange(1000) >= 990
    drawn = mixture(natural, np.where(fails, 10.0, 0.1), natural_share=0.15)
    assert drawn.sum() == pytest.approx(1)
    weight = weights(natural, drawn)
    assert weight.max() <= 1 / 0.15
    assert (drawn * weight * fails).sum() == pytest.approx(0.01)  # the expectation, exactly
    rng = np.random.default_rng(7)
    errors, covered = [], 0
    for _ in range(200):
        chosen = rng.choice(1000, 300, p=drawn)
        result = weighted_mean(fails[chosen].astype(np.float64), weight[chosen])
        covered += result.low <= 0.01 <= result.high
        errors.append(result.estimate - 0.01)
        assert 1 < result.effective < 300
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(200)
    assert covered >= 0.9 * 200
    # brute force with ten times the replays is less certain
    assert np.std(errors) < np.sqrt(0.01 * 0.99 / 3000)


def test_what_never_occurs_cannot_be_weighted_back() -> None:
    with pytest.raises(ValueError, match="never occurs"):
        mixture(np.array([1.0, 0.0]), np.array([0.5, 0.5]), 0.2)
    with pytest.raises(ValueError, match="natural share"):
        mixture(np.array([0.5, 0.5]), np.array([0.5, 0.5]), 0.01)
