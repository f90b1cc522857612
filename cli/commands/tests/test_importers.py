"""An importer is its own file, a command and a line in the README (docs/recipes/importer.md)."""

import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from cli.commands.segments import imports
from suites.segment import Facts, SegmentMeta
from workers.segments.facts import Stated, motion_facts, with_stated
from workers.segments.store import list_segments, read_segment, write_segment
from workers.segments.tests.segment_parts import CAMERA, camera_meta, depths, moving_frames
from workers.simulation.tests.columns import straight_columns

ROOT = Path(__file__).parents[3]


def importers() -> dict[str, str]:
    """Commands of `redrive segments import`, and the module that each calls."""
    found = {}
    for command in imports.registered_commands:
        source = inspect.getsource(command.callback or importers)
        [module] = re.findall(r"from ([\w.]+) import import_", source)
        found[str(command.name)] = module
    return found


def import_speeds(file: Path, root: Path, stated: Stated) -> SegmentMeta:
    """A source of logs that nobody knows: one speed a line, in m/s at 20 Hz."""
    speeds = np.array([float(line) for line in file.read_text().split()])
    columns = straight_columns(len(speeds), 20.0, float(speeds.mean()))
    meta = camera_meta(f"{file.stem}/0", source="speeds/1", frame_count=len(speeds), camera=CAMERA)
    meta = with_stated(meta, stated)
    return write_segment(root, meta, columns, moving_frames(), depths())


def test_what_an_unknown_importer_stores_is_a_segment_like_any_other(tmp_path: Path) -> None:
    log = tmp_path / "drive.txt"
    log.write_text("\n".join(["20.0"] * 25))
    meta = import_speeds(log, tmp_path / "root", Stated(facts=Facts(weather="dry"), tags=("hill",)))
    assert list_segments(tmp_path / "root") == [meta]
    stored = read_segment(tmp_path / "root", "drive/0", verify=True)
    moved = motion_facts(stored.columns.speed_mps, stored.columns.curvature)
    assert moved.mean_speed_mps == 20.0
    assert (stored.meta.source, stored.meta.facts.weather) == ("speeds/1", "dry")
    assert stored.frames().shape == (25, CAMERA.height, CAMERA.width, 3)


@pytest.mark.parametrize("package", ["suites", "workers", "server", "training"])
def test_importers_are_known_to_the_command_line_only(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        place = file.relative_to(ROOT)
        if "tests" not in place.parts and place.parts[:2] != ("workers", "segments"):
            code = file.read_text()
            assert not [name for name in importers().values() if name in code], place


def test_each_importer_has_its_command_and_its_line_in_the_readme() -> None:
    named = re.findall(r"redrive segments import ([a-z-]+)", (ROOT / "README.md").read_text())
    assert set(named) == set(importers())


def test_an_importer_says_its_version() -> None:
    assert importers().keys() >= {"openpilot", "controls-csv"}
    for module in importers().values():
        assert re.fullmatch(r"[a-z-]+/\d+", importlib.import_module(module).SOURCE)


def test_no_importer_is_without_its_command() -> None:
    folder = ROOT / "workers" / "segments"
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in folder.rglob("*.py")
        if re.search(r"^def import_", path.read_text(), re.MULTILINE) and "tests" not in path.parts
    }
    assert found == set(importers().values())
