"""The vehicle: delay, lag, limits, understeer, speed, each against its closed form."""

from dataclasses import replace

import numpy as np
import pytest

from suites.errors import SubmitterError
from suites.segment import Vehicle
from workers.simulation.road import vehicle

DT = 0.05
FREE = Vehicle(
    actuator_delay_s=0.0,
    actuator_time_constant_s=0.0,
    max_curvature_rate=100.0,
    max_lateral_jerk_mps3=1e6,
    max_lateral_acceleration_mps2=1e6,
)


def driven(
    car: Vehicle,
    commands: list[float],
    speed: float = 20.0,
    true: Vehicle | None = None,
    roll: float = 0.0,
    gain: float = 1.0,
) -> tuple[list[vehicle.Motion], list[bool]]:
    rows = vehicle.vehicles([car], [true or car], np.zeros(1), np.array([gain]))
    motion = vehicle.standing(1, vehicle.pending_slots(DT))._replace(speed_mps=np.array([speed]))
    motions, cuts = [], []
    for command in commands:
        motion, cut = vehicle.steer(
            rows, motion, np.array([command]), motion.speed_mps, np.zeros(1), np.array([roll]), DT
        )
        motions.append(motion)
        cuts.append(bool(cut[0]))
    return motions, cuts


def curvatures(motions: list[vehicle.Motion]) -> list[float]:
    return [float(m.curvature[0]) for m in motions]


def test_a_constant_curvature_is_a_circle() -> None:
    motions, _ = driven(FREE, [0.02] * 100, speed=10.0)
    last = motions[-1]
    # The first step turns from 0 to 0.02: half a step of heading less than 50 m of circle.
    assert last.yaw_rad[0] == pytest.approx(0.02 * 49.75)
    assert np.hypot(last.x_m[0], last.y_m[0]) == pytest.approx(2 * 50 * np.sin(0.5), abs=0.1)


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.12, 0.23, 1.0])
def test_a_command_arrives_after_the_delay_interpolated_between_steps(delay: float) -> None:
    commands = list(1e-3 * np.arange(60.0))
    motions, _ = driven(replace(FREE, actuator_delay_s=delay), commands)
    assert curvatures(motions)[40:] == pytest.approx(np.array(commands[40:]) - 1e-3 * delay / DT)


def test_the_lag_is_first_order() -> None:
    motions, _ = driven(replace(FREE, actuator_time_constant_s=0.2), [0.01] * 20)
    assert curvatures(motions) == pytest.approx(0.01 * (1 - np.exp(-DT / 0.2 * np.arange(1, 21))))


def test_limits_cut_the_command_and_say_so() -> None:
    rate, cut = driven(replace(FREE, max_curvature_rate=0.02), [0.002] * 4)
    assert curvatures(rate) == pytest.approx([0.001, 0.002, 0.002, 0.002])
    assert cut == [True, False, False, False]
    jerk, _ = driven(replace(FREE, max_lateral_jerk_mps3=5.0), [1.0] * 3)
    assert np.diff(curvatures(jerk)) * 400 / DT == pytest.approx([5.0, 5.0])
    held, cut = driven(replace(FREE, max_lateral_acceleration_mps2=4.0), [-1.0] * 3)
    assert curvatures(held) == pytest.approx([-0.01] * 3)
    assert cut == [True] * 3


WEAK = replace(FREE, torque_lateral_acceleration_mps2=2.0, torque_friction=0.25)


