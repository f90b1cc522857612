"""Driving along a log: what `reprojection` and `rendered` share. Only where the views come from differs.

Each step of every row: the view from the ego's pose, the model's command, the vehicle's answer, a line of the trace.
Without an acceleration from the model the ego keeps the log's speed; with one it drives at its own, and frames are
chosen by arc length. A bound crossed inside the trust region is *failed*; a step outside it is *left_trust_region*,
whatever else is crossed on that step. The crossing step is the last of the trace.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from suites.errors import DataError, Finding, SubmitterError
from suites.manifest import Manifest, VirtualCamera
from suites.parameters import Parameters
from suites.rollout import DriveKey, Trace
from suites.segment import SegmentColumns, SegmentMeta
from suites.vocabulary import Outcome
from workers.policy.policy import Action, Observation
from workers.simulation.road import logged_path as path
from workers.simulation.road import plan_tracking as plan
from workers.simulation.road import vehicle
from workers.simulation.road.logged_path import Floats, Ints
from workers.simulation.road.trust import TRUST, trust_of
from workers.simulation.simulator import RolloutEnd

STATION_GAIN = 0.02
"""1/m: how firmly the followed log's station is kept (a lane on the inside of a bend is shorter than the log's) ..."""
STATION_SHARE = 0.03
"""... at most this share of the speed."""
ABSURD_CURVATURE, ABSURD_MPS2 = 10.0, 1000.0
"""1/m and m/s²: commands beyond are recorded as these, so that no metric of a trace overflows."""
PLAN_S = 2.0
"""When `plan_y_2s_m` is read."""
COLUMNS = (
    "t_s",
    "policy_time_s",
    "x_m",
    "y_m",
    "yaw_rad",
    "speed_mps",
    "acceleration_mps2",
    "curvature",
    "curvature_command",
    "acceleration_command_mps2",
    "saturated",
    "log_index",
    "station_m",
    "lateral_offset_m",
    "heading_error_rad",
    "log_speed_mps",
    "log_acceleration_mps2",
    "log_curvature",
    "log_driver",
    "lane_left_m",
    "lane_right_m",
    "road_left_m",
    "road_right_m",
    "lead_distance_m",
    "trusted",
    "plan_y_2s_m",
)
"""Of suites.rollout.TRACE_COLUMNS, those that driving fills."""


class DrivenSegment(Protocol):
    """What workers.segments.store.read_segment returns."""

    @property
    def meta(self) -> SegmentMeta: ...
    @property
    def digest(self) -> str: ...
    @property
    def columns(self) -> SegmentColumns: ...
    def frames(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]: ...
    def depth(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Poses:
    """Where B cameras' vehicles are, each [B]: rear axle in the segment's local frame (z up), and which logged frame
    is nearest."""

    slot: Ints
    frame: Ints
    time_s: Floats
    """From the segment's start."""
    x_m: Floats
    y_m: Floats
    z_m: Floats
    roll_rad: Floats
    pitch_rad: Floats
    yaw_rad: Floats


class Views(Protocol):
    """The cameras of one batch."""

    def frames(self, poses: Poses) -> NDArray[np.uint8]:
        """RGB [B, H, W, 3] in the model's virtual camera; the buffer is reused. Raises DataError."""

    def release(self, slots: Ints) -> None:
        """Only these segments are driven from now on."""


class MakeViews(Protocol):
    """What makes a simulator of the driving core."""

    def __call__(
        self,
        segments: Sequence[DrivenSegment],
        camera: VirtualCamera,
        parameters: Parameters,
        device: str = "cpu",
    ) -> Views: ...


