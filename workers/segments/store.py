"""The segment store: one folder per segment, written whole or not at all, checked when read.

<root>/<route>/<number>/   meta.json, columns.npz
                           frames.mp4, depth.zst (camera) or table.npz (controls)
"""

import fcntl
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from suites.errors import DataError, Finding
from suites.identity import file_digest
from suites.segment import DepthSource, Floats, SegmentColumns, SegmentMeta
from workers.segments.data_errors import IMPORT_AGAIN, data_error
from workers.segments.depth_codec import Depth, DepthCodec, read_depth, write_depth
from workers.segments.video import Frames, read_video, write_video

META = "meta.json"
COLUMNS = "columns.npz"
TABLE = "table.npz"
FRAMES = "frames.mp4"
DEPTH = "depth.zst"
NEAR_M, FAR_M = 1.0, 250.0
_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_ID = re.compile(rf"{_WORD}(/{_WORD})?")
_META: TypeAdapter[SegmentMeta] = TypeAdapter(SegmentMeta)
_verified: set[tuple[Path, str]] = set()
"""Folders (with the digest of their meta.json) whose files this process has read through."""


@dataclass(frozen=True)
class StoredSegment:
    """A segment on disk. Frames and depth are decoded when asked for; columns are read once."""

    folder: Path
    meta: SegmentMeta
    digest: str

    @cached_property
    def columns(self) -> SegmentColumns:
        return _columns(self.folder / COLUMNS, self.meta.frame_count)

    @cached_property
    def table(self) -> dict[str, Floats]:
        """The raw columns of a controls segment by their names in the source; else empty."""
        return _arrays(self.folder / TABLE) if TABLE in self.meta.files else {}

    def frames(self, start: int = 0, stop: int | None = None) -> Frames:
        """RGB uint8 [n, height, width, 3] of frames [start, stop)."""
        camera = self.meta.camera
        if camera is None or FRAMES not in self.meta.files:
            raise self._lacks("frames")
        stop = self._stop(start, stop)
        return read_video(self.folder / FRAMES, start, stop, camera.width, camera.height)

    def depth(self, start: int = 0, stop: int | None = None) -> Depth:
        """Metres along the optical axis, NaN where unknown: float32 [n, h, w], as stored."""
        if DEPTH not in self.meta.files:
            raise self._lacks("depth")
        stop = self._stop(start, stop)
        return read_depth(self.folder / DEPTH, DepthCodec(**self.meta.depth), start, stop)

    def _stop(self, start: int, stop: int | None) -> int:
        stop = self.meta.frame_count if stop is None else stop
        if not 0 <= start <= stop <= self.meta.frame_count:
            there = f"{self.meta.frame_count} in {self.meta.segment_id}"
            raise IndexError(f"frames [{start}, {stop}) of {there}")
        return stop

    def _lacks(self, what: str) -> DataError:
        problem = f"a {self.meta.kind} segment without {what}"
        message = f"segment {self.meta.segment_id} has no {what}"
        return DataError(message, (Finding(str(self.folder), problem),))


def write_segment(
    root: Path,
    meta: SegmentMeta,
    columns: SegmentColumns,
    frames: Iterable[Frames] | None,
    depth: Iterable[Depth] | None,
    table: dict[str, Floats] | None = None,
) -> SegmentMeta:
    """Store a segment; returns its meta with `files` and the depth codec filled in.

    frames: RGB uint8 [H, W, 3]; depth: float32 metres [h, w]; both as many as `meta.frame_count`,
    and consumed one by one. The segment appears under its id when all of it is on disk; an older
    one is replaced. Raises DataError when the inputs contradict each other. Then, and when an
    iterator raises, nothing is left.
    """
    folder = segment_folder(root, meta.segment_id)
    _check_columns(meta, columns)
    with _scratch(root) as scratch:
        arrays = {f.name: getattr(columns, f.name) for f in fields(columns)}
        _write_arrays(scratch / COLUMNS, arrays)
        if table is not None:
            _write_arrays(scratch / TABLE, table)
        if frames is not None:
            count, width, height = write_video(scratch / FRAMES, frames, meta.rate_hz)
            camera = meta.camera
            if camera is None or (width, height) != (camera.width, camera.height):
                problem = f"frames are {width}x{height}, the camera says {camera}"
                raise _contradiction(meta, "camera", problem)
            _check_count(meta, "frames", count)
        if depth is not None:
            near, far = meta.depth.get("near_m", NEAR_M), meta.depth.get("far_m", FAR_M)
            count, codec = write_depth(scratch / DEPTH, depth, near, far)
            _check_count(meta, "depth", count)
            meta = replace(meta, depth=codec)
        return _finish(root, scratch, folder, meta)


