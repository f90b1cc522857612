"""Import of openpilot routes: one segment folder with a log and `qcamera.ts`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from suites.errors import DataError, Finding
from suites.identity import file_digest
from suites.segment import Facts, Floats, SegmentColumns, SegmentMeta
from workers.segments import facts
from workers.segments.data_errors import data_error, not_importable
from workers.segments.depth.monocular import DepthModel
from workers.segments.depth.plane import ground_depth
from workers.segments.openpilot.camera import road_camera
from workers.segments.openpilot.event_log import Channel, find_log, read_log
from workers.segments.openpilot.log_columns import columns
from workers.segments.openpilot.logged_vehicle import vehicle
from workers.segments.store import by_number, write_segment
from workers.segments.tags import automatic_tags
from workers.segments.video import Frames

SOURCE = "openpilot/4"
VIDEO = "qcamera.ts"
RATE_HZ = 20.0
NEEDED = ("initData", "qRoadEncodeIdx", "carState", "cameraOdometry", "liveCalibration")
WIDTH = 320
"""Of the stored frames: models see less, and the picture's angle of view stays whole."""
MAX_FRAME_GAP_S = 0.5
_DATE = r"\d{4}-\d\d-\d\d--\d\d-\d\d-\d\d"
_COUNT = r"[0-9a-f]{8}--[0-9a-f]{10}"
_NAME = re.compile(
    r"(?:(?P<dongle>[0-9a-f]{16})[|_/])?"
    rf"(?P<log>{_DATE}|{_COUNT})"
    r"(?:(?:--|/)(?P<number>\d+))?"
)
"""comma's names: `dongle|log--number`, the log by its date or by the device's count of drives."""


@dataclass(frozen=True, slots=True)
class Video:
    """A camera file that was decoded once from end to end."""

    path: Path
    width: int
    height: int
    luma: Floats
    """Mean grey level of each frame [N]."""


def segment_folders(folder: Path) -> list[Path]:
    """`folder` if it has a segment's video, else subfolders that do. Raises DataError for none."""
    if (folder / VIDEO).is_file():
        return [folder]
    found = [path.parent for path in folder.glob(f"*/{VIDEO}")]
    if not found:
        problem = f"neither it nor a folder in it has {VIDEO}"
        finding = Finding(str(folder), problem, "name a segment's folder")
        raise DataError(f"no openpilot segment in {folder}", (finding,))
    return sorted(found, key=lambda path: by_number(path.name))


def import_openpilot(
    folder: Path,
    root: Path,
    route: str | None = None,
    width: int = WIDTH,
    depth_model: DepthModel | None = None,
    stated: facts.Stated = facts.NOTHING,
) -> SegmentMeta:
    """Store the segment in `folder`. Depth is the ground plane's without a depth model.

    route: its name (`dongle|date`) where neither folder nor log tells it.
    Raises DataError naming file, channel and place (byte or time) of a cut or damaged video or log,
    a missing channel, time that goes back, or a number that is not finite. Nothing is stored then.
    """
    path = find_log(folder)
    log = read_log(path)
    _check_channels(path, log)
    video = _watch(folder / VIDEO)
    eof = _frame_times(log["qRoadEncodeIdx"], len(video.luma), video.path)
    width -= width % 2
    height = round(video.height * width / video.width / 2) * 2
    car, car_notes = vehicle(log)
    camera, camera_notes = road_camera(log, car.wheelbase_m, width, height)
    found, missing, notes = columns(log, eof, car, camera.forward_m)
    known, fact_notes = _facts(log, found)
    name, number = _name(folder, log, route)
    origin = {name: str(log["initData"][name][0]) for name in ("device", "dongle", "version")}
    meta = SegmentMeta(
        segment_id=f"{name}/{number}",
        route=name,
        source=SOURCE,
        kind="camera",
        frame_count=len(found),
        rate_hz=RATE_HZ,
        duration_s=len(found) / RATE_HZ,
        camera=camera,
        vehicle=car,
        depth_source="model" if depth_model else "plane",
        tags=automatic_tags(found, video.luma),
        facts=known,
        missing=missing,
        notes=(*camera_notes, *car_notes, *notes, *fact_notes),
        origin={
            "files": {p.name: file_digest(p) for p in (path, video.path)},
            **origin,
            **({"depth_model": depth_model.origin} if depth_model else {}),
        },
    )
    size = width // 2, height // 2
    if depth_model:
        depth = (depth_model.depth(frame, camera, *size) for frame in _scaled(video, width, height))
    else:
        ground = ground_depth(camera, *size)
        depth = (ground for _ in range(len(found)))
    frames = _scaled(video, width, height)
    return write_segment(root, facts.with_stated(meta, stated), found, frames, depth)


