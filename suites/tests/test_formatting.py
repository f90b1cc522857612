"""Numbers as people read them."""

import math

from suites.formatting import (
    DASH,
    change_text,
    duration,
    interval_text,
    margin_text,
    number,
    percent,
    plural,
    points,
    points_text,
    rates_text,
    share,
)


def test_percents_have_as_many_decimals_as_their_size_deserves() -> None:
    shown = [percent(value) for value in (0.0012, 0.031, -0.2, 1.5, 0.0)]
    assert shown == ["+0.12 %", "+3.1 %", "-20.0 %", "+150 %", "+0.0 %"]
    assert percent(0.0012, digits=1) == "+0.1 %"
    assert percent(0.5, signed=False) == "50.0 %"
    assert percent(None) == DASH
    assert share(0.025) == "2.5 %"


def test_rates_are_counts_and_a_difference_in_percentage_points() -> None:
    assert [points(value) for value in (0.005, -0.12345, -1e-12, None)] == [
        "+0.5 pp",
        "-12.3 pp",
        "+0 pp",
        DASH,
    ]
    assert [margin_text(0.0075, rate) for rate in (True, False)] == ["0.75 pp", "0.75 %"]
    assert [change_text(0.0075, rate) for rate in (True, False)] == ["+0.75 pp", "+0.75 %"]
    assert points_text(0.005, 0.0012, 0.0088) == "+0.5 pp [+0.12 pp, +0.88 pp]"
    assert rates_text((45, 20), 5000, (0.009, 0.004)) == "45 against 20 of 5,000"
    assert rates_text((None, None), 5000, (0.025, 0.02)) == "2.5 % against 2.0 %"


def test_an_end_beyond_its_bound_is_named_so() -> None:
    assert interval_text(0.021, -0.004, 0.049) == "+2.1 % [-0.40 %, +4.9 %]"
    assert interval_text(0.0, -2.0, 2.0, bounds=(-2, 2)) == "+0.0 % [no bound, no bound]"
    assert interval_text(0.0, -1.0, 3.0, bounds=(-1, None)) == "+0.0 % [no bound, +300 %]"
    assert interval_text(None, None, 0.5, digits=1) == "– [–, +50.0 %]"


def test_numbers_counts_and_durations() -> None:
    assert [number(value, "m") for value in (0.31234, 1234.5, -0.0)] == [
        "0.312 m",
        "1,234 m",
        "0 m",
    ]
    assert [number(None), number(math.inf), number(2.5, "1")] == [DASH, DASH, "2.5"]
    assert [plural(1, "route"), plural(2000, "route")] == ["1 route", "2,000 routes"]
    assert [duration(value) for value in (12.2, 200, 7500)] == ["12 s", "3 min 20 s", "2 h 05 min"]
