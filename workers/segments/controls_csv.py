"""Import of the controls dataset: one CSV a segment, rows at 10 Hz (comma's controls challenge)."""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from suites.errors import DataError, Finding
from suites.identity import file_digest
from suites.segment import DRIVER_CODES, Floats, SegmentColumns, SegmentMeta, Vehicle
from workers.segments.data_errors import not_importable
from workers.segments.facts import NOTHING, SLOW_MPS, Stated, motion_facts, with_stated
from workers.segments.store import segment_folder, write_segment

SOURCE = "controls-csv/2"
RATE_HZ = 10.0
HEADER = ("t", "vEgo", "aEgo", "roll", "targetLateralAcceleration", "steerCommand")
KNOWN = {"speed_mps": "vEgo", "acceleration_mps2": "aEgo", "roll_rad": "roll"}
"""Columns of a segment that the dataset has."""
MISSING = (
    *("frames", "depth", "pose", "curvature", "steering_angle"),
    *("driver", "blinkers", "lanes", "road_edges", "lead"),
)
ONE_ROUTE = "Each file counts as a route of its own: the dataset does not say which were one drive."


def import_controls_csv(
    files: Sequence[Path], root: Path, stated: Stated = NOTHING
) -> list[SegmentMeta]:
    """Store each file as the segment `controls/<file's name>`, a route of its own.

    All files are read before the first is written. Raises DataError naming file, row and column;
    then nothing was stored.
    """
    tables = [_read(path) for path in files]
    names = [f"controls/{re.sub(r'[^A-Za-z0-9._-]+', '-', path.stem)}" for path in files]
    for name, path in zip(names, files, strict=True):
        segment_folder(root, name)
        if names.count(name) > 1:
            problem = f"{names.count(name)} of the files would become {name}"
            finding = Finding(str(path), problem, "rename one")
            raise DataError(f"two files of one name: {path.name}", (finding,))
    stored = zip(names, files, tables, strict=True)
    return [_store(root, name, path, table, stated) for name, path, table in stored]


def _store(
    root: Path, name: str, path: Path, table: dict[str, Floats], stated: Stated
) -> SegmentMeta:
    count = len(table["t"])
    unknown = np.full(count, np.nan)
    values: dict[str, np.ndarray] = {f.name: unknown for f in fields(SegmentColumns)}
    values |= {ours: table[theirs] for ours, theirs in KNOWN.items()}
    values["t_s"] = table["t"] - table["t"][0]
    values["driver"] = np.full(count, DRIVER_CODES["unknown"])
    values["left_blinker"] = values["right_blinker"] = np.zeros(count, np.bool_)
    # What the controller is asked to drive: lateral acceleration over speed².
    bend = table["targetLateralAcceleration"] / np.maximum(table["vEgo"], SLOW_MPS) ** 2
    meta = SegmentMeta(
        segment_id=name,
        route=name,
        source=SOURCE,
        kind="controls",
        frame_count=count,
        rate_hz=RATE_HZ,
        duration_s=count / RATE_HZ,
        camera=None,
        vehicle=Vehicle(),
        depth_source=None,
        facts=motion_facts(table["vEgo"], bend),
        missing=MISSING,
        notes=(ONE_ROUTE,),
        origin={"files": {path.name: file_digest(path)}},
    )
    columns = SegmentColumns(**values)
    return write_segment(root, with_stated(meta, stated), columns, None, None, table)


def _read(path: Path) -> dict[str, Floats]:
    """The file's columns as float() reads them; an empty end of `steerCommand` is NaN."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise not_importable(path, "file", f"cannot be read ({error})") from error
    header = rows[0] if rows else []
    absent = [name for name in HEADER if name not in header]
    if absent:
        problem = f"columns {', '.join(HEADER)} expected; {', '.join(absent)} not found"
        raise not_importable(path, "header", problem)
    if len(rows) < 3:
        raise not_importable(path, "rows", f"at least 2 expected, found {len(rows) - 1}")
    for number, cells in enumerate(rows[1:]):
        if len(cells) != len(header):
            problem = f"{len(header)} values expected, found {len(cells)}"
            raise not_importable(path, f"row {number}", problem)
    table = {
        name: _column(path, name, [row[header.index(name)] for row in rows[1:]]) for name in HEADER
    }
    step = np.diff(table["t"])
    bad = np.abs(step - 1 / RATE_HZ) > 0.5 / RATE_HZ
    if bad.any():
        at = int(np.argmax(bad))
        problem = f"a step of {1 / RATE_HZ} s expected, found {step[at]:g} s"
        raise not_importable(path, f"row {at + 1}, column t", problem)
    return table


def _column(path: Path, name: str, cells: list[str]) -> Floats:
    used = len(cells)
    while name == "steerCommand" and used and not cells[used - 1].strip():
        used -= 1
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells[:used]):
        where = f"row {row}, column {name}"
        try:
            values[row] = float(cell)
        except ValueError:
            raise not_importable(path, where, f"a number expected, found {cell!r}") from None
        if not math.isfinite(values[row]):
            raise not_importable(path, where, f"a finite number expected, found {cell!r}")
    return values
