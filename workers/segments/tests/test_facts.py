"""What is known of a segment beside its tags, and what stays unknown."""

from datetime import UTC, datetime

import numpy as np
import pytest

from suites.segment import UNKNOWN, Facts
from workers.segments.facts import motion_facts, sun_elevation_deg, time_of_day


def test_one_odd_sample_and_a_crawl_do_not_make_a_bend() -> None:
    speed, curvature = np.full(400, 20.0), np.full(400, -0.002)
    curvature[7], speed[100:110], curvature[100:110] = 0.5, 1.0, 0.3
    found = motion_facts(speed, curvature)
    assert found.max_curvature == pytest.approx(0.002)
    assert found.mean_speed_mps == pytest.approx(19.525)
    assert found.max_speed_mps == 20.0


def test_what_was_not_measured_is_unknown() -> None:
    missing = np.full(10, np.nan)
    assert motion_facts(missing, missing) == UNKNOWN
    assert motion_facts(np.full(10, 3.0), np.full(10, 0.1)) == Facts(
        mean_speed_mps=3.0, max_speed_mps=3.0
    )


@pytest.mark.parametrize(
    ("moment", "latitude", "longitude", "elevation"),
    [
        # Of an almanac: noon at the June solstice, sunrise in London, midnight sun, noon again.
        (datetime(2024, 6, 20, 12, 2, tzinfo=UTC), 0.0, 0.0, 90 - 23.44),
        (datetime(2024, 1, 1, 8, 6, tzinfo=UTC), 51.5074, -0.1278, -0.83),
        (datetime(2024, 6, 21, 22, 46, tzinfo=UTC), 69.65, 18.96, 69.65 + 23.44 - 90),
        (datetime(2023, 7, 27, 19, 55, tzinfo=UTC), 32.74, -117.18, 90 - 32.74 + 19.07),
    ],
)
def test_the_sun_stands_where_the_almanac_has_it(
    moment: datetime, latitude: float, longitude: float, elevation: float
) -> None:
    assert sun_elevation_deg(moment.timestamp(), latitude, longitude) == pytest.approx(
        elevation, abs=0.1
    )


@pytest.mark.parametrize(
    ("sun", "word"),
    [(40, "day"), (-0.5, "day"), (-1, "twilight"), (-5.9, "twilight"), (-7, "night")],
)
def test_the_sun_makes_the_time_of_day(sun: float, word: str) -> None:
    assert time_of_day(sun) == word
