"""Segments in memory whose path, scene and depth are known in closed form."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from suites.rollout import DriveKey, ExecutionClass, Noise, Offset, Scenario, SimulatorSpec
from suites.segment import DRIVER_CODES, Camera, DepthSource, SegmentColumns, SegmentMeta, Vehicle
from suites.simulators import SIMULATORS

Floats = NDArray[np.float64]
RATE_HZ = 20.0
CAMERA = Camera(
    width=320,
    height=160,
    fx=200.0,
    fy=200.0,
    cx=159.5,
    cy=69.5,
    forward_m=1.4,
    left_m=0.0,
    up_m=1.3,
)
EXECUTION = ExecutionClass(runtime="builtin", version="1")


@dataclass(frozen=True)
class MemorySegment:
    """`driving.Segment` without files."""

    meta: SegmentMeta
    columns: SegmentColumns
    pictures: Callable[[int], NDArray[np.uint8]] = field(
        default=lambda frame: np.zeros((160, 320, 3), np.uint8)
    )
    depths: Callable[[int], NDArray[np.float32]] = field(
        default=lambda frame: np.full((80, 160), 20.0, np.float32)
    )

    @property
    def digest(self) -> str:
        return f"{self.meta.segment_id:0>64}"

    def frames(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        return np.stack(
            [self.pictures(i) for i in range(start, len(self.columns) if stop is None else stop)]
        )

    def depth(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        return np.stack(
            [self.depths(i) for i in range(start, len(self.columns) if stop is None else stop)]
        )


def winding(t: Floats) -> Floats:
    """Curvature 1/m over time: straight, bends to both sides, straight."""
    return np.where((t > 2) & (t < 16), 0.006 * np.sin(2 * np.pi * (t - 2) / 7.0), 0.0)


def columns_of(
    seconds: float, speed: Callable[[Floats], Floats], curvature: Callable[[Floats], Floats]
) -> SegmentColumns:
    """A drive at this speed and curvature over time, integrated finely."""
    fine = np.arange(round(seconds * 1000) + 1) / 1000
    v = speed(fine)
    yaw = np.concatenate([[0], np.cumsum(v[:-1] * curvature(fine[:-1]) / 1000)])
    middle = (yaw[1:] + yaw[:-1]) / 2
    x = np.concatenate([[0], np.cumsum(v[:-1] * np.cos(middle) / 1000)])
    y = np.concatenate([[0], np.cumsum(v[:-1] * np.sin(middle) / 1000)])
    rows = np.arange(0, len(fine), round(1000 / RATE_HZ))
    n, t = len(rows), fine[rows]
    nothing, zeros = np.full(n, np.nan), np.zeros(n)
    return SegmentColumns(
        t_s=t,
        x_m=x[rows],
        y_m=y[rows],
        z_m=zeros,
        roll_rad=zeros,
        pitch_rad=zeros,
        yaw_rad=yaw[rows],
        speed_mps=v[rows],
        acceleration_mps2=np.gradient(v, fine)[rows],
        curvature=curvature(t),
        steering_angle_rad=nothing,
        driver=np.full(n, DRIVER_CODES["human"]),
        left_blinker=np.zeros(n, np.bool_),
        right_blinker=np.zeros(n, np.bool_),
        lane_left_m=np.full(n, 1.8),
        lane_right_m=np.full(n, -1.8),
        road_left_m=np.full(n, 5.4),
        road_right_m=np.full(n, -2.6),
        lead_distance_m=nothing,
    )


def segment(
    name: str = "a",
    seconds: float = 20.0,
    speed: Callable[[Floats], Floats] = lambda t: np.full_like(t, 18.0),
    curvature: Callable[[Floats], Floats] = winding,
    columns: SegmentColumns | None = None,
    camera: Camera | None = CAMERA,
    depth_source: DepthSource = "exact",
    **scene: Callable[[int], NDArray[np.uint8]] | Callable[[int], NDArray[np.float32]],
) -> MemorySegment:
    columns = columns or columns_of(seconds, speed, curvature)
    meta = SegmentMeta(
        segment_id=name,
        route=name,
        source="test/1",
        kind="camera",
        frame_count=len(columns),
        rate_hz=RATE_HZ,
        duration_s=len(columns) / RATE_HZ,
        camera=camera,
        vehicle=Vehicle(),
        depth_source=depth_source,
    )
    return MemorySegment(meta=meta, columns=columns, **scene)  # type: ignore[arg-type]


def key_for(
    stored: MemorySegment,
    offset: Offset | None = None,
    start_s: float = 1.0,
    end_s: float | None = None,
    noise: Noise | None = None,
    simulator: str = "reprojection",
    repeat: int = 0,
    vehicle: dict[str, float] | None = None,
) -> DriveKey:
    scenario = Scenario(
        segment_id=stored.meta.segment_id,
        segment_digest=stored.digest,
        start_s=start_s,
        end_s=stored.columns.t_s[-1] if end_s is None else end_s,
        offset=offset or Offset(),
        noise=noise or Noise(),
    )
    spec = SimulatorSpec(name=simulator, version=SIMULATORS[simulator].version)  # type: ignore[arg-type]
    return DriveKey(
        model="m",
        scenario=scenario,
        repeat=repeat,
        simulator=spec,
        vehicle=vehicle or {},
        execution=EXECUTION,
    )