def replace_depth(
    root: Path,
    segment: StoredSegment,
    depth: Iterable[Depth],
    source: DepthSource,
    origin: dict[str, Any],
) -> SegmentMeta:
    """Give a stored segment other depth [h, w] m, one a frame, and so another digest.

    Every other file stays as it is. origin: where the depth came from, kept as `depth` in the
    segment's. As in write_segment, nothing changes before all of it is on disk.
    """
    meta = segment.meta
    with _scratch(root) as scratch:
        for name in meta.files.keys() - {DEPTH}:
            shutil.copyfile(segment.folder / name, scratch / name)
        count, codec = write_depth(scratch / DEPTH, depth, NEAR_M, FAR_M)
        _check_count(meta, "depth", count)
        origin = {**meta.origin, "depth": origin}
        meta = replace(meta, depth=codec, depth_source=source, origin=origin)
        return _finish(root, scratch, segment.folder, meta)


def read_segment(root: Path, segment_id: str, verify: bool | None = None) -> StoredSegment:
    """Open a stored segment. Raises DataError naming the file that is damaged.

    verify: True reads every file through and compares its sha256; None does so on the first opening
    in this process only; False only looks that the files are there.
    """
    folder = segment_folder(root, segment_id)
    meta = _read_meta(folder)
    if meta.segment_id != segment_id:
        problem = f"segment_id {segment_id!r} expected, found {meta.segment_id!r}"
        raise _damaged(folder / META, problem)
    identity = meta.digest
    check = verify if verify is not None else (folder, identity) not in _verified
    for name, expected in meta.files.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise _damaged(path, "listed in meta.json but absent")
        if check and (found := file_digest(path)) != expected:
            raise _damaged(path, f"sha256 {expected[:12]}… expected, found {found[:12]}…")
    if COLUMNS not in meta.files:
        raise _damaged(folder / META, f"lists no {COLUMNS}")
    _verified.add((folder, identity))
    return StoredSegment(folder=folder, meta=meta, digest=identity)


def list_segments(
    root: Path, on_damage: Callable[[DataError], None] | None = None
) -> list[SegmentMeta]:
    """What is stored, by route and number. A damaged meta.json raises, or goes to `on_damage`."""
    found = []
    for path in [*root.glob(f"*/{META}"), *root.glob(f"*/*/{META}")]:
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        try:
            found.append(_read_meta(path.parent))
        except DataError as error:
            if on_damage is None:
                raise
            on_damage(error)
    return sorted(found, key=lambda meta: by_number(meta.segment_id))


