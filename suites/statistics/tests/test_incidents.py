"""Rates of incidents: exact, of natural drives alone, by distinct places."""

import numpy as np
import pytest

from suites.statistics.incidents import DrivenTwice, compare_incidents
from suites.statistics.rates import label_e_value, poisson_interval


def drive(route: str, c: bool = False, b: bool = False, offset: str = "", hours: float = 1.0) -> DrivenTwice:
    return DrivenTwice(
        route=route, offset=offset or "none", natural=not offset, hours=(hours, hours), happened=({"brake": c}, {"brake": b})
    )


def test_rates_per_1000_h_with_their_exact_interval_and_exposure() -> None:
    drives = [drive(f"r{i}", c=i < 15, hours=4.0) for i in range(100)]
    (found,) = compare_incidents(drives, ["brake"])
    assert (found.candidate.with_incident, found.candidate.hours) == (15, 400.0)
    assert found.candidate.per_1000_h == pytest.approx(37.5)
    assert (found.candidate.low, found.candidate.high) == pytest.approx((20.9884653319583, 61.8505471787146)), "15 in 400"
    assert (found.baseline.low, found.baseline.high) == pytest.approx(poisson_interval(0, 0.4))


def test_offsets_never_enter_a_rate_per_hour() -> None:
    natural = [drive(f"r{i}") for i in range(10)]
    provoked = [drive(f"r{i}", c=True, offset="+0.50m") for i in range(10)]
    (found,) = compare_incidents(natural + provoked, ["brake"])
    assert (found.candidate.with_incident, found.candidate.drives, found.candidate.hours) == (0, 10, 10.0)
    (share,) = found.candidate_offsets
    assert (share.offset, share.drives, share.with_incident, share.high) == ("+0.50m", 10, 10, 1.0)
    assert share.low == pytest.approx(0.025 ** (1 / 10)), "Clopper-Pearson of 10 in 10"


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
    (found,) = compare_incidents([drive("r0", c=True), drive("r0", b=True, offset="+0.50m"), drive("r1", c=True)], ["brake"])
    assert (found.candidate_only, found.baseline_only, found.both) == (("r1",), (), ("r0",))


def test_the_threshold_is_shared_by_all_kinds_however_often_it_is_read() -> None:
    """Fair coins for three kinds, read after every ten places: some kind claims a difference in at most 5 % of the runs."""
    kinds, generator, runs, wrong = [f"k{i}" for i in range(3)], np.random.default_rng(0), 60, 0
    for _ in range(runs):
        heads = generator.random((40, len(kinds))) < 0.5
        drives = [
            DrivenTwice(
                route=f"r{i}", offset="none", natural=True, hours=(1.0, 1.0),
                happened=(dict(zip(kinds, map(bool, row), strict=True)), dict(zip(kinds, map(bool, ~row), strict=True))),
            )
            for i, row in enumerate(heads)
        ]  # fmt: skip
        wrong += any(
            k.word != "cannot tell" for stop in range(10, len(drives) + 1, 10) for k in compare_incidents(drives[:stop], kinds)
        )
    assert wrong <= 0.05 * runs


def test_hours_still_needed() -> None:
    (quiet,) = compare_incidents([drive("r0", hours=100.0)], ["brake"])
    assert quiet.hours_needed == pytest.approx(2995.7 - 100, abs=0.1)
    (equal,) = compare_incidents([drive("r0", c=True, b=True)], ["brake"])
    assert equal.hours_needed is None
    nearly = DrivenTwice(route="r", offset="none", natural=True, hours=(1.0, 1.001), happened=({"brake": True}, {"brake": True}))
    assert compare_incidents([nearly], ["brake"])[0].hours_needed is None, "equal counts, though not to the second"
    (apart,) = compare_incidents([drive("r0", c=True), *(drive(f"r{i}", hours=10.0) for i in range(1, 30))], ["brake"])
    assert apart.hours_needed is not None
    assert apart.hours_needed > 290.0
    (nothing,) = compare_incidents([], ["brake"])
    assert (nothing.hours_needed, nothing.candidate.per_1000_h) == (None, None)


def test_what_is_unknown_for_one_model_is_left_out() -> None:
    unknown = DrivenTwice(route="r", offset="none", natural=True, hours=(1.0, 1.0), happened=({"brake": True}, {}))
    (found,) = compare_incidents([unknown, drive("r1")], ["brake"])
    assert (found.candidate.drives, found.candidate.with_incident, found.candidate_only) == (1, 0, ())