@pytest.mark.parametrize("speed", [5.0, 20.0, 30.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_steering_torque_bounds_the_lateral_acceleration_alike_to_both_sides(
    speed: float, sign: float
) -> None:
    motions, cut = driven(WEAK, [sign * 0.19] * 3, speed=speed)
    assert np.array(curvatures(motions)) * speed**2 == pytest.approx([sign * 1.5] * 3)
    assert cut == [True] * 3
    below, cut = driven(WEAK, [sign * 1.4 / speed**2] * 3, speed=speed)
    assert np.array(curvatures(below)) * speed**2 == pytest.approx([sign * 1.4] * 3)
    assert cut == [False] * 3


def test_a_bank_takes_its_part_of_the_steering_torque() -> None:
    lean = 9.81 * 0.05  # left side up: gravity pulls to the right, so less is left for a left turn
    for sign, held in ((1.0, 1.5 - lean), (-1.0, 1.5 + lean)):
        motions, _ = driven(WEAK, [sign * 0.19] * 2, roll=0.05)
        assert np.array(curvatures(motions)) * 400 == pytest.approx([sign * held] * 2)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_steering_torque_changes_no_faster_than_its_rate(sign: float) -> None:
    motions, cut = driven(replace(WEAK, max_torque_rate=0.5), [sign * 0.19] * 40)
    torque = np.array(curvatures(motions)) * 400 / 2.0
    assert np.diff(torque[:29], prepend=0.0) == pytest.approx(np.full(29, sign * 0.5 * DT))
    assert torque[-1] == pytest.approx(sign * 0.75)  # the other quarter is friction
    assert cut == [True] * 40


def test_a_torque_limit_that_is_never_reached_changes_no_bit() -> None:
    commands = list(0.004 * np.sin(np.arange(100.0)))
    far = replace(
        Vehicle(), torque_lateral_acceleration_mps2=1e9, torque_friction=0.5, max_torque_rate=1e9
    )
    one, other = (driven(car, commands, roll=0.02)[0][-1] for car in (Vehicle(), far))
    assert [one.x_m, one.y_m, one.yaw_rad] == [other.x_m, other.y_m, other.yaw_rad]


def test_a_car_that_is_what_its_controller_believes_drives_what_is_asked() -> None:
    car = replace(FREE, slip_factor=-0.002, angle_offset_rad=0.1, steer_ratio=13.0)
    motions, _ = driven(car, [0.01] * 3, roll=0.03)
    assert curvatures(motions) == pytest.approx([0.01] * 3)


def test_understeer_that_the_controller_does_not_know_drives_less_curvature() -> None:
    motions, _ = driven(FREE, [0.01] * 3, speed=30.0, true=replace(FREE, slip_factor=-0.001))
    assert curvatures(motions) == pytest.approx([0.01 / (1 + 0.001 * 900)] * 3, rel=1e-6)


def test_steer_ratio_angle_offset_and_gain_are_seen_in_the_path() -> None:
    assert curvatures(
        driven(FREE, [0.01], true=replace(FREE, steer_ratio=30.0))[0]
    ) == pytest.approx([0.005], rel=1e-3)
    turned = driven(FREE, [0.0], true=replace(FREE, angle_offset_rad=0.15))[0]
    assert curvatures(turned) == pytest.approx([np.tan(-0.01) / 2.7])
    assert curvatures(driven(FREE, [0.01], gain=1.1)[0]) == pytest.approx([0.011])


def test_a_bank_pulls_an_understeering_car_whose_controller_does_not_know_it() -> None:
    # Left side up, gravity pulls to the right: an understeering car drifts that way.
    motions, _ = driven(FREE, [0.0] * 2, true=replace(FREE, slip_factor=-0.001), roll=0.05)
    assert curvatures(motions)[0] == pytest.approx(-0.001 * 9.81 * 0.05 / (1 + 0.001 * 400))


def test_foreseen_is_where_the_commands_under_way_take_the_car() -> None:
    car = replace(FREE, actuator_delay_s=0.2)
    motions, _ = driven(car, [0.0] * 10 + [0.01] * 4)
    rows = vehicle.vehicles([car], [car], np.zeros(1), np.ones(1))
    time, x, y, yaw = vehicle.foreseen(rows, motions[-1], DT)
    after, _ = driven(car, [0.0] * 10 + [0.01] * 4 + [0.0] * 4)
    start, end = motions[-1], after[-1]
    assert time == pytest.approx([0.2])
    assert yaw == pytest.approx(end.yaw_rad - start.yaw_rad, abs=5e-3)
    assert x == pytest.approx(end.x_m - start.x_m, abs=0.01)
    assert y == pytest.approx(end.y_m - start.y_m, abs=0.05)


def test_acceleration_is_followed_with_a_lag_within_bounds_and_never_backwards() -> None:
    motion = vehicle.standing(1, 3)._replace(speed_mps=np.array([10.0]))
    speeds = [10.0]
    for _ in range(60):
        speed, acceleration = vehicle.accelerate(motion, np.array([-50.0]), DT)
        motion = motion._replace(speed_mps=speed, acceleration_mps2=acceleration)
        assert acceleration[0] >= -9.0
        speeds.append(float(speed[0]))
    assert speeds[1] == pytest.approx(10.0 - 9.0 * (1 - np.exp(-DT / 0.3)) * DT)
    assert speeds[-1] == 0.0
    assert min(np.diff(speeds)) >= -9.0 * DT


def test_overrides_are_checked_and_named() -> None:
    assert vehicle.overridden(FREE, {"width_m": 2.1}).width_m == 2.1
    with pytest.raises(SubmitterError, match="no parameter 'wdith_m'"):
        vehicle.overridden(FREE, {"wdith_m": 2.1})
    with pytest.raises(SubmitterError, match="parameters are not valid"):
        vehicle.overridden(FREE, {"width_m": "wide"})
