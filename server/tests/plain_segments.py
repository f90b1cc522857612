"""Segments that are nothing but a meta.json: enough for whatever never drives."""

from pathlib import Path
from typing import Any

from suites.segment import SegmentMeta, Vehicle


def add_plain_segment(root: Path, segment_id: str, **changes: Any) -> SegmentMeta:
    """12 s at 20 Hz without a camera, of the route that its id begins with."""
    fields: dict[str, Any] = {
        "segment_id": segment_id,
        "route": segment_id.split("/")[0],
        "source": "test/1",
        "kind": "camera",
        "frame_count": 240,
        "rate_hz": 20.0,
        "duration_s": 12.0,
        "vehicle": Vehicle(),
    }
    meta = SegmentMeta(**(fields | changes))
    folder = root / segment_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_bytes(meta.canonical())
    return meta