@dataclass(frozen=True, slots=True)
class DrivingState:
    """B rows in lock-step; arrays [B] unless said."""

    keys: tuple[DriveKey, ...]
    manifest: Manifest
    logs: path.Logs
    views: Views | None
    """None where the model looks at no frames."""
    vehicles: vehicle.Vehicles
    motion: vehicle.Motion
    slot: Ints
    step: int
    """From the window's start; negative in warm-up."""
    planned: Ints
    start_s: Floats
    lateral_start_m: Floats
    longitudinal_start_m: Floats
    heading_start_rad: Floats
    """The scenario's offset with its declared noise."""
    nominal_lateral_m: Floats
    """The scenario's offset."""
    depth: tuple[str, ...]
    """[S] what each segment's views rest on."""
    trust: Floats
    """[B, 3] lateral m, longitudinal m, heading rad."""
    station_m: Floats
    index: Floats
    """Fractional frame of the nearest point of the log."""
    time_index: Floats
    """Fractional frame of the log at this time."""
    lateral_m: Floats
    heading_error_rad: Floats
    record: NDArray[np.float64]
    """[B, T, len(COLUMNS)]: the trace; steps are written in place as they are driven."""


@dataclass(slots=True)
class DrivingSimulator:
    """`Simulator[DrivingState]`. open_segment: segment id to segment, raising DataError; depth_of: what the views of
    a segment rest on (a key of TRUST)."""

    name: str
    version: str
    parameters: Parameters
    open_segment: Callable[[str], DrivenSegment]
    make_views: MakeViews
    depth_of: Callable[[SegmentMeta], str]

    def begin(self, keys: Sequence[DriveKey], manifest: Manifest) -> DrivingState:
        if (
            manifest.action is None
            or manifest.kind != "camera"
            or manifest.action.kind not in ("curvature", "plan")
        ):
            problem = "a camera model with a curvature or a plan as its action expected"
            raise SubmitterError(
                f"{manifest.name} cannot drive {self.name}", (Finding("manifest.action", problem),)
            )
        if manifest.action.kind == "plan":
            plan.check_times(manifest.action.plan_times_s)
        dt = 1.0 / manifest.rate_hz
        ids = list(dict.fromkeys(key.scenario.segment_id for key in keys))
        segments = [self.open_segment(name) for name in ids]
        logs = path.join([(s.meta.segment_id, s.columns) for s in segments])
        slot = np.array([ids.index(key.scenario.segment_id) for key in keys], np.int64)
        planned = np.array(
            [_planned(key, segments[i], dt) for key, i in zip(keys, slot, strict=True)], np.int64
        )
        # Four draws a row, in this order, whether or not they are used: adding one later must come last.
        draws = np.stack([np.random.default_rng(key.seed).standard_normal(4) for key in keys])
        noise = [key.scenario.noise for key in keys]
        nominal = [segments[i].meta.vehicle for i in slot]
        true = [vehicle.overridden(nominal[row], key.vehicle) for row, key in enumerate(keys)]
        zeros, offsets = np.zeros(len(keys)), [key.scenario.offset for key in keys]
        depth, device = tuple(self.depth_of(s.meta) for s in segments), keys[0].execution.device
        trust = [trust_of(TRUST[depth[i]], self.parameters) for i in slot]
        state = DrivingState(
            keys=tuple(keys),
            manifest=manifest,
            logs=logs,
            views=self.make_views(segments, manifest.camera, self.parameters, device)
            if manifest.camera
            else None,
            vehicles=vehicle.vehicles(
                nominal,
                true,
                draws[:, 2] * [n.delay_s for n in noise],
                np.maximum(1.0 + draws[:, 3] * [n.curvature_gain for n in noise], 0.1),
            ),
            motion=vehicle.standing(len(keys), vehicle.pending_slots(dt)),
            slot=slot,
            step=0,
            planned=planned,
            start_s=np.array([key.scenario.start_s for key in keys]),
            lateral_start_m=np.array([o.lateral_m for o in offsets])
            + draws[:, 0] * [n.pose_m for n in noise],
            nominal_lateral_m=np.array([o.lateral_m for o in offsets]),
            longitudinal_start_m=np.array([o.longitudinal_m for o in offsets]),
            heading_start_rad=np.array([o.heading_rad for o in offsets])
            + draws[:, 1] * [n.heading_rad for n in noise],
            depth=depth,
            trust=np.array([[t.lateral_m, t.longitudinal_m, t.heading_rad] for t in trust]),
            station_m=zeros,
            index=zeros,
            time_index=zeros,
            lateral_m=zeros,
            heading_error_rad=zeros,
            record=np.full((len(keys), int(planned.max()), len(COLUMNS)), np.nan),
        )
        return _placed(replace(state, step=-self.warm_up_steps(state)))

    def warm_up_steps(self, state: DrivingState) -> int:
        """By the manifest alone: a row's warm-up must not depend on the others."""
        manifest = state.manifest
        recurrent = bool(manifest.states) or manifest.adapter == "openpilot"
        history = (manifest.history.frames - 1) * manifest.history.stride
        return max(history, round(self.parameters.warm_up_s * manifest.rate_hz) if recurrent else 0)

    def observe(self, state: DrivingState) -> Observation:
        logs, slot, motion = state.logs, state.slot, state.motion
        frames = None
        if state.views is not None:
            frame_at = state.index if self.parameters.feedback == "closed" else state.time_index
            roll = logs.at("roll_rad", slot, state.index)
            frames = state.views.frames(
                Poses(
                    slot=slot,
                    frame=logs.frame(slot, frame_at),
                    time_s=_time(state),
                    x_m=motion.x_m,
                    y_m=motion.y_m,
                    z_m=logs.at("z_m", slot, state.index) + state.lateral_m * roll,
                    roll_rad=roll,
                    pitch_rad=logs.at("pitch_rad", slot, state.index),
                    yaw_rad=motion.yaw_rad,
                )
            )
            frames = _with_image_noise(frames, state)
        scalars = {
            "speed": motion.speed_mps,
            "acceleration": motion.acceleration_mps2,
            "curvature": motion.curvature,
            "desire": _desire(state, self.parameters.indicator == "log"),
            "traffic": np.tile([1.0, 0.0], (len(slot), 1)),
        }
        if state.manifest.builtin == "log":
            scalars["log_plan"] = _log_plan(state)
        return Observation(frames=frames, scalars=scalars)

    def step(
        self, state: DrivingState, action: Action, policy_time_s: float
    ) -> tuple[DrivingState, RolloutEnd]:
        """`action` [B] must be finite, but in warm-up, where it is not read. `policy_time_s`: per row."""
        if state.step < 0:
            return _placed(replace(state, step=state.step + 1)), RolloutEnd(
                rows=np.empty(0, np.int64), outcomes=(), reasons=()
            )
        wanted, plan_y = _wanted(state, action)
        driven, cut = self._drive(state, action, wanted)
        _write(state, action, policy_time_s, wanted, plan_y, cut)
        return driven, self._ended(state)

    def keep(self, state: DrivingState, rows: Ints) -> DrivingState:
        slots = state.slot[rows]
        if state.views is not None:
            state.views.release(np.unique(slots))
        kept: dict[str, Any] = {
            f.name: value[rows]
            for f in fields(state)
            if isinstance(value := getattr(state, f.name), np.ndarray)
        }
        kept |= {"vehicles": _take(state.vehicles, rows), "motion": _take(state.motion, rows)}
        return replace(state, **kept, keys=tuple(state.keys[row] for row in rows))

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

    def _drive(
        self, state: DrivingState, action: Action, wanted: Floats
    ) -> tuple[DrivingState, NDArray[np.bool_]]:
        """The state one step later, and where a limit cut the command."""
        logs, slot, motion, dt = state.logs, state.slot, state.motion, 1.0 / state.manifest.rate_hz
        if action.acceleration is None:
            next_index = logs.index_at_time(slot, _time(state) + dt)
            behind = (
                logs.at("station_m", slot, state.time_index)
                + state.longitudinal_start_m
                - state.station_m
            )
            share = np.clip(STATION_GAIN * behind, -STATION_SHARE, STATION_SHARE)
            speed = np.maximum(logs.at("speed_mps", slot, next_index), 0.0) * (1.0 + share)
            acceleration = logs.at("acceleration_mps2", slot, next_index)
        else:
            speed, acceleration = vehicle.accelerate(
                motion, action.acceleration.reshape(len(slot)), dt
            )
        roll = logs.at("roll_rad", slot, state.index)
        moved, cut = vehicle.steer(state.vehicles, motion, wanted, speed, acceleration, roll, dt)
        after = replace(state, step=state.step + 1)
        if self.parameters.feedback == "log":
            return _placed(after), cut
        return _tracked(
            replace(after, motion=moved), state.station_m, 3.0 * speed * dt + path.BACK_M
        ), cut

    def _ended(self, state: DrivingState) -> RolloutEnd:
        closed = self.parameters.feedback == "closed"
        crossed = self._crossed(state) if closed else {}
        blind = ~_trusted(state) if closed else np.zeros(len(state.slot), np.bool_)
        over = blind | (state.step + 1 >= state.planned)
        over[list(crossed)] = True
        t_s, outcomes, reasons = state.step / state.manifest.rate_hz, [], []
        rows = np.flatnonzero(over)
        for row in rows.tolist():
            reason = ""
            if blind[row]:
                offset, heading = state.lateral_m[row], np.degrees(state.heading_error_rad[row])
                outcome = Outcome.LEFT_TRUST_REGION
                reason = f"left the simulator's trust region at {t_s:.2f} s, {offset:+.2f} m and {heading:+.1f}° off the log"
            elif row in crossed:
                outcome, reason = Outcome.FAILED, f"{crossed[row]} at {t_s:.2f} s"
            else:
                outcome = Outcome.COMPLETED
            outcomes.append(outcome)
            reasons.append(reason)
        return RolloutEnd(rows=rows, outcomes=tuple(outcomes), reasons=tuple(reasons))

    def _crossed(self, state: DrivingState) -> dict[int, str]:
        """The rows that have crossed a bound, and which."""
        half, offset = state.vehicles.width_m / 2, state.lateral_m
        left, right = (
            state.logs.mark(name, state.slot, state.index)
            for name in ("road_left_m", "road_right_m")
        )
        bound = np.maximum(self.parameters.lateral_bound_m, np.abs(state.nominal_lateral_m) + 0.5)
        # Where the logged drive is over the edge itself, the edge is not held against the model (nor if unknown).
        out = {
            int(row): f"left the logged path by {abs(offset[row]):.2f} m"
            for row in np.flatnonzero(np.abs(offset) > bound)
        }
        for row in np.flatnonzero((right <= -half) & (offset < right + half)):
            out[int(row)] = (
                f"left the road by {right[row] + half[row] - offset[row]:.2f} m on the right"
            )
        for row in np.flatnonzero((left >= half) & (offset > left - half)):
            out[int(row)] = (
                f"left the road by {offset[row] + half[row] - left[row]:.2f} m on the left"
            )
        return out


