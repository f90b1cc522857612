"""What a simulator fills and a metric reads: the contract between driving and measuring."""

import io
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from suites.identity import digest, seed_for
from suites.simulators import SimulatorSpec as SimulatorSpec  # a part of the key: had from here
from suites.vocabulary import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """Displacement of the ego from the logged path at the start of the window (ISO 8855)."""

    lateral_m: Annotated[float, Field(ge=-20, le=20)] = 0.0
    longitudinal_m: Annotated[float, Field(ge=-200, le=200)] = 0.0
    heading_rad: Annotated[float, Field(ge=-math.pi, le=math.pi)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Standard deviations of the declared noise, drawn from the seed. All zero: repeats are copies.

    Bounded where it would no longer be noise.
    """

    pose_m: Annotated[float, Field(ge=0, le=5)] = 0.0
    heading_rad: Annotated[float, Field(ge=0, le=1)] = 0.0
    delay_s: Annotated[float, Field(ge=0, le=1)] = 0.0
    curvature_gain: Annotated[float, Field(ge=0, le=1)] = 0.0
    image: Annotated[float, Field(ge=0, le=255)] = 0.0
    """Standard deviation in grey levels (0-255)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """segment + window + offset + declared noise."""

    segment_id: str
    segment_digest: str
    start_s: float
    """Start of the judged window; warm-up lies before it where the log has it."""
    end_s: float
    offset: Offset = field(default_factory=Offset)
    noise: Noise = field(default_factory=Noise)

    @property
    def digest(self) -> str:
        return digest(self)

    def seed(self, repeat: int) -> int:
        return seed_for(self.digest, repeat)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionClass:
    """What may move the last bits of a result: both models of a comparison share it."""

    runtime: str
    """`onnxruntime`, `openvino`, `tinygrad`, `builtin`."""
    version: str
    precision: str = "float32"
    device: str = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveKey:
    """Identity of a rollout: equal keys give equal rollouts, driven once and stored once."""

    model: str
    scenario: Scenario
    repeat: int = 0
    simulator: SimulatorSpec
    vehicle: dict[str, Any] = field(default_factory=dict)
    """Overrides of the segment's vehicle parameters; empty: the segment's own."""
    execution: ExecutionClass

    @property
    def digest(self) -> str:
        return digest(self)

    @property
    def seed(self) -> int:
        return self.scenario.seed(self.repeat)

    @property
    def group(self) -> str:
        """Keys of one simulator and execution class can share a shard, whatever their model."""
        return digest([digest(self.simulator), digest(self.execution)])


TRACE_COLUMNS: dict[str, str] = {
    # every simulator
    "t_s": "time from the window's start, s",
    "policy_time_s": "wall time of the model's answer for the whole batch divided by its rows, s "
    "(no metric, not in its bits)",
    # driving simulators (reprojection, rendered): the ego
    "x_m": "rear axle, local frame of the segment, m",
    "y_m": "rear axle, local frame of the segment, m",
    "yaw_rad": "heading, left positive, unwrapped, rad",
    "speed_mps": "speed, m/s",
    "acceleration_mps2": "longitudinal acceleration, m/s²",
    "curvature": "curvature that the vehicle drives, 1/m, left positive",
    "curvature_command": "curvature that the model asked for "
    "(after plan conversion, before delay and limits), 1/m",
    "acceleration_command_mps2": "acceleration that the model asked for; NaN if it gives none, "
    "m/s²",
    "saturated": "1 where a limit (rate, lateral acceleration, jerk, steering torque) cut the "
    "command, else 0",
    # ... against the log, at the point of the logged path that is nearest
    "log_index": "fractional frame index of the nearest point of the logged path",
    "station_m": "arc length of that point along the logged path, m",
    "lateral_offset_m": "signed distance from the logged path, left positive, m",
    "heading_error_rad": "ego heading minus the logged path's heading there, wrapped, rad",
    "log_speed_mps": "the log's speed at that point, m/s",
    "log_acceleration_mps2": "the log's longitudinal acceleration at that point, m/s²",
    "log_curvature": "the log's curvature at that point, 1/m",
    "log_driver": "DRIVER_CODES at that point",
    "lane_left_m": "left edge of the lane relative to the ego (positive inside), m; NaN unknown",
    "lane_right_m": "right edge of the lane relative to the ego (negative inside), m; NaN unknown",
    "road_left_m": "left edge of the road relative to the ego, m; NaN unknown",
    "road_right_m": "right edge of the road relative to the ego, m; NaN unknown",
    "lead_distance_m": "gap to the vehicle ahead, m; NaN none or unknown",
    "trusted": "1 inside the simulator's trust region, else 0",
    "plan_y_2s_m": "lateral position of the model's plan 2 s ahead, m; NaN if it gives no plan",
    # tinyphysics
    "target_lataccel_mps2": "wanted lateral acceleration, m/s²",
    "lataccel_mps2": "simulated lateral acceleration, m/s²",
    "action": "the controller's (or below the control start the logged) steer action",
    "cost_window": "1 on the steps that the costs are taken over, else 0",
}
"""Every column that a trace may have; a metric that lacks one it needs is *invalid*, never zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Time series of one rollout: columns of equal length [T], steps driven only."""

    simulator: str
    rate_hz: float
    columns: dict[str, NDArray[Any]]
    vehicle_width_m: float = 1.85
    feedback: Literal["closed", "log"] = "closed"
    """`log`: the ego was kept on the logged poses, so only open-loop metrics may be read."""
    planned_steps: int
    """Steps that the window asked for; fewer were driven if the rollout ended early."""

    def __len__(self) -> int:
        return len(self.columns["t_s"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def to_bytes(self) -> bytes:
        """Deterministic npz: equal traces give equal bytes."""
        numbers = [repr(self.rate_hz), repr(self.vehicle_width_m)]
        head = np.array([self.simulator, *numbers, self.feedback, str(self.planned_steps)])
        columns = dict(sorted(self.columns.items()))
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, __head__=head, **columns)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Trace":
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            simulator, rate, width, feedback, planned = (str(v) for v in file["__head__"])
            columns = {name: file[name] for name in file.files if name != "__head__"}
        return cls(
            simulator=simulator,
            rate_hz=float(rate),
            columns=columns,
            vehicle_width_m=float(width),
            feedback="log" if feedback == "log" else "closed",
            planned_steps=int(planned),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One closed-loop replay of one scenario by one model with one seed."""

    key: DriveKey
    outcome: Outcome
    reason: str = ""
    """One sentence: what ended it early, who must act; empty when completed."""
    ended_s: float
    """Time from the window's start at which it ended."""
    trace: Trace | None
    """None only where not one step was driven."""
    trusted_share: float = 1.0
    """Share of the steps inside the trust region."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """CPU model, sandbox level, host: shown, not part of the identity."""
