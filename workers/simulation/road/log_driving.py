"""Driving along a log: what every camera simulator shares. Only where the views come from differs.

    observe: the view from the ego's pose, the vehicle's own numbers
       │ model
    step:    wanted curvature ─ vehicle ─▶ next pose ─▶ place in the log's terms
       └──── a line of the trace, and the rows that end

Without an acceleration from the model the ego keeps the log's speed. With one it drives at its own,
and frames are chosen by arc length.

A bound crossed inside the trust region is *failed*. A step outside the region is
*left_trust_region*, whatever else is crossed on it. That step is the last of the trace.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suites.errors import SubmitterError
from suites.manifest import Manifest
from suites.parameters import Parameters
from suites.rollout import DriveKey, Trace
from suites.segment import SegmentMeta
from workers.policy.policy import Action, Observation
from workers.simulation.road import logged_path, vehicle
from workers.simulation.road import plan_tracking as plan
from workers.simulation.road.driving_ends import ended
from workers.simulation.road.driving_start import at_the_start, check_action
from workers.simulation.road.driving_state import DrivingState, placed, tracked
from workers.simulation.road.logged_path import Floats, Ints
from workers.simulation.road.trace_record import COLUMNS, write_step
from workers.simulation.road.view_protocol import DrivenSegment, MakeViews, Poses
from workers.simulation.simulator import RolloutEnd

STATION_GAIN = 0.02
"""1/m: how firmly the log's station is kept (the inside of a bend is shorter than the log's) ..."""
STATION_SHARE = 0.03
"""... at most this share of the speed."""
ABSURD_CURVATURE = 10.0
"""1/m: commands beyond are taken and recorded as this, so that no metric of a trace overflows."""
PLAN_S = 2.0
"""When `plan_y_2s_m` is read."""
NOBODY = RolloutEnd(rows=np.empty(0, np.int64), outcomes=(), reasons=())


@dataclass(slots=True)
class DrivingSimulator:
    """`Simulator[DrivingState]`."""

    name: str
    version: str
    parameters: Parameters
    open_segment: Callable[[str], DrivenSegment]
    """By its id. Raises DataError."""
    make_views: MakeViews
    depth_of: Callable[[SegmentMeta], str]
    """What the views of a segment rest on: a key of TRUST."""

    def begin(self, keys: Sequence[DriveKey], manifest: Manifest) -> DrivingState:
        check_action(manifest, self.name)
        ids = dict.fromkeys(key.scenario.segment_id for key in keys)
        segments = [self.open_segment(name) for name in ids]
        state = at_the_start(
            keys, manifest, segments, self.parameters, self.make_views, self.depth_of
        )
        return placed(replace(state, step=-self.warm_up_steps(state)))

    def warm_up_steps(self, state: DrivingState) -> int:
        """By the manifest alone: a row's warm-up must not depend on the others."""
        manifest = state.manifest
        recurrent = bool(manifest.states) or manifest.adapter == "openpilot"
        history = (manifest.history.frames - 1) * manifest.history.stride
        return max(history, round(self.parameters.warm_up_s * manifest.rate_hz) if recurrent else 0)

    def observe(self, state: DrivingState) -> Observation:
        motion = state.motion
        frames = None
        if state.views is not None:
            frames = _with_image_noise(state.views.frames(self._poses(state)), state)
        scalars = {
            "speed": motion.speed_mps,
            "acceleration": motion.acceleration_mps2,
            "curvature": motion.curvature,
            "desire": _desire(state, self.parameters.indicator == "log"),
            "traffic": np.tile([1.0, 0.0], (len(state.slot), 1)),
        }
        if state.manifest.builtin == "log":
            scalars["log_plan"] = _log_plan(state)
        return Observation(frames=frames, scalars=scalars)

    def step(
        self, state: DrivingState, action: Action, policy_time_s: float
    ) -> tuple[DrivingState, RolloutEnd]:
        """`action` [B]: finite, but in warm-up, when it is not read. policy_time_s: per row."""
        if state.step < 0:
            return placed(replace(state, step=state.step + 1)), NOBODY
        wanted, plan_y = _wanted(state, action)
        driven, cut = self._drive(state, action, wanted)
        write_step(state, action, policy_time_s, wanted, plan_y, cut)
        return driven, ended(state, self.parameters)

    def keep(self, state: DrivingState, rows: Ints) -> DrivingState:
        kept = state.rows(rows)
        if state.views is not None:
            state.views.release(np.unique(kept.slot))
        return kept

    def trace(self, state: DrivingState, row: int) -> Trace:
        driven = int(np.count_nonzero(np.isfinite(state.record[row, :, 0])))
        return Trace(
            simulator=self.name,
            rate_hz=state.manifest.rate_hz,
            feedback=self.parameters.feedback,
            columns={name: state.record[row, :driven, k].copy() for k, name in enumerate(COLUMNS)},
            vehicle_width_m=float(state.vehicles.width_m[row]),
            planned_steps=int(state.planned[row]),
        )

    def provenance(self, state: DrivingState, row: int) -> dict[str, Any]:
        return {"depth": state.depth[state.slot[row]]}

    def _poses(self, state: DrivingState) -> Poses:
        """The log's height and tilt at the nearest point, carried to the ego along the bank."""
        motion, place = state.motion, state.place
        frame_at = place.log_index if self.parameters.feedback == "closed" else place.time_index
        roll = state.at("roll_rad")
        return Poses(
            slot=state.slot,
            frame=state.logs.frame(state.slot, frame_at),
            time_s=state.time_s,
            x_m=motion.x_m,
            y_m=motion.y_m,
            z_m=state.at("z_m") + place.lateral_m * roll,
            roll_rad=roll,
            pitch_rad=state.at("pitch_rad"),
            yaw_rad=motion.yaw_rad,
        )

    def _drive(
        self, state: DrivingState, action: Action, wanted: Floats
    ) -> tuple[DrivingState, NDArray[np.bool_]]:
        """The state one step later, and where a limit cut the command."""
        motion = state.motion
        dt = state.dt_s
        if action.acceleration is None:
            speed, acceleration = _log_speed(state)
        else:
            asked = action.acceleration.reshape(len(state.slot))
            speed, acceleration = vehicle.accelerate(motion, asked, dt)
        roll = state.at("roll_rad")
        moved, cut = vehicle.steer(state.vehicles, motion, wanted, speed, acceleration, roll, dt)
        after = replace(state, step=state.step + 1)
        if self.parameters.feedback == "log":
            return placed(after), cut
        ahead = 3.0 * speed * dt + logged_path.BACK_M
        return tracked(replace(after, motion=moved), state.place.station_m, ahead), cut