def _planned(key: DriveKey, segment: DrivenSegment, dt: float) -> int:
    scenario, meta, times = key.scenario, segment.meta, segment.columns.t_s
    if segment.digest != scenario.segment_digest:
        problem = f"digest {scenario.segment_digest[:12]}… was asked for, {segment.digest[:12]}… is stored"
        raise DataError(
            f"segment {meta.segment_id} is another one than was asked for",
            (Finding("meta.json", problem),),
        )
    steps = round((scenario.end_s - scenario.start_s) / dt)
    if steps < 1 or scenario.end_s > max(times[-1] + 1.5 / meta.rate_hz, meta.duration_s + 1e-6):
        problem = f"the window {scenario.start_s:g} to {scenario.end_s:g} s does not lie in its {times[-1]:g} s"
        raise DataError(
            f"segment {meta.segment_id} cannot be driven: {problem}",
            (Finding("scenario", problem),),
        )
    return steps


def _time(state: DrivingState) -> Floats:
    """[B] seconds from the segment's start."""
    return np.asarray(state.start_s + state.step / state.manifest.rate_hz)


def _placed(state: DrivingState) -> DrivingState:
    """Every row on the log at this step's time, displaced by its offset; commands that the log's own driver gave are
    under way, so that a model that goes on as the log did meets no transient."""
    logs, slot, rows, dt = state.logs, state.slot, state.vehicles, 1.0 / state.manifest.rate_hz
    time = _time(state)
    at_time = logs.index_at_time(slot, time)
    station = logs.at("station_m", slot, at_time) + state.longitudinal_start_m
    index = np.where(
        state.longitudinal_start_m == 0.0, at_time, logs.index_at_station(slot, station, at_time)
    )
    yaw = logs.at("yaw_rad", slot, index)
    slots = state.motion.pending.shape[1]
    pending = np.stack(
        [
            logs.at(
                "curvature",
                slot,
                logs.index_at_time(slot, time - (k + 1) * dt + rows.delay_s + rows.lag_s),
            )
            for k in range(slots)
        ],
        axis=1,
    )
    x, y = vehicle.displaced(
        logs.at("x_m", slot, index),
        logs.at("y_m", slot, index),
        yaw,
        np.zeros(len(slot)),
        state.lateral_start_m,
    )
    curvature = logs.at("curvature", slot, index)
    motion = vehicle.Motion(
        x_m=x,
        y_m=y,
        yaw_rad=yaw + state.heading_start_rad,
        speed_mps=np.maximum(logs.at("speed_mps", slot, index), 0.0),
        acceleration_mps2=logs.at("acceleration_mps2", slot, index),
        curvature=curvature,
        actuator=curvature.copy(),
        command=pending[:, 0].copy(),
        pending=pending,
    )
    return _tracked(
        replace(state, motion=motion),
        logs.at("station_m", slot, index),
        np.full(len(slot), path.BACK_M),
    )


