"""Metrics on traces whose answers are known by construction."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from suites.metrics import measure
from suites.metrics.incidents import incidents
from suites.metrics.registry import METRICS
from suites.metrics.steering import reversals
from suites.rollout import Trace
from suites.segment import DRIVER_CODES
from suites.vocabulary import FAILING, Outcome

RATE_HZ = 20.0


def drive(
    steps: int = 400, planned: int | None = None, **columns: NDArray[np.float64] | float
) -> Trace:
    """A car at 20 m/s on the human's path, in the middle of a 3.6 m lane, but for `columns`."""
    base: dict[str, NDArray[np.float64]] = {
        "t_s": np.arange(steps) / RATE_HZ,
        "policy_time_s": np.zeros(steps),
        "log_index": np.arange(steps, dtype=np.float64),
        "speed_mps": np.full(steps, 20.0),
        "log_driver": np.full(steps, float(DRIVER_CODES["human"])),
        "lane_left_m": np.full(steps, 1.8),
        "lane_right_m": np.full(steps, -1.8),
        "road_left_m": np.full(steps, 5.4),
        "road_right_m": np.full(steps, -1.8),
    }
    for name in (
        "lateral_offset_m",
        "heading_error_rad",
        "curvature",
        "curvature_command",
        "log_curvature",
        "saturated",
        "acceleration_mps2",
        "log_acceleration_mps2",
    ):
        base[name] = np.zeros(steps)
    base |= {
        name: np.broadcast_to(np.asarray(value, np.float64), steps).copy()
        for name, value in columns.items()
    }
    return Trace(
        simulator="reprojection", rate_hz=RATE_HZ, columns=base, planned_steps=planned or steps
    )


def moved(
    metres: NDArray[np.float64] | float, steps: int = 400, planned: int | None = None
) -> Trace:
    """The same, displaced to the left."""
    d = np.broadcast_to(np.asarray(metres, np.float64), steps)
    return drive(
        steps,
        planned,
        lateral_offset_m=d,
        lane_left_m=1.8 - d,
        lane_right_m=-1.8 - d,
        road_left_m=5.4 - d,
        road_right_m=-1.8 - d,
    )


def value(name: str, trace: Trace, outcome: Outcome = Outcome.COMPLETED) -> float:
    result = measure(trace, outcome, [name])[name]
    assert result.valid, result.reason
    return result.value


T = np.arange(400) / RATE_HZ


def test_tracking_of_a_known_displacement() -> None:
    ramp = np.linspace(0, 1, 400)
    assert value("lateral_error_mean_m", moved(ramp)) == pytest.approx(0.5)
    assert value("lateral_error_p95_m", moved(ramp)) == pytest.approx(0.95)
    assert value("lateral_error_max_m", moved(ramp)) == pytest.approx(1.0)
    assert value("lane_centre_error_mean_m", moved(-0.3)) == pytest.approx(0.3)
    assert value("lane_bias_m", moved(-0.3)) == pytest.approx(0.3)
    assert value("lane_bias_m", moved(0.3 * np.sin(2 * np.pi * T))) == pytest.approx(0, abs=1e-9)
    assert value("heading_error_mean_rad", drive(heading_error_rad=-0.02)) == pytest.approx(0.02)


def test_turn_cutting_counts_the_inside_only() -> None:
    inside = drive(lateral_offset_m=0.4, log_curvature=0.005)
    outside = drive(lateral_offset_m=-0.4, log_curvature=0.005)
    assert value("turn_cutting_m", inside) == pytest.approx(0.4)
    assert value("turn_cutting_m", outside) == 0
    assert not measure(moved(0.4), Outcome.COMPLETED)["turn_cutting_m"].valid, (
        "no turn, nothing to cut"
    )


def test_where_a_model_drove_the_log_is_no_reference() -> None:
    model = drive(lateral_offset_m=0.4, log_driver=float(DRIVER_CODES["model"]))
    results = measure(model, Outcome.COMPLETED)
    assert not results["lateral_error_mean_m"].valid
    assert results["lane_centre_error_mean_m"].valid, "lane geometry is still a reference"


