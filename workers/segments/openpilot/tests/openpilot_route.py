"""A small openpilot segment made from the log's schema, with a drive whose answers are known."""

import bz2
import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from openpilot_logging.cereal import log as schema  # type: ignore[import-untyped]

START_NS, STEP_NS = 1_000_000_000, 50_000_000
SPEED_MPS, YAW_RATE = 20.0, 0.05
WIDTH, HEIGHT = 96, 60
LANE_LEFT_M, LANE_RIGHT_M, CAMERA_AHEAD_M = 1.9, -1.6, 0.55 * 2.7
PITCH_RAD, YAW_RAD, HEIGHT_M = 0.02, -0.01, 1.3
OFFSET_DEG, STEER_RATIO = 0.5, 15.0
DONGLE = "0123456789abcdef"


@dataclass
class Route:
    """Events (message builders, in time order) of one segment; change them, then `write`."""

    events: list[Any]
    frames: int

    def of(self, channel: str) -> list[Any]:
        return [event for event in self.events if event.which() == channel]

    def without(self, channel: str) -> "Route":
        return Route([event for event in self.events if event.which() != channel], self.frames)

    def write(self, folder: Path, name: str = "qlog.bz2") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        data = b"".join(event.to_bytes() for event in self.events)
        (folder / name).write_bytes(bz2.compress(data) if name.endswith(".bz2") else data)
        write_transport_stream(folder / "qcamera.ts", pictures(self.frames))
        return folder


def make_route(
    frames: int = 60,
    pressed: Iterable[int] = (),
    engaged: range = range(0),
    blinker: range = range(0),
) -> Route:
    """A left-hand circle at SPEED_MPS and YAW_RATE, 20 frames and events a second.

    Frames at which the driver's hand is on the wheel (pressed), the model steers (engaged), the
    left blinker is on (blinker).
    """
    start = _event("initData", 0)
    start.initData.deviceType = "tici"
    start.initData.dongleId = DONGLE
    start.initData.version = "0.9.4"
    car = _event("carParams", 0)
    for name, value in {
        "carFingerprint": "TEST",
        "mass": 1500.0,
        "wheelbase": 2.7,
        "centerToFront": 1.2,
        "steerRatio": 14.0,
        "tireStiffnessFront": 80_000.0,
        "tireStiffnessRear": 100_000.0,
        "steerActuatorDelay": 0.15,
    }.items():
        setattr(car.carParams, name, value)
    sensor = _event("roadCameraState", 0)
    sensor.roadCameraState.sensor = "ox03c10"
    events = [start, car, sensor]
    for i in range(frames):
        calibration = _event("liveCalibration", i)
        calibration.liveCalibration.calStatus = "calibrated"
        calibration.liveCalibration.rpyCalib = [0.0, PITCH_RAD, YAW_RAD]
        calibration.liveCalibration.height = [HEIGHT_M]
        index = _event("qRoadEncodeIdx", i)
        index.qRoadEncodeIdx.timestampEof, index.qRoadEncodeIdx.segmentId = (
            START_NS + i * STEP_NS,
            i,
        )
        index.qRoadEncodeIdx.segmentNum = 7
        state = _event("carState", i)
        state.carState.vEgo, state.carState.canValid = SPEED_MPS, True
        state.carState.steeringAngleDeg, state.carState.steeringPressed = 10.0, i in pressed
        state.carState.leftBlinker = i in blinker
        control = _event("carControl", i)
        control.carControl.latActive = i in engaged
        learned = _event("liveParameters", i)
        for name, value in {
            "valid": True,
            "steerRatio": STEER_RATIO,
            "stiffnessFactor": 1.0,
            "roll": 0.02,
            "angleOffsetDeg": OFFSET_DEG,
        }.items():
            setattr(learned.liveParameters, name, value)
        odometry = _event("cameraOdometry", i)
        odometry.cameraOdometry.timestampEof = START_NS + i * STEP_NS
        odometry.cameraOdometry.trans, odometry.cameraOdometry.rot = (
            [SPEED_MPS, 0.0, 0.0],
            [0.0, 0.0, -YAW_RATE],
        )
        odometry.cameraOdometry.rotStd = [0.001] * 3
        events += [calibration, index, state, control, learned, odometry]
        if i % 20 == 0:
            events.append(_model(i))
        lead = _event("radarState", i)
        lead.radarState.leadOne.status, lead.radarState.leadOne.dRel = i < frames // 2, 30.0
        events.append(lead)
    return Route(events, frames)


