"""The logged path: arc length, nearest points, columns between frames."""

from dataclasses import replace

import numpy as np
import pytest

from suites.errors import DataError
from suites.segment import SegmentColumns
from workers.simulation.road import logged_path as path
from workers.simulation.tests.analytic import columns_of

ONE = np.zeros(1, np.int64)


def circle(seconds: float = 10.0) -> SegmentColumns:
    """Radius 50 m at 10 m/s, to the left."""
    return columns_of(seconds, lambda t: np.full_like(t, 10.0), lambda t: np.full_like(t, 0.02))


def stop_and_go() -> SegmentColumns:
    """4 s at 5 m/s, 4 s standing, 4 s at 5 m/s."""
    return columns_of(
        12.0, lambda t: np.where((t > 4) & (t <= 8), 0.0, 5.0), lambda t: np.zeros_like(t)
    )


def nearest(columns: SegmentColumns, x: float, y: float, hint: float) -> tuple[float, float]:
    logs = path.join([("s", columns)])
    station, lateral = logs.nearest(
        ONE, np.array([x]), np.array([y]), np.array([hint]), np.array([5.0])
    )
    return float(station[0]), float(lateral[0])


def test_station_is_the_arc_length() -> None:
    logs = path.join([("s", circle())])
    assert logs.columns["station_m"][-1] == pytest.approx(100.0, abs=0.01)


@pytest.mark.parametrize("radius, lateral", [(51.0, -1.0), (49.0, 1.0), (50.0, 0.0)])
def test_nearest_point_and_signed_offset_on_a_bend(radius: float, lateral: float) -> None:
    angle = 0.7
    station, offset = nearest(circle(), radius * np.sin(angle), 50 - radius * np.cos(angle), 34.0)
    assert station == pytest.approx(50 * angle, abs=0.02)
    assert offset == pytest.approx(lateral, abs=2e-3)


def test_a_path_that_meets_itself_is_followed_and_not_jumped_across() -> None:
    columns = circle(40.0)  # more than once around: 314 m
    angle = 0.7
    x, y = 50 * np.sin(angle), 50 - 50 * np.cos(angle)
    assert nearest(columns, x, y, 34.0)[0] == pytest.approx(35.0, abs=0.02)
    assert nearest(columns, x, y, 348.0)[0] == pytest.approx(35.0 + 2 * np.pi * 50, abs=0.1)


def test_the_path_goes_on_straight_beyond_its_ends() -> None:
    columns = stop_and_go()
    assert nearest(columns, -2.0, 0.3, 0.0) == pytest.approx((-2.0, 0.3), abs=1e-6)
    assert nearest(columns, 45.0, -0.4, 40.0) == pytest.approx((45.0, -0.4), abs=1e-6)


def test_where_the_log_stood_still_time_chooses_the_frame() -> None:
    logs = path.join([("s", stop_and_go())])
    standing = np.full(3, logs.columns["station_m"][100])
    chosen = logs.index_at_station(np.zeros(3, np.int64), standing, np.array([50.0, 130.0, 220.0]))
    assert chosen == pytest.approx([80.0, 130.0, 160.0], abs=1.1)


def test_a_log_that_never_moves_has_a_lateral_offset_by_its_heading() -> None:
    columns = columns_of(2.0, lambda t: np.zeros_like(t), lambda t: np.zeros_like(t))
    assert nearest(columns, 0.5, 0.7, 0.0) == pytest.approx((0.0, 0.7))


def test_a_segment_of_one_frame_can_be_asked_anything() -> None:
    columns = circle().window(0, 1)
    logs = path.join([("one", columns), ("s", circle())])
    assert nearest(columns, 0.0, 0.2, 0.0) == pytest.approx((0.0, 0.2))
    assert logs.at("speed_mps", ONE, np.array([0.0])) == pytest.approx([10.0])
    assert logs.at("x_m", ONE + 1, np.array([1.0])) == pytest.approx([0.5], abs=1e-4)


def test_columns_between_frames_are_linear_and_exact_at_frames() -> None:
    logs = path.join([("s", circle())])
    x = logs.columns["x_m"]
    slot = np.zeros(3, np.int64)
    assert logs.at("x_m", slot, np.array([7.0, 7.25, 200.0])).tolist() == [
        x[7],
        x[7] + 0.25 * (x[8] - x[7]),
        x[200],
    ]


@pytest.mark.parametrize("jump", [30.0, 400.0])
def test_a_pose_jump_is_an_error_that_names_the_row(jump: float) -> None:
    columns = circle()
    with pytest.raises(
        DataError, match=r"segment s cannot be driven: x_m, y_m: row 90: the pose jumps"
    ):
        path.join(
            [("s", replace(columns, x_m=columns.x_m + jump * (np.arange(len(columns)) >= 90)))]
        )


@pytest.mark.parametrize("name", ["x_m", "yaw_rad", "speed_mps"])
def test_a_number_that_driving_needs_and_is_missing_is_an_error(name: str) -> None:
    columns = circle()
    values = getattr(columns, name).copy()
    values[12] = np.nan
    with pytest.raises(DataError, match=f"{name}: row 12"):
        path.join([("s", replace(columns, **{name: values}))])


def test_unknown_acceleration_and_curvature_come_from_speed_and_heading() -> None:
    columns = circle()
    nothing = np.full(len(columns), np.nan)
    logs = path.join(
        [("s", replace(columns, acceleration_mps2=nothing, curvature=nothing, roll_rad=nothing))]
    )
    assert logs.columns["curvature"] == pytest.approx(np.full(len(columns), 0.02))
    assert logs.columns["acceleration_mps2"] == pytest.approx(np.zeros(len(columns)))
    assert not logs.columns["roll_rad"].any()
