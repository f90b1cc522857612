"""Make pictures of a stored rollout."""

import logging
import tempfile
from pathlib import Path
from typing import Any

from suites.errors import RedriveError
from suites.rollout import Rollout
from workers.pictures import make_sheet, write_comparison
from workers.process import Process, this_process
from workers.stored_inputs import read_model, read_rollout
from workers.stored_results import store_artifact

log = logging.getLogger(__name__)

SHEET_DETAIL = ("rate_hz", "count", "columns", "tile_width", "tile_height")


def render(drive_key: str, kind: str) -> None:
    """Store a sheet of frames (`log`, `view`) or a `video`, or say why there can be none."""
    here = this_process()
    try:
        sha256, detail = _rendered(here, read_rollout(here, drive_key), kind)
        here.write(store_artifact, drive_key, kind, sha256, detail)
    except RedriveError as error:
        log.warning("no %s of rollout %s: %s", kind, drive_key[:12], error)
        here.write(store_artifact, drive_key, kind, error=str(error))


def _rendered(here: Process, rollout: Rollout, kind: str) -> tuple[str, dict[str, Any]]:
    """(sha256 of the stored picture, what it says about itself)."""
    camera = read_model(here, rollout.key.model)[0].camera
    segments = here.settings.segments
    if kind == "video":
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "comparison.mp4"
            write_comparison(path, rollout, segments, camera)
            return here.blobs.put(path), {}
    sheet = make_sheet(rollout, segments, camera, "log" if kind == "log" else "view")
    return here.blobs.put(sheet.jpeg), {name: getattr(sheet, name) for name in SHEET_DETAIL}