def test_gain_and_lag_of_a_delayed_damped_steering() -> None:
    logged = 0.004 * np.sin(2 * np.pi * 0.2 * T)
    driven = 0.8 * 0.004 * np.sin(2 * np.pi * 0.2 * (T - 0.3))
    trace = drive(curvature=driven, log_curvature=logged)
    assert value("curvature_gain_error", trace) == pytest.approx(0.2, abs=0.01)
    assert value("curvature_lag_s", trace) == pytest.approx(0.3, abs=1e-9)
    assert not measure(drive(), Outcome.COMPLETED)["curvature_lag_s"].valid, (
        "a straight road tells no lag"
    )


def test_weaving_sees_its_band_and_no_other() -> None:
    assert value("weaving_m", moved(0.2 * np.sin(2 * np.pi * 0.5 * T))) == pytest.approx(
        0.2 / np.sqrt(2), rel=0.02
    )
    assert value("weaving_m", moved(0.2 * np.sin(2 * np.pi * 4.0 * T))) < 0.01
    assert value("weaving_m", moved(np.linspace(0, 2, 400))) < 0.01, "a steady drift is no weaving"


def test_reversals_need_the_gap() -> None:
    angle = np.radians(3.0) * np.sin(2 * np.pi * 0.3 * T)
    assert reversals(angle, float(np.radians(2))) == 12
    assert reversals(angle / 4, float(np.radians(2))) == 0
    curvature = angle / (2.7 * 15)
    assert 30 <= value("steering_reversals_per_min", drive(curvature=curvature)) <= 36


def test_comfort_in_closed_form() -> None:
    trace = drive(curvature=0.005)
    assert value("lateral_acceleration_ms", trace) == pytest.approx(4.0)
    assert value("lateral_acceleration_max_mps2", trace) == pytest.approx(2.0)
    slope = drive(acceleration_mps2=np.linspace(0, 2, 400))
    jerk = 2 / 399 * RATE_HZ
    assert value("longitudinal_jerk_max_mps3", slope) == pytest.approx(jerk)
    assert value("discomfort_share", drive(curvature=0.0125)) == 1.0, (
        "5 m/s² is more than nuPlan's 4.89"
    )
    assert value("discomfort_share", drive(curvature=0.012)) == 0.0


def test_hard_brake_only_where_the_human_did_not() -> None:
    slam = np.where((T > 5) & (T < 6), -4.0, 0.0)
    assert value("hard_brake_share", drive(acceleration_mps2=slam)) == pytest.approx(19 / 400)
    assert value("hard_brake_share", drive(acceleration_mps2=slam, log_acceleration_mps2=slam)) == 0
    found = [i for i in incidents(drive(acceleration_mps2=slam)) if i.kind == "hard_brake"]
    assert len(found) == 1
    assert (found[0].start_s, found[0].end_s) == pytest.approx((5.05, 5.95))


def test_departures_are_dropped_where_the_human_departs_too() -> None:
    assert value("incident_lane_departure", moved(0.9)) == 1.0, (
        "0.9 m + half of 1.85 m is over the 1.8 m edge"
    )
    assert value("incident_lane_departure", moved(0.8)) == 0.0
    both = replace(moved(0.9))
    both.columns["lateral_offset_m"][:] = 0.0  # the human was just as far left
    assert value("incident_lane_departure", both) == 0.0
    assert value("incident_road_departure", moved(-0.9)) == 1.0
    assert value("lane_departure_share", moved(np.where(T < 5, 1.0, 0.0))) == pytest.approx(0.25)


def test_controls_costs() -> None:
    scored = np.zeros(600)
    scored[100:500] = 1
    driven = np.linspace(0, 1, 600)
    columns = {
        "t_s": np.arange(600) / 10,
        "target_lataccel_mps2": driven + 0.1,
        "lataccel_mps2": driven,
        "cost_window": scored,
    }
    trace = Trace(simulator="tinyphysics", rate_hz=10, columns=columns, planned_steps=600)
    lataccel, jerk = value("lataccel_cost", trace), value("jerk_cost", trace)
    assert lataccel == pytest.approx(1.0)
    assert jerk == pytest.approx((1 / 599 / 0.1) ** 2 * 100)
    assert value("total_cost", trace) == 50 * lataccel + jerk
    assert set(measure(trace, Outcome.COMPLETED)) == {"lataccel_cost", "jerk_cost", "total_cost"}