def position(i: int, flags: int = 1, fix: bool = False, unix_ms: int = 1_690_488_122_999) -> Any:
    """A satellite position in San Diego, by default at 13:02 of a day in July."""
    event = _event("gpsLocationExternal", i)
    place = event.gpsLocationExternal
    place.flags, place.hasFix, place.latitude, place.longitude, place.unixTimestampMillis = (
        flags,
        fix,
        32.74,
        -117.18,
        unix_ms,
    )
    return event


def torque(i: int, factor: float, ok: bool) -> Any:
    """What was learned of the steering torque, with a friction of an eighth."""
    event = _event("liveTorqueParameters", i)
    learned = event.liveTorqueParameters
    learned.latAccelFactorFiltered, learned.frictionCoefficientFiltered, learned.liveValid = (
        factor,
        0.125,
        ok,
    )
    return event


def write_transport_stream(path: Path, frames: Iterable[np.ndarray]) -> None:
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=Fraction(20))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": "20"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def pictures(count: int) -> list[np.ndarray]:
    """Grey noise that moves: it costs the encoder bytes, so that a cut file loses frames."""
    noise = np.random.default_rng(1).integers(60, 200, (HEIGHT, WIDTH), np.uint8)
    return [np.repeat(np.roll(noise, 3 * i, axis=1)[:, :, None], 3, axis=2) for i in range(count)]


def _model(i: int) -> Any:
    """Lane lines on circles about the turn's centre, seen from the camera."""
    event = _event("modelV2", i)
    event.modelV2.timestampEof = START_NS + i * STEP_NS
    x = np.array([192.0 * (k / 32) ** 2 for k in range(33)])
    radius = SPEED_MPS / YAW_RATE
    for field, at in (
        ("laneLines", (5.0, LANE_LEFT_M, LANE_RIGHT_M, -5.0)),
        ("roadEdges", (6.0, -6.0)),
    ):
        lines = event.modelV2.init(field, len(at))
        for line, aside in zip(lines, at, strict=True):
            y = radius - np.sqrt((radius - aside) ** 2 - (x + CAMERA_AHEAD_M) ** 2)
            line.x, line.y = x.tolist(), (-y).tolist()
    event.modelV2.laneLineProbs, event.modelV2.roadEdgeStds = [0.9, 0.9, 0.9, 0.1], [0.5, 5.0]
    return event


def _event(channel: str, i: int) -> Any:
    event = schema.Event.new_message()
    event.logMonoTime, event.valid = START_NS + i * STEP_NS + 1_000_000, True
    event.init(channel)
    return event


def circle(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the drive goes."""
    radius = SPEED_MPS / YAW_RATE
    return radius * np.sin(YAW_RATE * t), radius * (1 - np.cos(YAW_RATE * t))


def wheel_curvature(speed_mps: float) -> float:
    """Of the steering angle in the log, by the bicycle model on the banked road."""
    front, rear, length = 80_000.0 * 1.2, 100_000.0 * 1.5, 2.7
    slip = 1500.0 * (front - rear) / (length**2 * 80_000.0 * 100_000.0)
    bend = 1 - slip * speed_mps**2
    return (
        math.tan(math.radians(10.0 - OFFSET_DEG) / STEER_RATIO) / length / bend
        + 9.81 * 0.02 * slip / bend
    )
