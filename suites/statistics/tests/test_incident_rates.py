"""Rates of incidents: exact, of natural drives alone, by distinct places."""

from dataclasses import replace

import numpy as np
import pytest

from suites.enriched_rates import natural_weights
from suites.statistics.incident_rates import LEAST_HOURS, DrivenTwice, compare_incidents
from suites.statistics.multiplicity import holm
from suites.statistics.rates import label_e_value, mcnemar_exact


def drive(
    route: str,
    c: bool = False,
    b: bool = False,
    offset: str = "",
    hours: float = 1.0,
    weight: float | None = None,
) -> DrivenTwice:
    """One drive of a route with one segment; beside the log it has no natural weight by itself."""
    return DrivenTwice(
        route=route,
        segment=f"{route}/0",
        offset=offset,
        weight=float(not offset) if weight is None else weight,
        hours=(hours, hours),
        happened=({"brake": c}, {"brake": b}),
    )


def test_rates_per_1000_h_with_their_exact_interval_and_exposure() -> None:
    drives = [drive(f"r{i}", c=i < 15, hours=4.0) for i in range(100)]
    (found,) = compare_incidents(drives, ["brake"])
    assert (found.candidate.with_incident, found.candidate.hours) == (15, 400.0)
    assert found.candidate.per_1000_h == pytest.approx(37.5)
    assert (found.candidate.low, found.candidate.high) == pytest.approx(
        (20.9884653319583, 61.8505471787146)
    ), "15 in 400"
    assert (found.baseline.low, found.baseline.high) == pytest.approx(
        (0.0, 1000 * 3.688879 / 400)
    ), "-ln(.025) / exposure"
    assert found.candidate.effective_hours == 400.0


def test_offsets_never_enter_a_rate_per_hour() -> None:
    natural = [drive(f"r{i}") for i in range(10)]
    provoked = [drive(f"r{i}", c=True, offset="+0.50m") for i in range(10)]
    (found,) = compare_incidents(natural + provoked, ["brake"])
    assert (found.candidate.with_incident, found.candidate.drives, found.candidate.hours) == (
        0,
        10,
        10.0,
    )
    (share,) = found.candidate_offsets
    assert (share.offset, share.drives, share.with_incident, share.high) == ("+0.50m", 10, 10, 1.0)
    assert share.low == pytest.approx(0.025 ** (1 / 10)), "Clopper-Pearson of 10 in 10"


def natural(offset: float, generator: np.random.Generator, bank: int = 400) -> list[DrivenTwice]:
    """Every one of `bank` segments from three offsets.

    2 % of them fail from the log, half of those from +0.50m as well, and 8 % more from there alone.
    Natural driving begins there once in ten drives, and never from -0.50m.
    """
    starts = ["", "+0.50m", "-0.50m"] * bank
    bad, weak, only = (np.repeat(generator.random(bank) < p, 3) for p in (0.02, 0.5, 0.08))
    weights = natural_weights(starts, {"": 1 - offset, "+0.50m": offset, "-0.50m": 0.0})
    return [
        drive(
            f"r{i // 3}",
            c=bool(bad[i] if not s else (bad[i] and weak[i]) or only[i] or s[0] == "-"),
            offset=s,
            weight=w,
        )
        for i, (s, w) in enumerate(zip(starts, weights, strict=True))
    ]


def test_a_stated_distribution_of_offsets_weighs_them_back_to_natural_driving() -> None:
    truth = 1000 * (0.9 * 0.02 + 0.1 * (0.01 + 0.08 - 0.01 * 0.08))
    estimates, covered = [], 0
    for seed in range(60):
        (found,) = compare_incidents(natural(0.1, np.random.default_rng(seed)), ["brake"])
        rate = found.candidate
        assert rate.per_1000_h is not None
        assert rate.low is not None
        assert rate.high is not None
        assert (rate.drives, rate.hours) == (800, 800.0), (
            "an offset that never occurs is no natural driving"
        )
        assert rate.effective_hours == pytest.approx(400.0), (
            "offsets of one segment are not independent"
        )
        covered += rate.low <= truth <= rate.high
        estimates.append(rate.per_1000_h)
    assert np.mean(estimates) == pytest.approx(truth, abs=4 * np.std(estimates) / np.sqrt(60))
    assert np.std(estimates) < 0.3 * truth
    assert covered >= 0.9 * 60
    assert len(found.candidate_offsets) == 2, "each offset is shown by itself as well"


def test_natural_weights_are_bounded_and_wait_for_every_offset_that_occurs() -> None:
    starts = ["a", "a", "b", "c", None]
    assert natural_weights(starts, {"a": 0.5, "b": 0.5, "c": 0.0}) == pytest.approx(
        [1.25, 1.25, 2.5, 0.0, 0.0]
    )
    assert natural_weights(starts, {"a": 0.9, "d": 0.1}) == [0.0] * 5, (
        "d occurs and was never driven"
    )
    assert natural_weights([], {"a": 1.0}) == []


def test_drives_that_stand_for_several_weigh_within_their_start() -> None:
    """A cost-weighted draw took the second start's hard half only: it is still half of driving."""
    weight = natural_weights(["log", "log", "side"], {"log": 0.5, "side": 0.5}, [1.0, 3.0, 1.0])
    assert weight == pytest.approx([0.375, 1.125, 1.5])
    assert natural_weights(["log", "log"], {"log": 1.0}, [0.5, 1.5]) == pytest.approx([0.5, 1.5])