def test_open_and_closed_loop_are_never_mixed() -> None:
    opened = replace(drive(curvature_command=0.001), feedback="log")
    results = measure(opened, Outcome.COMPLETED)
    assert {name for name, result in results.items() if result.valid} == {
        "open_loop_curvature_error"
    }
    assert results["open_loop_curvature_error"].value == pytest.approx(0.001)
    assert not measure(drive(), Outcome.COMPLETED)["open_loop_curvature_error"].valid


def test_missing_is_not_zero() -> None:
    trace = drive(lane_left_m=np.nan)
    result = measure(trace, Outcome.COMPLETED)["lane_centre_error_mean_m"]
    assert not result.valid
    assert np.isnan(result.value)
    bare = Trace(simulator="x", rate_hz=20, columns={"t_s": T}, planned_steps=400)
    assert (
        "no lane_left_m" in measure(bare, Outcome.COMPLETED, ["lane_bias_m"])["lane_bias_m"].reason
    )


DRIVING = sorted(
    name
    for name, metric in METRICS.items()
    if metric.cap is not None
    and not metric.open_loop
    and set(metric.needs) <= drive().columns.keys()
)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000), cut=st.integers(1, 399), outcome=st.sampled_from(sorted(FAILING))
)
def test_leaving_early_never_improves_a_model(seed: int, cut: int, outcome: Outcome) -> None:
    """Every per-step metric of a rollout cut at any step is at least that of the whole drive."""
    generator = np.random.default_rng(seed)
    wander = np.cumsum(generator.normal(0, 0.1, 400))
    whole = moved(wander)
    whole.columns["curvature"][:] = np.cumsum(generator.normal(0, 3e-4, 400))
    whole.columns["log_curvature"][:] = 0.004 * np.sin(T)
    whole.columns["acceleration_mps2"][:] = generator.normal(0, 2, 400)
    short = replace(whole, columns={name: values[:cut] for name, values in whole.columns.items()})
    per_step = [
        n
        for n in DRIVING
        if n.endswith(
            ("_mean_m", "_p95_m", "_max_m", "_share", "_ms", "_mps2", "_mps3", "_mean_rad")
        )
    ]
    complete, left = measure(whole, Outcome.COMPLETED), measure(short, outcome)
    for name in [
        *per_step,
        "curvature_error",
        "incident_lane_departure",
        "incident_comfort_violation",
    ]:
        if complete[name].valid and left[name].valid:
            assert left[name].value >= complete[name].value - 1e-12, name


@pytest.mark.parametrize("name", DRIVING)
def test_a_rollout_that_fails_at_once_takes_the_cap(name: str) -> None:
    nothing = measure(drive(steps=1, planned=400), Outcome.FAILED, [name])[name]
    cap = METRICS[name].cap
    assert cap is not None
    if nothing.valid:
        assert nothing.value == pytest.approx(cap, rel=0.01)
    assert measure(None, Outcome.POLICY_FAILED, [name])[name].value == cap


@pytest.mark.parametrize("name", DRIVING)
def test_censored_rollouts_say_the_range(name: str) -> None:
    result = measure(moved(0.2, steps=200, planned=400), Outcome.LEFT_TRUST_REGION, [name])[name]
    if result.valid:
        assert result.low <= result.value <= result.high
        assert result.low < result.high


def test_censored_mean_is_the_mixture_of_driven_and_not_driven() -> None:
    result = measure(moved(0.2, steps=100, planned=400), Outcome.LEFT_TRUST_REGION)[
        "lateral_error_mean_m"
    ]
    assert (result.low, result.value, result.high) == pytest.approx((0.05, 0.2, 3.05))


def test_time_to_failure_of_a_censored_rollout_may_be_the_whole_window() -> None:
    result = measure(drive(steps=100, planned=400), Outcome.LEFT_TRUST_REGION)["time_to_failure_s"]
    assert (result.value, result.low, result.high) == (5.0, 20.0, 5.0)


def test_trace_survives_storage_bit_for_bit() -> None:
    trace = drive(curvature=np.random.default_rng(1).normal(size=400))
    again = Trace.from_bytes(trace.to_bytes())
    assert again.to_bytes() == trace.to_bytes()
    assert all(np.array_equal(again[name], trace[name]) for name in trace.columns)
