"""Segments, and times in them, by any name that people paste."""

import difflib
import math
import re
from collections.abc import Sequence

from suites.errors import DataError, Finding, SubmitterError
from suites.segment import SegmentMeta

MINUTE_S = 60.0
"""Length of the segments that an openpilot route is cut into."""
NEAR = 5
"""Most near matches that an error lists."""


def find_segment(name: str, stored: Sequence[SegmentMeta]) -> SegmentMeta:
    """The stored segment that `name` means. Raises DataError with near matches and the next step.

    `name`: its id, `dongle|route--3`, `dongle/route/3`, a connect address, or whole words of an id
    that only one has.
    """
    wanted = same_place(name)
    places = [(same_place(meta.segment_id), meta) for meta in stored]
    within = (
        [meta for meta in stored if meta.segment_id == name]
        or [meta for place, meta in places if place == wanted]
        or [meta for place, meta in places if f"/{wanted}/" in f"/{place}/"]
    )
    if len(within) == 1:
        return within[0]
    if not stored:
        found = "nothing is stored yet"
        remedy = "`redrive segments import openpilot DIR`, `redrive world`, or set --data"
    elif within:
        found = f"{len(within)} segments match: {_some([meta.segment_id for meta in within])}"
        remedy = "name one of them in full"
    else:
        ids = {place: meta.segment_id for place, meta in places}
        near = difflib.get_close_matches(wanted, list(ids), n=NEAR, cutoff=0.4)
        found = f"not among {len(stored)} stored"
        found += f"; near: {_some([ids[key] for key in near])}" if near else ""
        remedy = "`redrive segments list` shows all"
    raise DataError(f"no single segment is called {name!r}", Finding(name, found, remedy))


def seconds(text: str, where: str) -> float:
    """`83`, `83.5`, `1:23`, `1:02:03`. Raises SubmitterError naming `where`."""
    total = 0.0
    try:
        for part in text.split(":"):
            total = 60 * total + float(part)
    except ValueError:
        total = math.nan
    if not math.isfinite(total):
        remedy = "seconds, minutes:seconds, or hours:minutes:seconds"
        finding = Finding(where, f"{text!r:.60} is no time", remedy)
        raise SubmitterError("the time can't be read", finding)
    return total


def find_route(name: str, stored: Sequence[SegmentMeta]) -> list[SegmentMeta]:
    """The stored segments of the route that `name` means, in order; none where there is none."""
    wanted = same_place(name)
    found = [meta for meta in stored if same_place(meta.route) == wanted]
    return sorted(found, key=lambda meta: (_number(meta), meta.segment_id))


def locate(
    name: str, time_s: float, stored: Sequence[SegmentMeta]
) -> tuple[SegmentMeta, float] | None:
    """The segment that a time lies in, and the time from its start; None: it is not stored (yet).

    A time counts from the start of what is named, a segment or a route.
    Raises SubmitterError for a time outside it.
    """
    if route := find_route(name, stored):
        return _on_route(name, time_s, route)
    try:
        meta = find_segment(name, stored)
    except DataError:
        return None
    _check_time(name, time_s, meta.duration_s)
    return meta, time_s


def _on_route(
    name: str, time_s: float, segments: Sequence[SegmentMeta]
) -> tuple[SegmentMeta, float] | None:
    by_minute = False
    at_s = 0.0
    for meta in segments:
        if meta.source.startswith("openpilot"):  # cut by the minute, and some may be missing
            by_minute = True
            at_s = MINUTE_S * _number(meta)
        if 0 <= time_s - at_s <= meta.duration_s:
            return meta, time_s - at_s
        at_s += meta.duration_s
    if not by_minute or time_s < 0:
        _check_time(name, time_s, at_s)
    return None  # another minute of the route may still be imported


def _check_time(name: str, time_s: float, duration_s: float) -> None:
    if not 0 <= time_s <= duration_s:
        remedy = "count the seconds from the start of the route or segment that you name"
        finding = Finding("time", f"it lasts from 0 to {duration_s:g} s", remedy)
        raise SubmitterError(f"{time_s:g} s is outside {name}", finding)


def _number(meta: SegmentMeta) -> int:
    last = meta.segment_id.rpartition("/")[2]
    return int(last) if last.isdigit() else 0


def same_place(name: str) -> str:
    """Equal for all ways of writing one route or segment: its words with `/` between them.

    Words lie between `/`, `|` and `_`, and a number after the last `--` is one. A connect address
    gives start and end seconds after the route (`.../dongle/route/60/120`): segments are minutes.
    """
    address = re.sub(r"^[a-z]+://", "", name.strip())
    parts = [part for part in re.split(r"[/|?#]", address) if part]
    if address != name.strip() or parts[:1] == ["connect.comma.ai"]:
        parts = parts[1:]
        if len(parts) == 4 and parts[2].isdigit() and parts[3].isdigit():
            parts = [*parts[:2], str(int(parts[2]) // 60)]
    text = "/".join(parts).lower()
    text = re.sub(r"^([0-9a-f]{16})_", r"\1/", text)
    return re.sub(r"--(\d{1,3})$", r"/\1", text)


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:NEAR]) + (f" and {len(ids) - NEAR} more" if len(ids) > NEAR else "")
