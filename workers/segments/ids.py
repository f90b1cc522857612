"""Segments by any name that people paste."""

import difflib
import re
from collections.abc import Sequence

from suites.errors import DataError, Finding
from suites.segment import SegmentMeta

NEAR = 5
"""Most near matches that an error lists."""


def find_segment(name: str, stored: Sequence[SegmentMeta]) -> SegmentMeta:
    """The stored segment that `name` means: its id, `dongle|route--3`, `dongle/route/3`, a connect address, or whole words
    of an id that only one has. Raises DataError with near matches and the next step."""
    wanted = _words(name)
    exact = [meta for meta in stored if meta.segment_id == name] or [m for m in stored if _words(m.segment_id) == wanted]
    part = f"/{'/'.join(wanted)}/"
    within = exact or [meta for meta in stored if part in f"/{'/'.join(_words(meta.segment_id))}/"]
    if len(within) == 1:
        return within[0]
    if not stored:
        found, remedy = "nothing is stored yet", "`redrive segments import openpilot DIR`, `redrive world`, or set --data"
    elif within:
        found = f"{len(within)} segments match: {_some([meta.segment_id for meta in within])}"
        remedy = "name one of them in full"
    else:
        ids = {"/".join(_words(meta.segment_id)): meta.segment_id for meta in stored}
        near = difflib.get_close_matches("/".join(wanted), list(ids), n=NEAR, cutoff=0.4)
        found = f"not among {len(stored)} stored" + (f"; near: {_some([ids[key] for key in near])}" if near else "")
        remedy = "`redrive segments list` shows all"
    raise DataError(f"no single segment is called {name!r}", (Finding(name, found, remedy),))


def _words(name: str) -> list[str]:
    """What the ways of writing a segment have in common: words between `/`, `|`, `_` and a number after the last `--`.

    A connect address gives start and end seconds after the route (`.../dongle/route/60/120`): segments are minutes.
    """
    address = re.sub(r"^[a-z]+://", "", name.strip())
    parts = [part for part in re.split(r"[/|?#]", address) if part]
    if address != name.strip() or parts[:1] == ["connect.comma.ai"]:
        parts = parts[1:]
        if len(parts) == 4 and parts[2].isdigit() and parts[3].isdigit():
            parts = [*parts[:2], str(int(parts[2]) // 60)]
    text = "/".join(parts).lower()
    text = re.sub(r"^([0-9a-f]{16})_", r"\1/", text)
    return re.sub(r"--(\d{1,3})$", r"/\1", text).split("/")


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:NEAR]) + (f" and {len(ids) - NEAR} more" if len(ids) > NEAR else "")
