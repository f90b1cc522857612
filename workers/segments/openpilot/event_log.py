"""openpilot's logs (Cap'n Proto events, `qlog` or `rlog`) as arrays. Errors name the place.

A log is a row of messages. Each begins with its own sizes, little-endian words of 4 bytes:

    count - 1 | words of segment 1 | ... | words of segment n | padding to 8 bytes | the segments
"""

import bz2
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import capnp
import numpy as np
import zstandard
from numpy.typing import NDArray
from openpilot_logging.cereal import log as schema  # type: ignore[import-untyped]

from suites.errors import DataError, Finding
from workers.segments.data_errors import data_error

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
        time_s = int(self.time_ns[row]) / 1e9
        where = f"{self.path}: {self.name} at byte {int(self.offset[row])}, {time_s:.3f} s"
        return data_error(f"{self.path.name} cannot be imported: {self.name}", where, problem)


Values = dict[str, Any]
"""Of one event: our field to a number or a list."""
Row = tuple[int, int, bool, Values]
"""One event: time in ns, byte in the log, the sender's flag, values."""


def _fields(**ours: str) -> Callable[[Any], Values]:
    """Reads these attributes of an event, under our names."""
    return lambda event: {name: getattr(event, theirs) for name, theirs in ours.items()}


def _model(m: Any) -> Values:
    lines = [(list(line.x), list(line.y)) for line in m.laneLines]
    edges = [(list(line.x), list(line.y)) for line in m.roadEdges]
    return {
        "eof": m.timestampEof,
        "lines": np.array(lines, np.float64),
        "line_prob": list(m.laneLineProbs),
        "edges": np.array(edges, np.float64),
        "edge_std": list(m.roadEdgeStds),
    }


def _odometry(m: Any) -> Values:
    values = {"trans": list(m.trans), "rot": list(m.rot), "rot_std": list(m.rotStd)}
    return {"eof": m.timestampEof} | values


def _car_parameters(m: Any) -> Values:
    torque = m.lateralTuning.torque if m.lateralTuning.which() == "torque" else None
    holds = _fields(torque="latAccelFactor", friction="friction")
    return _CAR(m) | (holds(torque) if torque is not None else {"torque": 0.0, "friction": 0.0})


def _calibration(m: Any) -> Values:
    height = list(m.height)[:1] or [np.nan]
    return {"status": str(m.calStatus), "rpy": list(m.rpyCalib), "height": height}


def _place(m: Any) -> Values:
    """Where and when, which count only with a fix (older logs have its flag in the lowest bit)."""
    fixed = m.hasFix or m.flags % 2 == 1
    latitude, longitude = (m.latitude, m.longitude) if fixed else (0.0, 0.0)
    found = {"fixed": fixed, "latitude": latitude, "longitude": longitude}
    return found | {"unix_ms": m.unixTimestampMillis}


_CAR = _fields(
    car="carFingerprint",
    mass="mass",
    wheelbase="wheelbase",
    to_front="centerToFront",
    steer_ratio="steerRatio",
    front="tireStiffnessFront",
    rear="tireStiffnessRear",
    delay="steerActuatorDelay",
)
_LEAD = _fields(lead="status", distance="dRel", prob="modelProb")

FIELDS: dict[str, Callable[[Any], Values]] = {
    "initData": lambda m: {"device": str(m.deviceType), "dongle": m.dongleId, "version": m.version},
    "roadCameraState": lambda m: {"sensor": str(m.sensor)},
    "qRoadEncodeIdx": _fields(eof="timestampEof", number="segmentNum", frame="segmentId"),
    "carState": _fields(
        speed="vEgo",
        acceleration="aEgo",
        steering_deg="steeringAngleDeg",
        pressed="steeringPressed",
        left="leftBlinker",
        right="rightBlinker",
        can="canValid",
    ),
    "carControl": _fields(steers="latActive"),
    "carParams": _car_parameters,
    "liveParameters": _fields(
        ok="valid",
        steer_ratio="steerRatio",
        stiffness="stiffnessFactor",
        offset_deg="angleOffsetDeg",
        average_offset_deg="angleOffsetAverageDeg",
        roll="roll",
    ),
    "liveTorqueParameters": _fields(
        ok="liveValid", torque="latAccelFactorFiltered", friction="frictionCoefficientFiltered"
    ),
    "liveCalibration": _calibration,
    "cameraOdometry": _odometry,
    "modelV2": _model,
    "gpsLocation": _place,
    "gpsLocationExternal": _place,
    "radarState": lambda m: _LEAD(m.leadOne),
}
"""What is read of each event; all others are skipped."""