def _tracked(state: DrivingState, hint_m: Floats, ahead_m: Floats) -> DrivingState:
    """Where the ego is in the log's terms."""
    logs, slot, motion = state.logs, state.slot, state.motion
    time_index = logs.index_at_time(slot, _time(state))
    station, lateral = logs.nearest(slot, motion.x_m, motion.y_m, hint_m, ahead_m)
    index = logs.index_at_station(slot, station, time_index)
    error = motion.yaw_rad - logs.at("yaw_rad", slot, index)
    return replace(
        state,
        station_m=station,
        lateral_m=lateral,
        index=index,
        time_index=time_index,
        heading_error_rad=np.mod(error + np.pi, 2 * np.pi) - np.pi,
    )


def _trusted(state: DrivingState) -> NDArray[np.bool_]:
    ahead = state.station_m - state.logs.at("station_m", state.slot, state.time_index)
    distance = np.abs(np.stack([state.lateral_m, ahead, state.heading_error_rad], axis=1))
    return np.asarray(np.all(distance <= state.trust, axis=1))


def _wanted(state: DrivingState, action: Action) -> tuple[Floats, Floats]:
    """([B] wanted curvature 1/m, [B] y of the plan 2 s ahead m or NaN)."""
    if action.plan is None:
        if action.curvature is None:
            raise SubmitterError(f"{state.manifest.name} answered neither a curvature nor a plan")
        asked = np.asarray(action.curvature, np.float64).reshape(len(state.slot))
        return np.clip(asked, -ABSURD_CURVATURE, ABSURD_CURVATURE), np.full(len(state.slot), np.nan)
    assert state.manifest.action is not None
    times, points = (
        np.array(state.manifest.action.plan_times_s),
        np.asarray(action.plan, np.float64),
    )
    ahead = vehicle.foreseen(state.vehicles, state.motion, 1.0 / state.manifest.rate_hz)
    wanted = plan.curvature_of_plan(
        points, times, state.motion.speed_mps, ahead, state.motion.command
    )
    return np.clip(wanted, -ABSURD_CURVATURE, ABSURD_CURVATURE), plan.lateral_at(
        points, times, PLAN_S
    )


