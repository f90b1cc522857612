"""Driving along a log: the controls, the bounds and their order, the longitudinal axis, noise."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from suites.errors import DataError, SubmitterError
from suites.metrics import measure
from suites.metrics.result import MetricResult
from suites.parameters import parse
from suites.rollout import TRACE_COLUMNS, Noise, Offset, Rollout
from suites.vocabulary import Outcome
from workers.policy.log_policy import LogPolicy, log_manifest
from workers.policy.policy import Action, Observation, Policy
from workers.simulation.loop import drive
from workers.simulation.road.trace_record import COLUMNS
from workers.simulation.tests.analytic import MemorySegment, key_for, segment
from workers.simulation.tests.models import Answer, Model, manifest, straight
from workers.simulation.views.reprojection import over_segments

ROAD = segment()


def run(
    stored: MemorySegment, policy: Policy, parameters: dict[str, Any] | None = None, **key: Any
) -> Rollout:
    simulator = over_segments(lambda name: stored, parse(parameters or {}))
    (rollout,) = drive(simulator, policy, [key_for(stored, **key)])
    return rollout


def blind(answer: Answer) -> Model:
    return Model(answer, manifest(camera=None))


def column(rollout: Rollout, name: str) -> NDArray[np.float64]:
    assert rollout.trace is not None
    return rollout.trace[name]


def steering(curvature: float) -> Model:
    return blind(lambda observation, rows, step: Action(curvature=np.full(len(rows), curvature)))


def test_identity_replay_is_exact() -> None:
    rollout = run(ROAD, steering(0.1), {"feedback": "log"}, start_s=0.0)
    assert rollout.outcome is Outcome.COMPLETED
    assert np.abs(column(rollout, "lateral_offset_m")).max() < 1e-9
    assert np.abs(column(rollout, "heading_error_rad")).max() < 1e-9
    for name in ("x_m", "y_m", "yaw_rad", "speed_mps", "curvature"):
        assert column(rollout, name) == pytest.approx(getattr(ROAD.columns, name)[:400], abs=1e-12)
    assert column(rollout, "log_index") == pytest.approx(np.arange(400), abs=1e-9)
    assert rollout.trace is not None
    assert rollout.trace.feedback == "log"


WAYS = {
    "bends": ROAD,
    "changing speed": segment("b", 25.0, lambda t: 12 + 6 * np.sin(t / 3)),
    "motorway": segment("c", 20.0, lambda t: np.full_like(t, 30.0), lambda t: 0.0015 * np.sin(t)),
}


@pytest.mark.parametrize("offset", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("way", WAYS)
def test_log_policy_comes_back_from_an_offset_and_stays(way: str, offset: float) -> None:
    rollout = run(WAYS[way], LogPolicy(), offset=Offset(lateral_m=offset))
    lateral = column(rollout, "lateral_offset_m")
    assert rollout.outcome is Outcome.COMPLETED
    assert lateral[0] == pytest.approx(offset, abs=5e-3)
    assert np.abs(lateral[120:]).max() < 0.07  # the contract asks for 0.20
    assert np.abs(lateral).max() < max(abs(offset) + 0.01, 0.07)


def test_every_driving_column_is_recorded() -> None:
    rollout = run(ROAD, LogPolicy())
    assert rollout.trace is not None
    assert set(COLUMNS) == set(rollout.trace.columns)
    assert set(COLUMNS) < set(TRACE_COLUMNS)
    unknown = {name for name, values in rollout.trace.columns.items() if np.isnan(values).all()}
    assert unknown == {"acceleration_command_mps2", "lead_distance_m"}
    assert column(rollout, "lane_left_m") == pytest.approx(
        1.8 - column(rollout, "lateral_offset_m")
    )
    assert column(rollout, "road_right_m") == pytest.approx(
        -2.6 - column(rollout, "lateral_offset_m")
    )
    assert np.isfinite(column(rollout, "plan_y_2s_m")).all()


@pytest.mark.parametrize("side, sign", [("left", 1.0), ("right", -1.0)])
def test_leaving_the_road_inside_the_trust_region_is_failed(side: str, sign: float) -> None:
    edges = {
        "road_left_m": np.full(len(ROAD.columns), 2.6),
        "road_right_m": np.full(len(ROAD.columns), -2.6),
    }
    narrow = replace(ROAD, columns=replace(ROAD.columns, **edges))
    rollout = run(narrow, steering(sign * 0.004))
    assert rollout.outcome is Outcome.FAILED
    assert rollout.reason.startswith("left the road by 0.")
    assert f"on the {side}" in rollout.reason
    edge = column(rollout, f"road_{side}_m") * sign
    assert edge[-1] < 1.85 / 2 <= edge[-2]  # the crossing step is the last of the trace
    assert rollout.trusted_share == 1.0
    assert rollout.ended_s == pytest.approx(len(edge) / 20)


def test_leaving_the_logged_path_is_failed_where_the_road_is_wide() -> None:
    wide = replace(
        ROAD, columns=replace(ROAD.columns, road_right_m=np.full(len(ROAD.columns), np.nan))
    )
    rollout = run(wide, steering(-0.004))
    assert (rollout.outcome, abs(column(rollout, "lateral_offset_m")[-1]) > 2.0) == (
        Outcome.FAILED,
        True,
    )
    assert "left the logged path by 2." in rollout.reason


def test_a_bound_outside_the_trust_region_is_not_the_models_failure() -> None:
    flat = replace(ROAD, meta=replace(ROAD.meta, depth_source="plane"))
    rollout = run(flat, steering(-0.004))
    assert rollout.outcome is Outcome.LEFT_TRUST_REGION
    assert (
        abs(column(rollout, "lateral_offset_m")[-1])
        > 1.5
        >= abs(column(rollout, "lateral_offset_m")[-2])
    )
    assert 0.9 < rollout.trusted_share < 1.0
    sharp = run(ROAD, steering(-0.02), {"trust_heading_rad": 0.01})
    assert sharp.outcome is Outcome.LEFT_TRUST_REGION


def test_the_first_bound_decides() -> None:
    assert (
        run(ROAD, steering(0.004), {"lateral_bound_m": 3.0, "trust_lateral_m": 2.9}).outcome
        is Outcome.LEFT_TRUST_REGION
    )
    assert (
        run(ROAD, steering(0.004), {"lateral_bound_m": 2.8, "trust_lateral_m": 2.9}).outcome
        is Outcome.FAILED
    )


def test_an_edge_that_the_human_was_over_too_is_not_held_against_the_model() -> None:
    over = replace(
        ROAD, columns=replace(ROAD.columns, road_right_m=np.full(len(ROAD.columns), -0.5))
    )
    rollout = run(over, LogPolicy())
    assert rollout.outcome is Outcome.COMPLETED


def test_a_wide_start_is_given_room_to_come_back() -> None:
    open_road = replace(
        ROAD, columns=replace(ROAD.columns, road_right_m=np.full(len(ROAD.columns), np.nan))
    )
    assert run(open_road, LogPolicy(), offset=Offset(lateral_m=-2.2)).outcome is Outcome.COMPLETED


def test_without_an_acceleration_the_logs_speed_is_followed_through_a_stop() -> None:
    stop = segment(
        "stop",
        20.0,
        lambda t: np.clip(np.abs(t - 9) - 3, 0, None) * 2.5,
        lambda t: np.zeros_like(t),
    )
    rollout = run(stop, LogPolicy(), offset=Offset(lateral_m=0.5))
    assert rollout.outcome is Outcome.COMPLETED
    assert column(rollout, "speed_mps") == pytest.approx(stop.columns.speed_mps[20:400], abs=0.35)
    assert column(rollout, "log_index") == pytest.approx(np.arange(20, 400), abs=1.0)


def test_on_the_inside_of_a_bend_the_logs_station_is_kept() -> None:
    bend = segment("bend", 20.0, lambda t: np.full_like(t, 15.0), lambda t: np.full_like(t, 0.01))
    rollout = run(bend, LogPolicy(), {"lateral_bound_m": 3.0}, offset=Offset(lateral_m=1.5))
    logged = np.arange(20, 400) * 0.75
    assert np.abs(column(rollout, "station_m") - logged).max() < 0.75


def braking(at: float) -> Model:
    return blind(
        lambda observation, rows, step: Action(
            curvature=observation.scalars["curvature"],
            acceleration=np.full(len(rows), -at if step > 20 else 0.0),
        )
    )


def test_with_an_acceleration_the_model_drives_at_its_own_speed_and_frames_go_by_arc_length() -> (
    None
):
    line = segment("line", 20.0, lambda t: np.full_like(t, 15.0), lambda t: np.zeros_like(t))
    rollout = run(line, braking(1.0), {"trust_longitudinal_m": 500.0})
    speed, index = column(rollout, "speed_mps"), column(rollout, "log_index")
    assert rollout.outcome is Outcome.COMPLETED
    assert speed[-1] == 0.0
    assert index == pytest.approx(column(rollout, "station_m") / 0.75, abs=0.02)
    assert index[-1] < 200
    assert column(rollout, "acceleration_command_mps2")[-1] == -1.0


def test_too_far_from_where_the_log_was_is_outside_the_trust_region() -> None:
    line = segment("line", 20.0, lambda t: np.full_like(t, 15.0), lambda t: np.zeros_like(t))
    rollout = run(line, braking(3.0))
    assert rollout.outcome is Outcome.LEFT_TRUST_REGION
    assert rollout.trace is not None
    behind = 15 + 0.75 * np.arange(len(rollout.trace)) - column(rollout, "station_m")
    assert behind[-1] > 15.0 >= behind[-2]


def test_hard_braking_and_stopping_short_of_where_the_log_stopped_are_measured() -> None:
    """The log brakes at 1.5 m/s² from 12 m/s; the models with it, as hard or harder."""
    stop = segment(
        "stop", 14.0, lambda t: np.clip(12 - 1.5 * (t - 2), 0, 12), lambda t: np.zeros_like(t)
    )

    def braking_at(mps2: float) -> dict[str, MetricResult]:
        def answer(observation: Observation, rows: NDArray[np.int64], step: int) -> Action:
            return Action(
                curvature=np.zeros(len(rows)),
                acceleration=np.full(len(rows), -mps2 if step >= 20 else 0.0),
            )

        rollout = run(stop, blind(answer), {"trust_longitudinal_m": 50.0})
        assert rollout.outcome is Outcome.COMPLETED
        return measure(
            rollout.trace,
            rollout.outcome,
            ("hard_brake_share", "incident_hard_brake", "progress_shortfall"),
        )

    hard, soft = braking_at(6.0), braking_at(1.5)
    assert soft["hard_brake_share"].value == soft["incident_hard_brake"].value == 0.0
    assert soft["progress_shortfall"].value < 0.05
    assert hard["incident_hard_brake"].value == 1.0
    assert 13 * hard["hard_brake_share"].value == pytest.approx(12 / 6, abs=0.2), "seconds of 13"
    # It stands 12 + 12 + 3.6 m (for the lag) after the window's start, where the log was after 2.4
    # of its 13 s.
    assert hard["progress_shortfall"].value == pytest.approx(1 - 2.43 / 13, abs=0.02)


def test_declared_noise_comes_from_the_seed_and_only_where_it_is_declared() -> None:
    noise = Noise(pose_m=0.2, heading_rad=0.01, delay_s=0.05, curvature_gain=0.1)
    first, again, other = (
        run(ROAD, LogPolicy(), noise=noise, repeat=repeat) for repeat in (0, 0, 1)
    )
    assert (
        column(first, "lateral_offset_m").tobytes() == column(again, "lateral_offset_m").tobytes()
    )
    assert column(first, "lateral_offset_m")[0] != pytest.approx(
        column(other, "lateral_offset_m")[0], abs=1e-3
    )
    still, copy = (run(ROAD, LogPolicy(), repeat=repeat) for repeat in (0, 1))
    assert column(still, "x_m").tobytes() == column(copy, "x_m").tobytes()


def test_vehicle_overrides_change_the_car_and_not_what_its_controller_believes() -> None:
    plain, worn = (
        run(ROAD, LogPolicy()),
        run(ROAD, LogPolicy(), vehicle={"slip_factor": -0.003, "width_m": 2.2}),
    )
    assert worn.trace is not None
    assert worn.trace.vehicle_width_m == 2.2
    assert (
        np.abs(column(worn, "lateral_offset_m")).max()
        > 2 * np.abs(column(plain, "lateral_offset_m")).max()
    )


def test_the_blinker_is_the_desire_where_the_model_asks_for_it() -> None:
    seen: list[list[float]] = []

    def look(observation: Observation, rows: NDArray[np.int64], step: int) -> Action:
        seen.append(observation.scalars["desire"][0].tolist())
        return straight(observation, rows, step)

    blinking = replace(
        ROAD, columns=replace(ROAD.columns, left_blinker=np.arange(len(ROAD.columns)) >= 30)
    )
    for desire in ("none", "blinker"):
        run(blinking, Model(look, replace(manifest(camera=None), desire=desire)), end_s=2.0)
    assert seen[:20] == [[1.0, 0.0, 0.0]] * 20
    assert seen[20:] == [[1.0, 0.0, 0.0]] * 10 + [[0.0, 1.0, 0.0]] * 10
    run(
        blinking,
        Model(look, replace(manifest(camera=None), desire="blinker")),
        {"indicator": "none"},
        end_s=2.0,
    )
    assert seen[40:] == [[1.0, 0.0, 0.0]] * 20, "a suite may drive as if nobody wanted to turn"


@pytest.mark.parametrize("window", [{"start_s": 5.0, "end_s": 5.0}, {"end_s": 99.0}])
def test_a_window_outside_the_segment_is_bad_data(window: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="segment a cannot be driven: the window"):
        run(ROAD, LogPolicy(), **window)


def test_a_segment_of_one_frame_is_refused_or_driven_for_its_one_step() -> None:
    one = segment("one", columns=ROAD.columns.window(0, 1))
    with pytest.raises(DataError, match="segment one cannot be driven"):
        run(one, LogPolicy(), start_s=0.0, end_s=1.0)
    rollout = run(one, LogPolicy(), start_s=0.0, end_s=0.05)
    assert (rollout.outcome, rollout.ended_s) == (Outcome.COMPLETED, 0.05)


@pytest.mark.parametrize(
    "wrong",
    [{"lateral_bond_m": 2.0}, {"feedback": "open"}, {"lateral_bound_m": -1.0}, {"warp": "magic"}],
)
def test_unknown_or_malformed_parameters_are_the_submitters(wrong: dict[str, Any]) -> None:
    with pytest.raises(SubmitterError, match="parameters are not valid") as caught:
        parse(wrong)
    assert next(iter(wrong)) in caught.value.findings[0].where


def test_a_plan_that_gives_no_curvature_is_the_submitters() -> None:
    log = log_manifest()
    assert log.action is not None
    short = replace(log, action=replace(log.action, plan_times_s=(0.0, 0.5, 1.0)))
    with pytest.raises(SubmitterError, match="plan's times"):
        run(ROAD, LogPolicy(short))


@pytest.mark.parametrize("absurd", [1e300, -1e300])
def test_an_absurd_plan_is_an_absurd_command_and_nothing_worse(absurd: float) -> None:
    log = log_manifest()
    rollout = run(
        ROAD,
        Model(
            lambda observation, rows, step: Action(plan=np.full((len(rows), 31, 2), absurd)), log
        ),
    )
    assert rollout.outcome in (Outcome.FAILED, Outcome.LEFT_TRUST_REGION)
    assert np.isfinite(column(rollout, "curvature")).all()
