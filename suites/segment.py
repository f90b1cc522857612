"""A segment as arrays: what the log knows at each frame; NaN is *missing*."""

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from suites.identity import canonical_json, digest

Floats = NDArray[np.float64]

DRIVER_CODES: dict[str, int] = {"unknown": 0, "human": 1, "model": 2, "takeover": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentColumns:
    """Numeric log of one segment at its N frame times: columns [N].

    The ego's reference point is the middle of the rear axle on the ground. x, y, z is a local frame
    in metres (z up) with the first frame's origin and heading.
    """

    t_s: Floats
    """Seconds from the segment's start, strictly increasing, the first 0."""
    x_m: Floats
    y_m: Floats
    z_m: Floats
    roll_rad: Floats
    pitch_rad: Floats
    """Positive nose down (ISO 8855: rotation about y left)."""
    yaw_rad: Floats
    """Left positive, unwrapped."""
    speed_mps: Floats
    acceleration_mps2: Floats
    """Longitudinal."""
    curvature: Floats
    """Of the driven path, 1/m, left positive."""
    steering_angle_rad: Floats
    """At the steering wheel, left positive."""
    driver: NDArray[np.int64]
    """DRIVER_CODES: who drove."""
    left_blinker: NDArray[np.bool_]
    right_blinker: NDArray[np.bool_]
    lane_left_m: Floats
    """From the reference point along the ego's y axis (left positive) to its lane's left edge:
    positive when inside the lane."""
    lane_right_m: Floats
    """The same for the right edge: negative when inside the lane."""
    road_left_m: Floats
    road_right_m: Floats
    lead_distance_m: Floats
    """Gap ahead to the nearest vehicle in the ego's lane; NaN if none or unknown."""

    def __len__(self) -> int:
        return len(self.t_s)

    def window(self, start: int, stop: int) -> "SegmentColumns":
        """Rows [start, stop)."""
        return SegmentColumns(**{f.name: getattr(self, f.name)[start:stop] for f in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """The pinhole camera of the *stored* frames (pixels) and its mount on the vehicle."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    forward_m: float
    """Position ahead of the rear axle."""
    left_m: float
    up_m: float
    """Height above the ground."""
    roll_rad: float = 0.0
    pitch_rad: float = 0.0
    """Positive nose down."""
    yaw_rad: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for what is no camera above a ground."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        unfit = [name for name, value in values.items() if not math.isfinite(value)]
        unfit += [name for name in ("width", "height", "fx", "fy", "up_m") if not values[name] > 0]
        if unfit:
            raise ValueError(f"a camera's {unfit[0]} cannot be {values[unfit[0]]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """Parameters of the bicycle model (Rajamani, Vehicle Dynamics and Control, ch. 2)."""

    wheelbase_m: float = 2.7
    steer_ratio: float = 15.0
    slip_factor: float = 0.0
    """s²/m²: curvature = tan(steer) / wheelbase / (1 - slip_factor * v²); negative understeers."""
    angle_offset_rad: float = 0.0
    """At the steering wheel."""
    actuator_delay_s: float = 0.2
    actuator_time_constant_s: float = 0.1
    max_curvature_rate: float = 0.05
    """1/m/s, at any speed; the lateral jerk bound below holds as well."""
    max_lateral_acceleration_mps2: float = 4.0
    max_lateral_jerk_mps3: float = 5.0
    torque_lateral_acceleration_mps2: float | None = None
    """Held by the steering motor's full torque (openpilot's latAccelFactor); None: no limit."""
    torque_friction: float = 0.0
    """Share of the full torque that friction takes (openpilot's `friction`)."""
    max_torque_rate: float | None = None
    """Full torques per s by which it may change; None: no limit.
    (openpilot: STEER_DELTA_UP a step, of STEER_MAX.)"""
    width_m: float = 1.85
    length_m: float = 4.6


DepthSource = Literal["exact", "lidar", "stereo", "model", "plane"]
TimeOfDay = Literal["day", "twilight", "night"]
Weather = Literal["dry", "rain", "snow", "fog"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What suites select a segment by, beside its tags. None is unknown: it meets no rule."""

    mean_speed_mps: float | None = None
    max_speed_mps: float | None = None
    max_curvature: float | None = None
    """1/m, magnitude: exceeded in 1 % of the frames at more than 5 m/s.
    One odd sample does not decide."""
    time_of_day: TimeOfDay | None = None
    """By the sun's elevation: `day` above -0.833° (sunrise), `night` below -6° (civil twilight)."""
    weather: Weather | None = None
    """No log tells it: stated at import."""
    intersection: bool | None = None
    """Whether it drives through one; no log tells it: stated at import."""
    platform: str | None = None
    """The car: openpilot's fingerprint, or what was stated at import."""


UNKNOWN = Facts()


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentMeta:
    """`meta.json`, the truth about a stored segment; its digest is the segment's identity."""

    format: Literal["redrive.segment/1"] = "redrive.segment/1"
    segment_id: str
    """Stable, chosen at import: `route/number`, e.g. `a2a0ccea32023010_2023-07-27--13-01-19/0`."""
    route: str
    source: str
    """Importer and version: `openpilot/4`, `world/6`, `controls-csv/2`."""
    kind: Literal["camera", "controls"]
    frame_count: int
    rate_hz: float
    duration_s: float
    camera: Camera | None = None
    vehicle: Vehicle
    depth_source: DepthSource | None = None
    depth: dict[str, Any] = field(default_factory=dict)
    """Codec parameters: width, height, near_m, far_m."""
    tags: tuple[str, ...] = ()
    """Words that suites select by: `curve`, `lane_change`, `exit`, `hill`, `near_vehicle` ..."""
    facts: Facts = UNKNOWN
    missing: tuple[str, ...] = ()
    """Channels that the source did not have."""
    notes: tuple[str, ...] = ()
    """What the importer wants the reader to know."""
    files: dict[str, str] = field(default_factory=dict)
    """File name to sha256."""
    origin: dict[str, Any] = field(default_factory=dict)
    """Where it came from: seed, parameters, input file digests."""

    def canonical(self) -> bytes:
        """The bytes of `meta.json`: canonical JSON without fields that are None or empty.

        A field that comes later is so by default: what was stored before it keeps its identity.
        """
        return canonical_json(_stated(self))

    @property
    def digest(self) -> str:
        """sha256 of `canonical`: the segment's identity."""
        return digest(self.canonical())


def _stated(value: Camera | Vehicle | Facts | SegmentMeta) -> dict[str, Any]:
    """Fields of a dataclass, and of those within, that say something."""
    parts = {f.name: getattr(value, f.name) for f in fields(value)}
    stated = {
        name: _stated(part) if isinstance(part, Camera | Vehicle | Facts) else part
        for name, part in parts.items()
    }
    return {name: part for name, part in stated.items() if part not in (None, {}, ())}