def _check_channels(path: Path, log: dict[str, Channel]) -> None:
    for name in NEEDED:
        if name not in log:
            problem = f"the log has no {name}"
            raise data_error(f"{path.name} cannot be imported", f"{path}: {name}", problem)


def _facts(log: dict[str, Channel], found: SegmentColumns) -> tuple[Facts, tuple[str, ...]]:
    """(facts, notes). The time of day is that of the first fix, by its clock and its sun."""
    platform = str(log["carParams"]["car"][-1]) if "carParams" in log else ""
    moved = facts.motion_facts(found.speed_mps, found.curvature)
    known = replace(moved, platform=platform or None)
    for channel in (log[name] for name in ("gpsLocationExternal", "gpsLocation") if name in log):
        for row in np.flatnonzero(channel.valid & channel["fixed"])[:1]:
            place = float(channel["latitude"][row]), float(channel["longitude"][row])
            sun = facts.sun_elevation_deg(float(channel["unix_ms"][row]) / 1e3, *place)
            note = f"Time of day: the sun stood at {sun:.0f}° by {channel.name}'s clock and place."
            return replace(known, time_of_day=facts.time_of_day(sun)), (note,)
    return known, ("Time of day: unknown, since no satellite fixed the place.",)


def _name(folder: Path, log: dict[str, Channel], route: str | None) -> tuple[str, int]:
    """(route, number): from `route`, else from the folder's path, else from device and folder."""
    place = _NAME.search(folder.resolve().as_posix())
    given = _NAME.search(route) if route else place
    dongle = str(log["initData"]["dongle"][0])
    if given:
        name = f"{given['dongle'] or dongle}_{given['log']}"
    else:
        name = route or f"{dongle}_{folder.resolve().name}"
    number = (place and place["number"]) or log["qRoadEncodeIdx"]["number"][0]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("_.-"), int(number)


def _frame_times(index: Channel, count: int, video: Path) -> NDArray[np.int64]:
    """ns at which exposures ended [count]. Raises DataError where log and video differ."""
    eof = index["eof"].astype(np.int64)
    step = np.diff(eof)
    if (back := step <= 0).any():
        row = int(np.argmax(back))
        problem = f"time of frame {row + 1} goes back by {-step[row] / 1e9:.3f} s"
        raise index.wrong(row + 1, problem)
    if (gap := step / 1e9 > MAX_FRAME_GAP_S).any():
        row = int(np.argmax(gap))
        problem = f"{step[row] / 1e9:.2f} s without a frame before frame {row + 1}"
        raise index.wrong(row + 1, problem)
    if len(eof) != count:
        where = f"frame {count}, {min(len(eof), count) / RATE_HZ:.2f} s"
        raise _damaged(video, where, f"{len(eof)} frames expected by the log, {count} decoded")
    return eof


def _watch(path: Path) -> Video:
    """Decode the whole video once. Raises DataError naming frame, time and byte of damage."""
    width = height = 0
    luma: list[float] = []
    for picture in _pictures(path):
        width, height = picture.width, picture.height
        luma.append(float(picture.to_ndarray(format="gray").mean()))
    if not luma:
        raise _damaged(path, "byte 0", "no frame can be decoded")
    return Video(path, width, height, np.array(luma))


def _scaled(video: Video, width: int, height: int) -> Iterator[Frames]:
    reformatter = VideoReformatter()
    for picture in _pictures(video.path):
        area = Interpolation.AREA
        small = reformatter.reformat(picture, width, height, "rgb24", interpolation=area, threads=1)
        yield np.asarray(small.to_ndarray(), np.uint8)


def _pictures(path: Path) -> Iterator[av.VideoFrame]:
    """Frames in order of display; an error in any packet is an error."""
    count = place = 0

    def damaged(problem: str) -> DataError:
        return _damaged(path, f"frame {count}, {count / RATE_HZ:.2f} s, byte {place}", problem)

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"err_detect": "explode"}
            for packet in container.demux(stream):
                place = packet.pos if packet.pos is not None else place
                if packet.is_corrupt:
                    raise damaged("the packet is cut or damaged")
                for picture in packet.decode():
                    yield picture
                    count += 1
    except (av.FFmpegError, IndexError) as error:
        raise damaged(f"cannot be decoded ({error})") from error


def _damaged(path: Path, where: str, problem: str) -> DataError:
    return not_importable(path, where, problem, "fetch the video again")
