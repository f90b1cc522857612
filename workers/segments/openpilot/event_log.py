"""openpilot's logs (Cap'n Proto events, `qlog` or `rlog`) as arrays, with the place of everything that is wrong."""

import bz2
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import capnp
import numpy as np
import zstandard
from numpy.typing import NDArray
from openpilot_logging.cereal import log as schema  # type: ignore[import-untyped]

from suites.errors import DataError, Finding

NAMES = ("rlog.zst", "rlog.bz2", "rlog", "qlog.zst", "qlog.bz2", "qlog")
"""Best first: rlogs have every event, qlogs a tenth or less."""
MAX_SEGMENTS = 64
"""Cap'n Proto segments of one message; openpilot writes one or a few."""

MAX_TIME_NS = 2**62


@dataclass(frozen=True, slots=True)
class Channel:
    """One kind of event, in the order of the log; all arrays have the length n."""

    name: str
    path: Path
    time_ns: NDArray[np.int64]
    """Monotonic time at which it was logged."""
    offset: NDArray[np.int64]
    """Byte of the unpacked log where the event begins."""
    valid: NDArray[np.bool_]
    """The sender's own flag."""
    values: dict[str, NDArray[Any]]
    """Field to [n] or [n, ...]."""

    def __len__(self) -> int:
        return len(self.time_ns)

    def __getitem__(self, field: str) -> NDArray[Any]:
        return self.values[field]

    def wrong(self, row: int, problem: str) -> DataError:
        """The error for what one event says."""
        where = f"{self.path}: {self.name} at byte {int(self.offset[row])}, {int(self.time_ns[row]) / 1e9:.3f} s"
        return DataError(
            f"{self.path.name} cannot be imported: {self.name}: {problem}",
            (Finding(where, problem),),
        )


def _car_state(m: Any) -> dict[str, Any]:
    return {
        "speed": m.vEgo,
        "acceleration": m.aEgo,
        "steering_deg": m.steeringAngleDeg,
        "pressed": m.steeringPressed,
        "left": m.leftBlinker,
        "right": m.rightBlinker,
        "can": m.canValid,
    }


def _model(m: Any) -> dict[str, Any]:
    lines = [(list(line.x), list(line.y)) for line in m.laneLines]
    edges = [(list(line.x), list(line.y)) for line in m.roadEdges]
    return {
        "eof": m.timestampEof,
        "lines": np.array(lines, np.float64),
        "line_prob": list(m.laneLineProbs),
        "edges": np.array(edges, np.float64),
        "edge_std": list(m.roadEdgeStds),
    }


def _odometry(m: Any) -> dict[str, Any]:
    return {
        "eof": m.timestampEof,
        "trans": list(m.trans),
        "rot": list(m.rot),
        "rot_std": list(m.rotStd),
    }


def _parameters(m: Any) -> dict[str, Any]:
    return {
        "ok": m.valid,
        "steer_ratio": m.steerRatio,
        "stiffness": m.stiffnessFactor,
        "offset_deg": m.angleOffsetDeg,
        "average_offset_deg": m.angleOffsetAverageDeg,
        "roll": m.roll,
    }


def _car_parameters(m: Any) -> dict[str, Any]:
    torque = m.lateralTuning.torque if m.lateralTuning.which() == "torque" else None
    return {
        "torque": 0.0 if torque is None else torque.latAccelFactor,
        "friction": 0.0 if torque is None else torque.friction,
        "car": m.carFingerprint,
        "mass": m.mass,
        "wheelbase": m.wheelbase,
        "to_front": m.centerToFront,
        "steer_ratio": m.steerRatio,
        "front": m.tireStiffnessFront,
        "rear": m.tireStiffnessRear,
        "delay": m.steerActuatorDelay,
    }


def _place(m: Any) -> dict[str, Any]:
    """Where and when, which count only with a fix (older logs have its flag in the lowest bit)."""
    fixed = m.hasFix or m.flags % 2 == 1
    latitude, longitude = (m.latitude, m.longitude) if fixed else (0.0, 0.0)
    return {
        "fixed": fixed,
        "latitude": latitude,
        "longitude": longitude,
        "unix_ms": m.unixTimestampMillis,
    }


FIELDS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "initData": lambda m: {"device": str(m.deviceType), "dongle": m.dongleId, "version": m.version},
    "roadCameraState": lambda m: {"sensor": str(m.sensor)},
    "qRoadEncodeIdx": lambda m: {
        "eof": m.timestampEof,
        "number": m.segmentNum,
        "frame": m.segmentId,
    },
    "carState": _car_state,
    "carControl": lambda m: {"steers": m.latActive},
    "carParams": _car_parameters,
    "liveParameters": _parameters,
    "liveTorqueParameters": lambda m: {
        "ok": m.liveValid,
        "torque": m.latAccelFactorFiltered,
        "friction": m.frictionCoefficientFiltered,
    },
    "liveCalibration": lambda m: {
        "status": str(m.calStatus),
        "rpy": list(m.rpyCalib),
        "height": list(m.height)[:1] or [np.nan],
    },
    "cameraOdometry": _odometry,
    "modelV2": _model,
    "gpsLocation": _place,
    "gpsLocationExternal": _place,
    "radarState": lambda m: {
        "lead": m.leadOne.status,
        "distance": m.leadOne.dRel,
        "prob": m.leadOne.modelProb,
    },
}
"""What is read of each event; all others are skipped."""


