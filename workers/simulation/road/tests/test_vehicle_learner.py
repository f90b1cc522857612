"""The learner: intervals cover what the car is; the demo route agrees with its own learner."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter

from suites.errors import DataError
from suites.segment import SegmentColumns, Vehicle
from workers.simulation.road.vehicle_learner import NAMES, drift_m_per_minute, held_out_drift, learn
from workers.simulation.tests.columns import straight_columns

ROUTE = Path(__file__).parents[4].parent / "shared" / "data" / "comma_demo_route"
BELIEVED = Vehicle(slip_factor=-0.0015)


def log_of(
    seed: int, memory: float, noise: float = 0.004, rows: int = 2400
) -> tuple[Vehicle, SegmentColumns]:
    """Two minutes of a car drawn at random on a banked road.

    The yaw rate's error (rad/s) is AR(1) with `memory`.
    """
    rng, t = np.random.default_rng(seed), np.arange(rows) / 20.0
    truth = Vehicle(
        steer_ratio=rng.uniform(12, 18),
        slip_factor=rng.uniform(-0.003, 0.0),
        angle_offset_rad=rng.uniform(-0.05, 0.05),
    )
    speed = 15.0 + np.sum(
        [4.0 * np.sin(2 * np.pi * t / p + rng.uniform(0, 6)) for p in (40, 90)], axis=0
    )
    wheel = np.sum(
        [
            rng.uniform(0.05, 0.2) * np.sin(2 * np.pi * t / p + rng.uniform(0, 6))
            for p in (7, 19, 45, 100)
        ],
        axis=0,
    )
    roll = 0.02 * np.sin(2 * np.pi * t / 30 + rng.uniform(0, 6))
    road = (
        np.tan((wheel - truth.angle_offset_rad) / truth.steer_ratio) / truth.wheelbase_m
        + truth.slip_factor * 9.81 * roll
    )
    rate = speed * road / (1 - truth.slip_factor * speed**2)
    error = lfilter([np.sqrt(1 - memory**2)], [1, -memory], rng.normal(0, noise, rows))
    yaw = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) / 20.0)])
    columns = replace(
        straight_columns(rows, 20.0),
        speed_mps=speed,
        steering_angle_rad=wheel,
        curvature=(rate + error) / speed,
        roll_rad=roll,
        yaw_rad=yaw,
    )
    return truth, columns


@pytest.mark.parametrize("memory", [0.0, 0.9, 0.97], ids=["white", "half a second", "two seconds"])
def test_intervals_cover_the_truth_and_are_no_wider_than_needed(memory: float) -> None:
    scores = []
    for seed in range(120):
        truth, columns = log_of(seed, memory)
        found = learn(columns, BELIEVED)
        scores.append(
            [(getattr(found.vehicle, n) - getattr(truth, n)) / found.deviation[n] for n in NAMES]
        )
    covered = np.mean(np.abs(scores) <= 1.96, axis=0)
    assert np.all(covered >= 0.90)  # 95 % less two and a half standard errors of 120 draws
    assert np.all(np.std(scores, axis=0) > 0.7)


def test_without_noise_the_car_is_found_exactly_and_its_path_is_followed() -> None:
    truth, columns = log_of(5, 0.0, noise=0.0)
    found = learn(columns, BELIEVED)
    for name in NAMES:
        assert getattr(found.vehicle, name) == pytest.approx(getattr(truth, name), rel=1e-3)
    assert drift_m_per_minute(columns, truth) < 0.01
    assert drift_m_per_minute(columns, found.vehicle) < 0.01 * drift_m_per_minute(columns, BELIEVED)
    assert found.stiffness_factor == pytest.approx(
        BELIEVED.slip_factor / truth.slip_factor, rel=1e-3
    )


def test_what_one_half_taught_helps_on_the_other() -> None:
    _, columns = log_of(7, 0.9)
    before, after, window = held_out_drift(columns, BELIEVED)
    assert after < before / 3
    assert window == pytest.approx(54.0, abs=0.1)


def test_a_window_in_which_the_wheel_is_unknown_says_nothing_of_the_drift() -> None:
    truth, columns = log_of(5, 0.0, noise=0.0)
    wheel = columns.steering_angle_rad.copy()
    wheel[:300] = np.nan
    assert drift_m_per_minute(replace(columns, steering_angle_rad=wheel), truth) < 0.01
    assert np.isnan(drift_m_per_minute(replace(columns, steering_angle_rad=wheel * np.nan), truth))


def test_the_bank_of_the_road_is_not_taken_for_steering() -> None:
    _, columns = log_of(3, 0.0, noise=0.001)
    flat = replace(columns, roll_rad=np.full(len(columns), np.nan))
    assert learn(flat, BELIEVED).yaw_rate_error > 1.5 * learn(columns, BELIEVED).yaw_rate_error


def test_a_log_without_steering_or_too_slow_is_refused() -> None:
    columns = straight_columns(1200, 20.0)
    blind = replace(columns, steering_angle_rad=np.full(1200, np.nan))
    for bad in (blind, straight_columns(1200, 20.0, speed_mps=2.0), columns.window(0, 50)):
        with pytest.raises(DataError, match="at least 100 rows"):
            learn(bad, BELIEVED)


def test_a_straight_road_teaches_the_offset_and_leaves_the_rest_open() -> None:
    columns = replace(straight_columns(1200, 20.0), steering_angle_rad=np.full(1200, 0.02))
    noisy = replace(columns, curvature=np.random.default_rng(1).normal(0, 1e-4, 1200))
    found = learn(noisy, BELIEVED)
    assert found.vehicle.angle_offset_rad == pytest.approx(0.02, abs=1e-3)
    assert found.deviation["steer_ratio"] > 0.9 * 0.15 * BELIEVED.steer_ratio


@pytest.mark.skipif(not ROUTE.is_dir(), reason="comma's demo route is not at ../shared/data")
def test_the_demo_route_agrees_with_the_parameters_that_were_learned_in_the_car(
    tmp_path: Path,
) -> None:
    from workers.segments.openpilot.event_log import find_log, read_log
    from workers.segments.openpilot.importer import import_openpilot
    from workers.segments.openpilot.logged_vehicle import vehicle
    from workers.segments.store import read_segment

    meta = import_openpilot(ROUTE, tmp_path, "a2a0ccea32023010|2023-07-27--13-01-19")
    columns = read_segment(tmp_path, meta.segment_id).columns
    factory = vehicle({"carParams": read_log(find_log(ROUTE))["carParams"]})[0]
    assert factory.steer_ratio == pytest.approx(
        13.9
    )  # what is believed knows nothing of liveParameters
    found = learn(columns, factory)
    # One standard deviation each, as the log's last liveParameters states them: ratio, stiffness
    # (a share), offset (fast).
    theirs = {"steer_ratio": 0.073, "slip_factor": 0.0038 * 0.0014, "angle_offset_rad": 0.0056}
    for name in NAMES:
        combined = float(np.hypot(found.deviation[name], theirs[name]))
        assert abs(getattr(found.vehicle, name) - getattr(meta.vehicle, name)) < 1.96 * combined
    before, after, _ = held_out_drift(columns, factory)
    assert after < before / 4
