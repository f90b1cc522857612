"""Where B rows in lock-step are, at every step, on the road and in the log's terms."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from suites.manifest import Manifest
from suites.rollout import DriveKey
from workers.simulation.road import logged_path, vehicle
from workers.simulation.road.logged_path import Floats, Ints
from workers.simulation.road.view_protocol import Views

ROW_FIELDS = ("slot", "planned", "trust", "record", "start", "place", "vehicles", "motion")
"""Of a DrivingState, what has a line for each row (`keys` too)."""


class Start(NamedTuple):
    """Where each row starts, [B]: the scenario's offset with its declared noise."""

    time_s: Floats
    lateral_m: Floats
    longitudinal_m: Floats
    heading_rad: Floats
    nominal_lateral_m: Floats
    """Without the noise."""


class Place(NamedTuple):
    """Where each ego is in the log's terms, [B]."""

    station_m: Floats
    log_index: Floats
    """Fractional frame of the nearest point of the log."""
    time_index: Floats
    """Fractional frame of the log at this time."""
    lateral_m: Floats
    heading_error_rad: Floats


@dataclass(frozen=True, slots=True)
class DrivingState:
    """B rows in lock-step; arrays [B] unless said."""

    keys: tuple[DriveKey, ...]
    manifest: Manifest
    logs: logged_path.Logs
    views: Views | None
    """None where the model looks at no frames."""
    depth: tuple[str, ...]
    """[S] what each segment's views rest on."""
    step: int
    """From the window's start; negative in warm-up."""
    slot: Ints
    planned: Ints
    """Steps of the window."""
    trust: Floats
    """[B, 3] lateral m, longitudinal m, heading rad."""
    record: NDArray[np.float64]
    """[B, T, len(COLUMNS)]: the trace; steps are written in place as they are driven."""
    start: Start
    place: Place
    vehicles: vehicle.Vehicles
    motion: vehicle.Motion

    @property
    def dt_s(self) -> float:
        return 1.0 / self.manifest.rate_hz

    @property
    def time_s(self) -> Floats:
        """[B] seconds from the segment's start."""
        return np.asarray(self.start.time_s + self.step / self.manifest.rate_hz)

    def at(self, column: str) -> Floats:
        """[B] a number of the log at the nearest point."""
        return self.logs.at(column, self.slot, self.place.log_index)

    def mark(self, column: str) -> Floats:
        """[B] a mark of the log at the nearest point."""
        return self.logs.mark(column, self.slot, self.place.log_index)

    def log_station_m(self) -> Floats:
        """[B] where the log was at this time."""
        return self.logs.at("station_m", self.slot, self.place.time_index)

    def trusted(self) -> NDArray[np.bool_]:
        """[B] whether the simulator can tell what the camera sees here."""
        place = self.place
        ahead = place.station_m - self.log_station_m()
        off = np.abs(np.stack([place.lateral_m, ahead, place.heading_error_rad], axis=1))
        return np.asarray(np.all(off <= self.trust, axis=1))

    def rows(self, rows: Ints) -> "DrivingState":
        """These rows only."""
        changed = {name: taken(getattr(self, name), rows) for name in ROW_FIELDS}
        return replace(self, **changed, keys=tuple(self.keys[row] for row in rows))


def taken(arrays: Any, rows: Ints) -> Any:
    """Of an array [B, ...], or of a named tuple of such, these rows."""
    if isinstance(arrays, np.ndarray):
        return arrays[rows]
    return type(arrays)(*(taken(part, rows) for part in arrays))


def placed(state: DrivingState) -> DrivingState:
    """Every row on the log at this step's time, displaced by its offset.

    The commands that the log's own driver gave are under way: a model that goes on as the log did
    meets no transient.
    """
    logs, slot, rows, start = state.logs, state.slot, state.vehicles, state.start
    time = state.time_s
    at_time = logs.index_at_time(slot, time)
    station = logs.at("station_m", slot, at_time) + start.longitudinal_m
    moved = logs.index_at_station(slot, station, at_time)
    index = np.where(start.longitudinal_m == 0.0, at_time, moved)

    def at(column: str) -> Floats:
        return logs.at(column, slot, index)

    def given(steps: int) -> Floats:
        """The log's curvature by the time at which a command `steps` steps ago has acted."""
        acts_at = time - steps * state.dt_s + rows.delay_s + rows.lag_s
        return logs.at("curvature", slot, logs.index_at_time(slot, acts_at))

    pending = np.stack([given(k + 1) for k in range(state.motion.pending.shape[1])], axis=1)
    yaw, curvature = at("yaw_rad"), at("curvature")
    x, y = vehicle.displaced(at("x_m"), at("y_m"), yaw, np.zeros(len(slot)), start.lateral_m)
    motion = vehicle.Motion(
        x_m=x,
        y_m=y,
        yaw_rad=yaw + start.heading_rad,
        speed_mps=np.maximum(at("speed_mps"), 0.0),
        acceleration_mps2=at("acceleration_mps2"),
        curvature=curvature,
        actuator=curvature.copy(),
        command=pending[:, 0].copy(),
        pending=pending,
    )
    back = np.full(len(slot), logged_path.BACK_M)
    return tracked(replace(state, motion=motion), at("station_m"), back)


def tracked(state: DrivingState, hint_m: Floats, ahead_m: Floats) -> DrivingState:
    """The ego in the log's terms, searched from `hint_m` to `ahead_m` beyond (`Logs.nearest`)."""
    logs, slot, motion = state.logs, state.slot, state.motion
    time_index = logs.index_at_time(slot, state.time_s)
    station, lateral = logs.nearest(slot, motion.x_m, motion.y_m, hint_m, ahead_m)
    index = logs.index_at_station(slot, station, time_index)
    error = motion.yaw_rad - logs.at("yaw_rad", slot, index)
    place = Place(
        station_m=station,
        log_index=index,
        time_index=time_index,
        lateral_m=lateral,
        heading_error_rad=np.mod(error + np.pi, 2 * np.pi) - np.pi,
    )
    return replace(state, place=place)
