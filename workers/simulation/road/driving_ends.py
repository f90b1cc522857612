"""How a row of driving ends: completed, failed at a bound, or outside the trust region."""

import numpy as np

from suites.parameters import Parameters
from suites.vocabulary import Outcome
from workers.simulation.road.driving_state import DrivingState
from workers.simulation.simulator import RolloutEnd


def ended(state: DrivingState, parameters: Parameters) -> RolloutEnd:
    """The rows that end at this step. What the simulator cannot see counts before what it sees.

    Driving on the log's own poses (`feedback = "log"`) only completes.
    """
    closed = parameters.feedback == "closed"
    crossed = _crossed(state, parameters.lateral_bound_m) if closed else {}
    blind = ~state.trusted() if closed else np.zeros(len(state.slot), np.bool_)
    over = blind | (state.step + 1 >= state.planned)
    over[list(crossed)] = True
    t_s = state.step / state.manifest.rate_hz
    rows = np.flatnonzero(over)
    ends: list[tuple[Outcome, str]] = []
    for row in rows.tolist():
        if blind[row]:
            offset = state.place.lateral_m[row]
            heading = np.degrees(state.place.heading_error_rad[row])
            where = f"{offset:+.2f} m and {heading:+.1f}° off the log"
            reason = f"left the simulator's trust region at {t_s:.2f} s, {where}"
            ends.append((Outcome.LEFT_TRUST_REGION, reason))
        elif row in crossed:
            ends.append((Outcome.FAILED, f"{crossed[row]} at {t_s:.2f} s"))
        else:
            ends.append((Outcome.COMPLETED, ""))
    outcomes, reasons = zip(*ends, strict=True) if ends else ((), ())
    return RolloutEnd(rows=rows, outcomes=outcomes, reasons=reasons)


def _crossed(state: DrivingState, lateral_bound_m: float) -> dict[int, str]:
    """The rows that have crossed a bound, and which."""
    offset = state.place.lateral_m
    half = state.vehicles.width_m / 2
    left, right = state.mark("road_left_m"), state.mark("road_right_m")
    bound = np.maximum(lateral_bound_m, np.abs(state.start.nominal_lateral_m) + 0.5)
    out = {
        row: f"left the logged path by {abs(offset[row]):.2f} m"
        for row in np.flatnonzero(np.abs(offset) > bound).tolist()
    }
    # An edge that is unknown, or that the log's own drive is over, is not held against the model.
    over_right = (right <= -half) & (offset < right + half)
    over_left = (left >= half) & (offset > left - half)
    for side, over, by in (
        ("right", over_right, right + half - offset),
        ("left", over_left, offset + half - left),
    ):
        for row in np.flatnonzero(over).tolist():
            out[row] = f"left the road by {by[row]:.2f} m on the {side}"
    return out
