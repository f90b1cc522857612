"""Tags by what happens in a segment."""

from dataclasses import replace

import numpy as np
import pytest

from suites.segment import SegmentColumns
from workers.segments.tags import automatic_tags
from workers.simulation.tests.columns import straight_columns

DAY, ROWS = np.full(200, 120.0), 200


def test_a_plain_drive_has_no_tags_but_its_speed() -> None:
    assert automatic_tags(straight_columns(ROWS, 20.0, 15.0), DAY) == ()
    assert automatic_tags(straight_columns(ROWS, 20.0, 25.0), DAY) == ("highway",)


def test_night_is_dark() -> None:
    assert automatic_tags(straight_columns(ROWS, 20.0, 15.0), np.full(ROWS, 30.0)) == ("night",)


def test_a_curve_lasts() -> None:
    plain = straight_columns(ROWS, 20.0, 15.0)
    for length, tags in ((30, ()), (50, ("curve",))):
        bent = plain.curvature.copy()
        bent[40 : 40 + length] = -0.003
        assert automatic_tags(replace(plain, curvature=bent), DAY) == tags


def shifted(metres: float, left: bool, seconds: float = 4.0) -> SegmentColumns:
    """A sine of heading that moves the car aside while a blinker is on."""
    plain = straight_columns(ROWS, 20.0, 15.0)
    during = (plain.t_s >= 2) & (plain.t_s < 2 + seconds)
    yaw = np.where(
        during, metres / 15.0 / seconds * (1 - np.cos(2 * np.pi * (plain.t_s - 2) / seconds)), 0.0
    )
    return replace(
        plain, yaw_rad=yaw, left_blinker=during & left, right_blinker=during & (not left)
    )


@pytest.mark.parametrize(
    ("metres", "left", "tags"),
    [
        (3.5, True, ("lane_change",)),
        (-3.5, False, ("lane_change",)),
        (3.5, False, ()),
        (0.8, True, ()),
        (-3.5, True, ()),
    ],
)
def test_a_lane_change_is_a_blinker_and_a_shift_to_its_side(
    metres: float, left: bool, tags: tuple[str, ...]
) -> None:
    assert automatic_tags(shifted(metres, left), DAY) == tags


def test_a_turn_with_a_blinker_is_no_lane_change() -> None:
    plain = straight_columns(ROWS, 20.0, 15.0)
    yaw = np.where(plain.t_s > 4, 1.2, 0.0)
    columns = replace(plain, yaw_rad=yaw, left_blinker=plain.t_s < 5)
    assert automatic_tags(columns, DAY) == ()
