"""The one literal registry of metrics.

To add one: write its function of a trace beside its like (per step [T], or one number of the
whole), add it here, and add its line to docs/reference.md, which a test asks for.
"""

from dataclasses import dataclass, replace
from typing import Literal

from suites.metrics import comfort, controls, incidents, steering, tracking
from suites.metrics.steps import (
    Measure,
    largest_of,
    magnitude,
    mean_of,
    percentile_of,
    squared,
    whole,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A named measure with unit and direction."""

    name: str = ""
    """Filled in from the registry's key."""
    version: int = 1
    """Raised whenever its values can change."""
    unit: str
    description: str
    kind: Literal["cost", "score", "rate"] = "cost"
    """A cost: at least 0, lower is better. A score: higher is better. A rate: 1 where something
    happened and 0 where not, judged by counts; lower is better."""
    share: bool = False
    """A cost within [0, 1]: a gate may judge it as a rate."""
    cap: float | None
    """Value of a step (or of the whole) that was not driven; None: it measures that itself."""
    needs: tuple[str, ...]
    """Trace columns without which it is not valid."""
    measure: Measure
    open_loop: bool = False
    """Read from open-loop traces, and from no others."""

    @property
    def direction(self) -> Literal["lower", "higher"]:
        """Which way is better."""
        return "higher" if self.kind == "score" else "lower"


def _happened(kind: str, description: str) -> Metric:
    """1 where an incident of this kind happened, else 0."""
    detect, needs = incidents.DETECTORS[kind]
    return Metric(
        unit="1",
        description=description,
        kind="rate",
        cap=1.0,
        needs=needs,
        measure=largest_of(detect),
    )


def _share(kind: str, description: str) -> Metric:
    """The share of the steps at which an incident of this kind happens."""
    detect, _ = incidents.DETECTORS[kind]
    happened = _happened(kind, description)
    return replace(happened, kind="cost", share=True, measure=mean_of(detect))


_ENTRIES: dict[str, Metric] = {
    "lateral_error_mean_m": Metric(
        unit="m",
        description="Mean distance from the human's path, over human-driven steps",
        cap=tracking.LATERAL_CAP_M,
        needs=("lateral_offset_m", "log_driver"),
        measure=mean_of(tracking.lateral_error_m),
    ),
    "lateral_error_p95_m": Metric(
        unit="m",
        description="95th percentile of the distance from the human's path",
        cap=tracking.LATERAL_CAP_M,
        needs=("lateral_offset_m", "log_driver"),
        measure=percentile_of(tracking.lateral_error_m, 95),
    ),
    "lateral_error_max_m": Metric(
        unit="m",
        description="Largest distance from the human's path",
        cap=tracking.LATERAL_CAP_M,
        needs=("lateral_offset_m", "log_driver"),
        measure=largest_of(tracking.lateral_error_m),
    ),
    "lane_centre_error_mean_m": Metric(
        unit="m",
        description="Mean distance from the middle of the lane",
        cap=tracking.LATERAL_CAP_M,
        needs=("lane_left_m", "lane_right_m"),
        measure=mean_of(magnitude(tracking.lane_position_m)),
    ),
    "lane_bias_m": Metric(
        unit="m",
        description="Magnitude of the mean signed position in the lane: hugging one side",
        cap=tracking.LATERAL_CAP_M,
        needs=("lane_left_m", "lane_right_m"),
        measure=whole(tracking.lane_bias_m),
    ),
    "heading_error_mean_rad": Metric(
        unit="rad",
        description="Mean heading difference from the human's path",
        cap=tracking.HEADING_CAP_RAD,
        needs=("heading_error_rad", "log_driver"),
        measure=mean_of(tracking.heading_error_rad),
    ),
    "turn_cutting_m": Metric(
        unit="m",
        description="Mean offset towards the inside of turns tighter than 500 m",
        cap=tracking.LATERAL_CAP_M,
        needs=("lateral_offset_m", "log_curvature", "log_driver"),
        measure=mean_of(tracking.turn_cutting_m),
    ),
    "time_to_failure_s": Metric(
        unit="s",
        description="Time driven before the rollout failed",
        kind="score",
        cap=None,
        needs=("t_s", "log_index"),
        measure=tracking.time_to_failure_s,
    ),
    "progress_shortfall": Metric(
        unit="1",
        description="Share of the logged progress that was not made "
        "(1 - nuPlan's ego progress along the expert route)",
        share=True,
        cap=1.0,
        needs=("log_index",),
        measure=whole(tracking.progress_shortfall),
    ),
    "curvature_error": Metric(
        unit="1/m",
        description="Mean difference between driven and human curvature",
        cap=steering.CURVATURE_CAP,
        needs=("curvature", "log_curvature", "log_driver"),
        measure=mean_of(steering.curvature_error),
    ),
    "curvature_gain_error": Metric(
        unit="1",
        description="Distance from 1 of the gain of driven on human curvature",
        cap=1.0,
        needs=("curvature", "log_curvature", "log_driver"),
        measure=whole(steering.curvature_gain_error),
    ),
    "curvature_lag_s": Metric(
        unit="s",
        description="Magnitude of the lag of driven behind human curvature",
        cap=steering.MAX_LAG_S,
        needs=("curvature", "log_curvature", "log_driver"),
        measure=whole(steering.curvature_lag_s),
    ),
    "open_loop_curvature_error": Metric(
        unit="1/m",
        description="OPEN LOOP: mean difference between asked and logged curvature "
        "on the logged poses",
        cap=steering.CURVATURE_CAP,
        needs=("curvature_command", "log_curvature"),
        open_loop=True,
        measure=steering.open_loop_curvature_error,
    ),
    "weaving_m": Metric(
        unit="m",
        description="Root mean square of the lateral offset between 0.1 and 1 Hz",
        cap=1.0,
        needs=("lateral_offset_m",),
        measure=whole(steering.weaving_m),
    ),
    "steering_reversals_per_min": Metric(
        unit="1/min",
        description="Steering reversals of at least 2° (SAE J2944)",
        cap=120.0,
        needs=("curvature",),
        measure=whole(steering.steering_reversals_per_min),
    ),
    "saturation_share": Metric(
        unit="1",
        description="Share of steps at which a limit cut the model's command",
        share=True,
        cap=1.0,
        needs=("saturated",),
        measure=mean_of(steering.saturated),
    ),
    "lateral_acceleration_ms": Metric(
        unit="m²/s⁴",
        description="Mean square lateral acceleration",
        cap=comfort.ACCELERATION_CAP_MPS2**2,
        needs=("curvature", "speed_mps"),
        measure=mean_of(squared(comfort.lateral_acceleration_mps2)),
    ),
    "lateral_acceleration_max_mps2": Metric(
        unit="m/s²",
        description="Largest lateral acceleration (nuPlan: ego_lat_acceleration)",
        cap=comfort.ACCELERATION_CAP_MPS2,
        needs=("curvature", "speed_mps"),
        measure=largest_of(magnitude(comfort.lateral_acceleration_mps2)),
    ),
    "lateral_jerk_ms": Metric(
        unit="m²/s⁶",
        description="Mean square lateral jerk",
        cap=comfort.JERK_CAP_MPS3**2,
        needs=("curvature", "speed_mps"),
        measure=mean_of(squared(comfort.lateral_jerk_mps3)),
    ),
    "lateral_jerk_max_mps3": Metric(
        unit="m/s³",
        description="Largest lateral jerk",
        cap=comfort.JERK_CAP_MPS3,
        needs=("curvature", "speed_mps"),
        measure=largest_of(magnitude(comfort.lateral_jerk_mps3)),
    ),
    "longitudinal_acceleration_ms": Metric(
        unit="m²/s⁴",
        description="Mean square longitudinal acceleration",
        cap=comfort.ACCELERATION_CAP_MPS2**2,
        needs=("acceleration_mps2",),
        measure=mean_of(squared(comfort.longitudinal_acceleration_mps2)),
    ),
    "longitudinal_acceleration_max_mps2": Metric(
        unit="m/s²",
        description="Largest longitudinal acceleration (nuPlan: ego_lon_acceleration)",
        cap=comfort.ACCELERATION_CAP_MPS2,
        needs=("acceleration_mps2",),
        measure=largest_of(magnitude(comfort.longitudinal_acceleration_mps2)),
    ),
    "longitudinal_jerk_ms": Metric(
        unit="m²/s⁶",
        description="Mean square longitudinal jerk",
        cap=comfort.JERK_CAP_MPS3**2,
        needs=("acceleration_mps2",),
        measure=mean_of(squared(comfort.longitudinal_jerk_mps3)),
    ),
    "longitudinal_jerk_max_mps3": Metric(
        unit="m/s³",
        description="Largest longitudinal jerk (nuPlan: ego_lon_jerk)",
        cap=comfort.JERK_CAP_MPS3,
        needs=("acceleration_mps2",),
        measure=largest_of(magnitude(comfort.longitudinal_jerk_mps3)),
    ),
    "hard_brake_share": _share(
        "hard_brake", "Share of steps braking harder than 3 m/s² where the human did not"
    ),
    "discomfort_share": _share(
        "comfort_violation", "Share of steps outside nuPlan's comfort bounds"
    ),
    "lane_departure_share": _share(
        "lane_departure",
        "Share of steps with the body over the lane's edge where the human kept inside",
    ),
    "incident_road_departure": _happened(
        "road_departure", "1 if the body left the road where the human did not"
    ),
    "incident_lane_departure": _happened(
        "lane_departure", "1 if the body left the lane where the human did not"
    ),
    "incident_hard_brake": _happened(
        "hard_brake", "1 if the car slammed on the brakes where the human did not"
    ),
    "incident_comfort_violation": _happened(
        "comfort_violation", "1 if any of nuPlan's comfort bounds was crossed"
    ),
    "lataccel_cost": Metric(
        unit="1",
        description="Controls challenge: mean square error of lateral acceleration, times 100",
        cap=controls.LATACCEL_CAP,
        needs=("target_lataccel_mps2", "lataccel_mps2", "cost_window"),
        measure=whole(controls.lataccel_cost),
    ),
    "jerk_cost": Metric(
        unit="1",
        description="Controls challenge: mean square lateral jerk, times 100",
        cap=controls.JERK_CAP,
        needs=("lataccel_mps2", "cost_window"),
        measure=whole(controls.jerk_cost),
    ),
    "total_cost": Metric(
        unit="1",
        description="Controls challenge: 50 times lataccel_cost plus jerk_cost",
        cap=controls.LATACCEL_WEIGHT * controls.LATACCEL_CAP + controls.JERK_CAP,
        needs=("target_lataccel_mps2", "lataccel_mps2", "cost_window"),
        measure=whole(controls.total_cost),
    ),
}

METRICS = {name: replace(metric, name=name) for name, metric in _ENTRIES.items()}
