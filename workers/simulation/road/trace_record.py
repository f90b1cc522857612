"""The line of the trace that each step of driving writes."""

import numpy as np
from numpy.typing import NDArray

from suites.rollout import TRACE_COLUMNS
from workers.policy.policy import Action
from workers.simulation.road.driving_state import DrivingState
from workers.simulation.road.logged_path import Floats

ABSURD_MPS2 = 1000.0
"""Commands beyond are recorded as this, so that no metric of a trace overflows."""
COLUMNS = tuple(TRACE_COLUMNS)[: list(TRACE_COLUMNS).index("plan_y_2s_m") + 1]
"""Of every simulator, and of those that drive: the rest is tinyphysics'."""
TO_EDGES = ("lane_left_m", "lane_right_m", "road_left_m", "road_right_m")


def empty_record(rows: int, steps: int) -> NDArray[np.float64]:
    """`DrivingState.record` before the first step."""
    return np.full((rows, steps, len(COLUMNS)), np.nan)


def write_step(
    state: DrivingState,
    action: Action,
    policy_time_s: float,
    wanted: Floats,
    plan_y: Floats,
    cut: NDArray[np.bool_],
) -> None:
    """This step's line of the trace: where the rows are, what is wanted, where a limit cut it."""
    logs, slot, place, motion = state.logs, state.slot, state.place, state.motion
    asked = np.full(len(slot), np.nan)
    if action.acceleration is not None:
        asked = np.clip(action.acceleration.reshape(len(slot)), -ABSURD_MPS2, ABSURD_MPS2)
    # The vehicle ahead moves with the log's time, not with the ego's place.
    gap = logs.mark("lead_distance_m", slot, place.time_index)
    moving = ("x_m", "y_m", "yaw_rad", "speed_mps", "acceleration_mps2", "curvature")
    line: dict[str, float | NDArray[np.float64] | NDArray[np.bool_]] = {
        "t_s": state.step / state.manifest.rate_hz,
        "policy_time_s": policy_time_s,
        **{name: getattr(motion, name) for name in moving},
        "curvature_command": wanted,
        "acceleration_command_mps2": asked,
        "saturated": cut,
        "log_index": place.log_index,
        "station_m": place.station_m,
        "lateral_offset_m": place.lateral_m,
        "heading_error_rad": place.heading_error_rad,
        "log_speed_mps": state.at("speed_mps"),
        "log_acceleration_mps2": state.at("acceleration_mps2"),
        "log_curvature": state.at("curvature"),
        "log_driver": state.mark("driver"),
        **{name: state.mark(name) - place.lateral_m for name in TO_EDGES},
        "lead_distance_m": gap + state.log_station_m() - place.station_m,
        "trusted": state.trusted(),
        "plan_y_2s_m": plan_y,
    }
    for k, name in enumerate(COLUMNS):
        state.record[:, state.step, k] = line[name]