def test_the_upper_bound_is_of_the_largest_weight_that_was_declared() -> None:
    drives = [drive(f"r{i}", hours=10.0) for i in range(100)]
    (seen,) = compare_incidents(drives, ["brake"])
    (declared,) = compare_incidents(drives, ["brake"], largest=4.0)
    assert declared.candidate.high == pytest.approx(4 * (seen.candidate.high or 0.0))


def test_repeats_of_one_segment_are_one_event_and_no_more_exposure() -> None:
    once = [drive(f"r{i}", c=i < 3, hours=2.0) for i in range(50)]
    (single,), (thrice,) = (compare_incidents(drives, ["brake"]) for drives in (once, once * 3))
    assert thrice.candidate.hours == 3 * single.candidate.hours
    assert thrice.candidate.effective_hours == pytest.approx(single.candidate.effective_hours)
    assert (thrice.candidate.low, thrice.candidate.high) == pytest.approx(
        (single.candidate.low, single.candidate.high)
    )


def test_no_rate_is_quoted_on_a_tiny_exposure() -> None:
    minutes = [drive(f"r{i}", c=i < 2, hours=0.001) for i in range(5)]
    (found,) = compare_incidents(minutes, ["brake"])
    assert (found.candidate.per_1000_h, found.candidate.with_incident) == (None, 2)
    assert found.candidate.high is not None
    assert found.candidate.high > 1e6
    assert found.hours_needed is not None
    hours = LEAST_HOURS / 5
    assert (
        compare_incidents([drive(f"r{i}", hours=hours) for i in range(6)], ["brake"])[
            0
        ].candidate.per_1000_h
        == 0.0
    )


def test_mcnemar_is_read_only_where_the_whole_plan_was_driven_and_is_adjusted_over_the_kinds() -> (
    None
):
    kinds = {"brake": 9, "swerve": 2, "crash": 0}
    drives = [
        DrivenTwice(
            route=f"r{i}",
            segment=f"r{i}/0",
            offset="",
            weight=1.0,
            hours=(1.0, 1.0),
            happened=({k: i < n for k, n in kinds.items()}, dict.fromkeys(kinds, False)),
        )
        for i in range(20)
    ]
    assert [k.p_value for k in compare_incidents(drives, list(kinds))] == [None] * 3
    found = [k.p_value for k in compare_incidents(drives, list(kinds), complete=True)]
    assert found == holm([mcnemar_exact(n, 0) for n in kinds.values()])
    assert found[0] == pytest.approx(3 * 2 / 2**9)


def test_a_bug_that_fires_often_on_one_route_is_one_place() -> None:
    often = [drive("r0", c=True) for _ in range(50)]
    (found,) = compare_incidents(often, ["brake"])
    assert (found.candidate_only, found.word) == (("r0",), "cannot tell")
    spread = [drive(f"r{i}", c=True) for i in range(12)]
    (found,) = compare_incidents(spread, ["brake"])
    assert (found.word, found.e_value) == ("more", label_e_value(12, 0))
    (found,) = compare_incidents([drive(f"r{i}", b=True) for i in range(12)], ["brake"])
    assert found.word == "fewer"


def test_a_route_where_both_have_it_says_nothing_about_either() -> None:
    (found,) = compare_incidents(
        [drive("r0", c=True), drive("r0", b=True, offset="+0.50m"), drive("r1", c=True)], ["brake"]
    )
    assert (found.candidate_only, found.baseline_only, found.both) == (("r1",), (), ("r0",))


def test_the_threshold_is_shared_by_all_kinds_however_often_it_is_read() -> None:
    """Fair coins for three kinds, read after every ten places: at most 5 % of the runs claim."""
    kinds, generator, runs, wrong = [f"k{i}" for i in range(3)], np.random.default_rng(0), 60, 0
    for _ in range(runs):
        heads = generator.random((40, len(kinds))) < 0.5
        drives = [
            DrivenTwice(
                route=f"r{i}",
                segment=f"r{i}/0",
                offset="",
                weight=1.0,
                hours=(1.0, 1.0),
                happened=(
                    dict(zip(kinds, map(bool, row), strict=True)),
                    dict(zip(kinds, map(bool, ~row), strict=True)),
                ),
            )
            for i, row in enumerate(heads)
        ]
        wrong += any(
            k.word != "cannot tell"
            for stop in range(10, len(drives) + 1, 10)
            for k in compare_incidents(drives[:stop], kinds)
        )
    assert wrong <= 0.05 * runs


def test_hours_still_needed() -> None:
    (quiet,) = compare_incidents([drive("r0", hours=100.0)], ["brake"])
    assert quiet.hours_needed == pytest.approx(2995.7 - 100, abs=0.1)
    (equal,) = compare_incidents([drive("r0", c=True, b=True, hours=10.0)], ["brake"])
    assert equal.hours_needed is None
    nearly = replace(drive("r", c=True, b=True), hours=(10.0, 10.001))
    assert compare_incidents([nearly], ["brake"])[0].hours_needed is None, (
        "equal counts, though not to the second"
    )
    (apart,) = compare_incidents(
        [drive("r0", c=True), *(drive(f"r{i}", hours=10.0) for i in range(1, 30))], ["brake"]
    )
    assert apart.hours_needed is not None
    assert apart.hours_needed > 290.0
    (nothing,) = compare_incidents([], ["brake"])
    assert (nothing.hours_needed, nothing.candidate.per_1000_h) == (None, None)


def test_what_is_unknown_for_one_model_is_left_out() -> None:
    unknown = replace(drive("r"), happened=({"brake": True}, {}))
    (found,) = compare_incidents([unknown, drive("r1")], ["brake"])
    assert (found.candidate.drives, found.candidate.with_incident, found.candidate_only) == (
        1,
        0,
        (),
    )