def _write(
    state: DrivingState,
    action: Action,
    policy_time_s: float,
    wanted: Floats,
    plan_y: Floats,
    cut: NDArray[np.bool_],
) -> None:
    """This step's line of the trace."""
    logs, slot, index, motion, offset = (
        state.logs,
        state.slot,
        state.index,
        state.motion,
        state.lateral_m,
    )
    asked = np.full(len(slot), np.nan)
    if action.acceleration is not None:
        asked = np.clip(action.acceleration.reshape(len(slot)), -ABSURD_MPS2, ABSURD_MPS2)
    gap = logs.mark(
        "lead_distance_m", slot, state.time_index
    )  # the vehicle ahead moves with the log's time
    line: dict[str, float | NDArray[Any]] = {
        "t_s": state.step / state.manifest.rate_hz,
        "policy_time_s": policy_time_s,
        "x_m": motion.x_m,
        "y_m": motion.y_m,
        "yaw_rad": motion.yaw_rad,
        "speed_mps": motion.speed_mps,
        "acceleration_mps2": motion.acceleration_mps2,
        "curvature": motion.curvature,
        "curvature_command": wanted,
        "acceleration_command_mps2": asked,
        "saturated": cut,
        "log_index": index,
        "station_m": state.station_m,
        "lateral_offset_m": offset,
        "heading_error_rad": state.heading_error_rad,
        "log_speed_mps": logs.at("speed_mps", slot, index),
        "log_acceleration_mps2": logs.at("acceleration_mps2", slot, index),
        "log_curvature": logs.at("curvature", slot, index),
        "log_driver": logs.mark("driver", slot, index),
        "lead_distance_m": gap + logs.at("station_m", slot, state.time_index) - state.station_m,
        "trusted": _trusted(state),
        "plan_y_2s_m": plan_y,
    }
    for name in ("lane_left_m", "lane_right_m", "road_left_m", "road_right_m"):
        line[name] = logs.mark(name, slot, index) - offset
    for k, name in enumerate(COLUMNS):
        state.record[:, state.step, k] = line[name]