def find_log(folder: Path) -> Path:
    """The best log in a segment's folder. Raises DataError listing what was looked for."""
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    finding = Finding(str(folder), f"none of {', '.join(NAMES)} is there")
    raise DataError(f"no log in {folder.name}", (finding,))


def read_log(path: Path) -> dict[str, Channel]:
    """The log's channels of FIELDS. Raises DataError naming file, channel and byte of damage."""
    data = _unpacked(path)
    rows: dict[str, list[Row]] = {}
    offset = 0
    channel = "log"
    while offset < len(data):
        end = _message_end(path, data, offset)
        try:
            with schema.Event.from_bytes(data[offset:end]) as event:
                channel = _which(event)
                if channel in FIELDS:
                    values = FIELDS[channel](getattr(event, channel))
                    row = (event.logMonoTime, offset, event.valid, values)
                    rows.setdefault(channel, []).append(row)
        except (capnp.KjException, RuntimeError, ValueError) as error:
            where = f"{channel} at byte {offset}"
            raise _damaged(path, where, str(error).splitlines()[0]) from error
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


def _channel(path: Path, name: str, rows: list[Row]) -> Channel:
    time, offset, valid, values = zip(*rows, strict=True)
    for at, moment, value in zip(offset, time, values, strict=True):
        if (latest := max(moment, value.get("eof", 0))) > MAX_TIME_NS:
            problem = f"a time of {latest} ns: no device runs that long"
            raise _damaged(path, f"{name} at byte {at}", problem)
    places = np.array(time, np.int64), np.array(offset, np.int64), np.array(valid)
    empty = Channel(name, path, *places, {})
    back = np.diff(empty.time_ns) < 0
    if back.any() and name != "initData":
        row = int(np.argmax(back))
        raise empty.wrong(row + 1, f"time goes back by {(time[row] - time[row + 1]) / 1e9:.3f} s")
    for row, value in enumerate(values):
        for field, number in value.items():
            if problem := _odd(field, number, np.shape(values[0][field]), valid[row]):
                raise empty.wrong(row, f"{field}: {problem}")
    stacked = {field: np.array([value[field] for value in values]) for field in values[0]}
    return replace(empty, values=stacked)


def _odd(field: str, number: Any, shape: tuple[int, ...], valid: bool) -> str:
    """What is wrong with a field of one event; empty for nothing."""
    if np.shape(number) != shape:
        return f"shape {shape} expected, found {np.shape(number)}"
    # older logs have no height, which is NaN then
    if not valid or field == "height" or np.asarray(number).dtype.kind != "f":
        return ""
    return "" if np.isfinite(number).all() else f"a finite number expected, found {number}"


def _message_end(path: Path, data: bytes, offset: int) -> int:
    """Where the message that begins at `offset` ends."""
    if offset + 8 > len(data):
        raise _damaged(path, f"byte {offset}", "the log ends inside an event")
    count = struct.unpack_from("<I", data, offset)[0] + 1
    if count > MAX_SEGMENTS or offset + 4 + 4 * count > len(data):
        raise _damaged(path, f"byte {offset}", "no event begins here")
    words = sum(struct.unpack_from(f"<{count}I", data, offset + 4))
    end: int = offset + (4 + 4 * count + 7) // 8 * 8 + 8 * words
    if end > len(data):
        left = f"({len(data) - offset} are left)"
        problem = f"the log ends inside an event of {end - offset} bytes {left}"
        raise _damaged(path, f"byte {offset}", problem)
    return end


def _unpacked(path: Path) -> bytes:
    packed = path.read_bytes()
    try:
        if path.suffix == ".zst":
            unzstd = zstandard.ZstdDecompressor()
            return unzstd.stream_reader(packed, read_across_frames=True).read()
        if path.suffix != ".bz2":
            return packed
        out = []
        at = 0
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
    what = f"{path.name} is damaged: {where}"
    return data_error(what, f"{path}: {where}", problem, "fetch the log again")