def by_number(name: str) -> list[int | str]:
    """Sorts names that hold numbers: `r/2` before `r/10`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def segment_folder(root: Path, segment_id: str) -> Path:
    """Where a segment lies. Raises DataError for an id that is not `route` or `route/number`."""
    if not _ID.fullmatch(segment_id):
        problem = "letters, digits, '.', '_' and '-' expected, with at most one '/'"
        raise DataError(f"{segment_id!r} is no segment id", (Finding("segment_id", problem),))
    return root / segment_id


def _read_meta(folder: Path) -> SegmentMeta:
    path = folder / META
    try:
        return _META.validate_json(path.read_bytes())
    except FileNotFoundError as error:
        problem = f"no segment {folder.parent.name}/{folder.name} is stored"
        finding = Finding(str(path), "absent", "`redrive segments list` shows what is stored")
        raise DataError(problem, (finding,)) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise _damaged(path, f"{where}: {first['msg']}") from error


def _columns(path: Path, count: int) -> SegmentColumns:
    arrays = _arrays(path)
    names = [f.name for f in fields(SegmentColumns)]
    for name in names:
        found = list(arrays[name].shape) if name in arrays else "nothing"
        if found != [count]:
            raise _damaged(path, f"column {name} of shape [{count}] expected, found {found}")
    return SegmentColumns(**{name: arrays[name] for name in names})


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        # np.load leaves a damaged file open that it opened itself
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, f"cannot be read ({error})") from error


def _write_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    np.savez_compressed(path, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})


def _check_columns(meta: SegmentMeta, columns: SegmentColumns) -> None:
    for f in fields(columns):
        values = getattr(columns, f.name)
        if values.shape != (meta.frame_count,):
            problem = f"shape [{meta.frame_count}] expected, found {list(values.shape)}"
            raise _contradiction(meta, f.name, problem)
    t = columns.t_s
    if meta.frame_count == 0 or t[0] != 0 or not np.all(np.diff(t) > 0):
        row = int(np.argmax(~(np.diff(t, prepend=-1.0) > 0))) if len(t) else 0
        raise _contradiction(meta, f"t_s: row {row}", "times must start at 0 and increase")
    for name in ("x_m", "y_m", "z_m", "yaw_rad", "speed_mps") if meta.kind == "camera" else ():
        bad = ~np.isfinite(getattr(columns, name))
        if bad.any():
            where = f"{name}: row {int(np.argmax(bad))}"
            raise _contradiction(meta, where, "a camera segment needs a finite number here")


def _check_count(meta: SegmentMeta, what: str, count: int) -> None:
    if count != meta.frame_count:
        problem = f"{meta.frame_count} frames expected, {count} came"
        raise _contradiction(meta, f"{what}: frame {count}", problem)


def _contradiction(meta: SegmentMeta, where: str, problem: str) -> DataError:
    return data_error(f"segment {meta.segment_id} cannot be stored: {where}", where, problem)


def _damaged(path: Path, problem: str) -> DataError:
    return data_error(f"stored segment is damaged: {path.name}", path, problem, IMPORT_AGAIN)


@contextmanager
def _scratch(root: Path) -> Iterator[Path]:
    """A folder, gone afterwards unless renamed; what killed writers left is swept first."""
    folder = root / f".writing-{uuid4().hex}"
    with _exclusive(root):
        for left in root.glob(".writing-*"):
            _sweep(left)
        folder.mkdir()
        owner = os.open(folder, os.O_RDONLY)
        fcntl.flock(owner, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(owner)


def _sweep(folder: Path) -> None:
    """Remove a scratch folder whose writer is dead: a living one holds its lock."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(handle)


@contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    """One process at a time publishes here; the kernel frees the lock of a killed one."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _finish(root: Path, scratch: Path, folder: Path, meta: SegmentMeta) -> SegmentMeta:
    """Write the meta of the files in `scratch`, and give them the segment's name."""
    meta = replace(meta, files={path.name: file_digest(path) for path in sorted(scratch.iterdir())})
    # Through JSON once: 200 and 200.0 in a float field must give one identity.
    meta = _META.validate_json(meta.canonical())
    (scratch / META).write_bytes(meta.canonical())
    _publish(root, scratch, folder)
    return meta


def _publish(root: Path, scratch: Path, folder: Path) -> None:
    """Make the finished folder durable and give it its name."""
    for path in [*scratch.iterdir(), scratch]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    with _exclusive(root):
        folder.parent.mkdir(parents=True, exist_ok=True)
        replaced = root / f".writing-{uuid4().hex}"
        if folder.exists():
            folder.rename(replaced)
        scratch.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