def _log_speed(state: DrivingState) -> tuple[Floats, Floats]:
    """(speed [B], acceleration [B]) of the log one step on, a little off to keep the station."""
    logs, slot = state.logs, state.slot
    following = logs.index_at_time(slot, state.time_s + state.dt_s)
    behind = state.log_station_m() + state.start.longitudinal_m - state.place.station_m
    share = np.clip(STATION_GAIN * behind, -STATION_SHARE, STATION_SHARE)
    speed = np.maximum(logs.at("speed_mps", slot, following), 0.0) * (1.0 + share)
    return speed, logs.at("acceleration_mps2", slot, following)


def _wanted(state: DrivingState, action: Action) -> tuple[Floats, Floats]:
    """([B] wanted curvature 1/m, [B] y of the plan 2 s ahead m or NaN)."""
    if action.plan is not None:
        assert state.manifest.action is not None
        times = np.array(state.manifest.action.plan_times_s)
        points = np.asarray(action.plan, np.float64)
        ahead = vehicle.foreseen(state.vehicles, state.motion, state.dt_s)
        speed, last = state.motion.speed_mps, state.motion.command
        wanted = plan.curvature_of_plan(points, times, speed, ahead, last)
        plan_y = plan.lateral_at(points, times, PLAN_S)
    elif action.curvature is not None:
        wanted = np.asarray(action.curvature, np.float64).reshape(len(state.slot))
        plan_y = np.full(len(state.slot), np.nan)
    else:
        raise SubmitterError(f"{state.manifest.name} answered neither a curvature nor a plan")
    return np.clip(wanted, -ABSURD_CURVATURE, ABSURD_CURVATURE), plan_y


def _desire(state: DrivingState, indicated: bool) -> Floats:
    """[B, 3] one-hot none, left, right: the log's indicator, for a model that is told it."""
    out = np.zeros((len(state.slot), 3))
    if indicated and state.manifest.desire == "blinker":
        left, right = state.mark("left_blinker") > 0, state.mark("right_blinker") > 0
        out[:, 1] = left
        out[:, 2] = right & ~left
    out[:, 0] = 1.0 - out[:, 1] - out[:, 2]
    return out


def _log_plan(state: DrivingState) -> Floats:
    """[B, P, 2] the logged path ahead of the nearest point, in the ego frame.

    It goes on straight after the last frame.
    """
    assert state.manifest.action is not None
    logs = state.logs
    times = np.array(state.manifest.action.plan_times_s)
    slot = np.repeat(state.slot, len(times))
    when = (state.at("t_s")[:, None] + times).ravel()
    index = logs.index_at_time(slot, when)
    last = (logs.frames[slot] - 1).astype(np.float64)
    beyond_s = np.maximum(when - logs.at("t_s", slot, last), 0.0)
    x, y = vehicle.displaced(
        logs.at("x_m", slot, index),
        logs.at("y_m", slot, index),
        logs.at("yaw_rad", slot, last),
        beyond_s * logs.at("speed_mps", slot, last),
        np.zeros(len(slot)),
    )
    by_row = (-1, len(times))
    return vehicle.in_ego_frame(state.motion, x.reshape(by_row), y.reshape(by_row))


def _with_image_noise(frames: NDArray[np.uint8], state: DrivingState) -> NDArray[np.uint8]:
    """Declared pixel noise, by (seed, step) alone."""
    for row, key in enumerate(state.keys):
        grey = np.float32(key.scenario.noise.image)
        if grey > 0:
            draw = np.random.Generator(np.random.Philox(key=key.seed, counter=state.step % 2**32))
            noise = draw.standard_normal(frames[row].shape, np.float32) * grey
            frames[row] = np.clip(np.rint(frames[row] + noise), 0, 255).astype(np.uint8)
    return frames