def _desire(state: DrivingState, indicated: bool) -> Floats:
    """[B, 3] one-hot none, left, right: the log's indicator, where the model's desire is the blinker and it is shown."""
    out = np.zeros((len(state.slot), 3))
    if indicated and state.manifest.desire == "blinker":
        out[:, 1] = state.logs.mark("left_blinker", state.slot, state.index) > 0
        out[:, 2] = (state.logs.mark("right_blinker", state.slot, state.index) > 0) & (
            out[:, 1] == 0
        )
    out[:, 0] = 1.0 - out[:, 1] - out[:, 2]
    return out


def _log_plan(state: DrivingState) -> Floats:
    """[B, P, 2] the logged path ahead of the nearest point, in the ego frame; it goes on straight after the last frame."""
    assert state.manifest.action is not None
    logs, motion = state.logs, state.motion
    times = np.array(state.manifest.action.plan_times_s)
    slot = np.repeat(state.slot, len(times))
    when = (logs.at("t_s", state.slot, state.index)[:, None] + times).ravel()
    index, last = logs.index_at_time(slot, when), (logs.count[slot] - 1).astype(np.float64)
    over = np.maximum(when - logs.at("t_s", slot, last), 0.0) * logs.at("speed_mps", slot, last)
    x, y = vehicle.displaced(
        logs.at("x_m", slot, index),
        logs.at("y_m", slot, index),
        logs.at("yaw_rad", slot, last),
        over,
        np.zeros(len(slot)),
    )
    return vehicle.in_ego_frame(motion, x.reshape(-1, len(times)), y.reshape(-1, len(times)))


def _with_image_noise(frames: NDArray[np.uint8], state: DrivingState) -> NDArray[np.uint8]:
    """Declared pixel noise, by (seed, step) alone."""
    for row, key in enumerate(state.keys):
        if key.scenario.noise.image > 0:
            draw = np.random.Generator(np.random.Philox(key=key.seed, counter=state.step % 2**32))
            noise = draw.standard_normal(frames[row].shape, np.float32) * np.float32(
                key.scenario.noise.image
            )
            frames[row] = np.clip(np.rint(frames[row] + noise), 0, 255).astype(np.uint8)
    return frames


def _take(arrays: Any, rows: Ints) -> Any:
    """The same dataclass of arrays [B, ...] with these rows only."""
    return replace(arrays, **{f.name: getattr(arrays, f.name)[rows] for f in fields(arrays)})