def find_log(folder: Path) -> Path:
    """The best log in a segment's folder. Raises DataError listing what was looked for."""
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"no log in {folder.name}", (Finding(str(folder), f"none of {', '.join(NAMES)} is there"),)
    )


def read_log(path: Path) -> dict[str, Channel]:
    """Every channel of FIELDS that the log has. Raises DataError naming file, channel and byte where the log is cut,
    damaged, goes back in time or holds a number that is not finite."""
    data = _unpacked(path)
    rows: dict[str, list[tuple[int, int, bool, dict[str, Any]]]] = {}
    offset, channel = 0, "log"
    while offset < len(data):
        end = _message_end(path, data, offset)
        try:
            with schema.Event.from_bytes(data[offset:end]) as event:
                channel = _which(event)
                if channel in FIELDS:
                    values = FIELDS[channel](getattr(event, channel))
                    rows.setdefault(channel, []).append(
                        (event.logMonoTime, offset, event.valid, values)
                    )
        except (capnp.KjException, RuntimeError, ValueError) as error:
            raise _damaged(
                path, f"{channel} at byte {offset}", str(error).splitlines()[0]
            ) from error
        offset = end
    if not rows:
        raise _damaged(path, "byte 0", "no event that is known here")
    return {name: _channel(path, name, found) for name, found in rows.items()}


def _which(event: Any) -> str:
    """The event's name; empty for one that is newer than the schema."""
    try:
        return str(event.which())
    except (capnp.KjException, RuntimeError):
        return ""


def _channel(path: Path, name: str, rows: list[tuple[int, int, bool, dict[str, Any]]]) -> Channel:
    time, offset, valid, values = zip(*rows, strict=True)
    for row, moments in enumerate(
        zip(time, (value.get("eof", 0) for value in values), strict=True)
    ):
        if max(moments) > MAX_TIME_NS:
            raise _damaged(
                path,
                f"{name} at byte {offset[row]}",
                f"a time of {max(moments)} ns: no device runs that long",
            )
    empty = Channel(
        name, path, np.array(time, np.int64), np.array(offset, np.int64), np.array(valid), {}
    )
    back = np.diff(empty.time_ns) < 0
    if back.any() and name != "initData":
        row = int(np.argmax(back))
        raise empty.wrong(row + 1, f"time goes back by {(time[row] - time[row + 1]) / 1e9:.3f} s")
    for row, value in enumerate(values):
        for field, number in value.items():
            if np.shape(number) != np.shape(values[0][field]):
                raise empty.wrong(
                    row,
                    f"{field}: shape {np.shape(values[0][field])} expected, found {np.shape(number)}",
                )
            if (
                valid[row]
                and np.asarray(number).dtype.kind == "f"
                and not np.isfinite(number).all()
                and field != "height"
            ):
                raise empty.wrong(row, f"{field}: a finite number expected, found {number}")
    stacked = {field: np.array([value[field] for value in values]) for field in values[0]}
    return Channel(name, path, empty.time_ns, empty.offset, empty.valid, stacked)


def _message_end(path: Path, data: bytes, offset: int) -> int:
    """End of the message at `offset`: a count of segments less one, their sizes in words, padding, the segments."""
    if offset + 8 > len(data):
        raise _damaged(path, f"byte {offset}", "the log ends inside an event")
    count = struct.unpack_from("<I", data, offset)[0] + 1
    if count > MAX_SEGMENTS or offset + 4 + 4 * count > len(data):
        raise _damaged(path, f"byte {offset}", "no event begins here")
    words = sum(struct.unpack_from(f"<{count}I", data, offset + 4))
    end: int = offset + (4 + 4 * count + 7) // 8 * 8 + 8 * words
    if end > len(data):
        raise _damaged(
            path,
            f"byte {offset}",
            f"the log ends inside an event of {end - offset} bytes ({len(data) - offset} are left)",
        )
    return end


def _unpacked(path: Path) -> bytes:
    packed = path.read_bytes()
    try:
        if path.suffix == ".zst":
            return (
                zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True).read()
            )
        if path.suffix != ".bz2":
            return packed
        out, at = [], 0
        while at < len(packed):
            unpacker = bz2.BZ2Decompressor()
            out.append(unpacker.decompress(packed[at:]))
            if not unpacker.eof:
                raise _damaged(path, f"byte {len(packed)}", "the bzip2 stream is cut off here")
            at = len(packed) - len(unpacker.unused_data)
    except (OSError, zstandard.ZstdError) as error:
        raise _damaged(path, f"byte 0 to {len(packed)}", f"cannot be unpacked ({error})") from error
    return b"".join(out)


def _damaged(path: Path, where: str, problem: str) -> DataError:
    message = f"{path.name} is damaged: {where}: {problem}"
    return DataError(message, (Finding(f"{path}: {where}", problem, "fetch the log again"),))
