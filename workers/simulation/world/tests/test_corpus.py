"""Procedural segments: the same bytes from the same seed, kept when whole, remade when not."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest

from suites.errors import SubmitterError
from suites.identity import digest
from suites.segment import UNKNOWN
from workers.segments.depth_codec import DepthCodec
from workers.segments.store import read_segment
from workers.simulation.world import corpus as world
from workers.simulation.world.corpus import make_corpus, make_route, make_segment, meta_of
from workers.simulation.world.corpus_sheet import write_sheet
from workers.simulation.world.drive import (
    DriveSpec,
    drive_from_origin,
    drive_spec,
    make_drive,
    render_view,
)
from workers.simulation.world.route import RouteSpec, route_spec

ROOT = Path(__file__).parents[4]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drives of a second."""

    def spec(route: RouteSpec, seed: int, number: int) -> DriveSpec:
        return replace(drive_spec(route, seed, number), duration_s=1.0)

    monkeypatch.setattr(world, "drive_spec", spec)


def test_the_demo_corpus_covers_every_situation() -> None:
    tags: Counter[str] = Counter()
    nights: set[int] = set()
    for route in range(20):
        spec = route_spec(0, route)
        for number in range(3):
            drive = make_drive(spec, drive_spec(spec, 0, number))
            meta = meta_of(drive, 0, route, number)
            assert 12.0 <= meta.duration_s <= 20.0
            tags.update(meta.tags)
            nights.update({route} if "night" in meta.tags else ())
            assert None not in asdict(meta.facts).values()
            assert (meta.facts.time_of_day == "night") == ("night" in meta.tags)
            assert (meta.facts.platform, meta.facts.weather) == ("demo", "dry")
    assert set(tags) == {
        "night",
        "highway",
        "exit",
        "lane_change",
        "curve",
        "straight",
        "hill",
        "near_vehicle",
    }
    assert min(tags.values()) >= 5
    assert len(nights) == 4


@pytest.mark.usefixtures("short")
def test_one_seed_gives_the_same_bytes_and_another_gives_others(tmp_path: Path) -> None:
    one, again = (make_segment(tmp_path / name, 0, 3, 1) for name in ("a", "b"))
    assert digest(one) == digest(again)
    assert one.files == again.files
    other = make_segment(tmp_path / "c", 1, 3, 1)
    assert one.files.keys() == other.files.keys() == {"columns.npz", "frames.mp4", "depth.zst"}
    assert not set(one.files.values()) & set(other.files.values())


PLAIN = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Nehalem",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F,-AVX512VL",
}
"""numpy, BLAS and the C library told to do as on a processor of 2008."""


def whole_drive() -> str:
    """Of a drive that takes an exit: its columns, traffic and roadside; of how depths are coded."""
    made = make_drive(route_spec(0, 4), drive_spec(route_spec(0, 4), 0, 1))
    arrays = [getattr(made.columns, field.name) for field in fields(made.columns)]
    depths = np.random.default_rng(1).lognormal(3.0, 1.0, 3_000_000).astype(np.float32)
    codes = DepthCodec(width=1, height=1).encode(depths)
    return digest(
        b"".join(array.tobytes() for array in (*arrays, made.traffic.states, made.things, codes))
    )


ELSEWHERE = """
import sys
from dataclasses import replace
from pathlib import Path
from workers.simulation.world import corpus as world
from workers.simulation.world.tests.test_corpus import whole_drive
usual = world.drive_spec
world.drive_spec = lambda *spec: replace(usual(*spec), duration_s=1.0)
print(whole_drive(), world.make_segment(Path(sys.argv[1]), 0, 4, 1).digest)
"""


@pytest.mark.usefixtures("short")
def test_another_processor_makes_the_same_bytes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "there")]
    there = subprocess.run(
        command, env=os.environ | PLAIN, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert there.stdout.split() == [whole_drive(), make_segment(tmp_path / "here", 0, 4, 1).digest]


@pytest.mark.usefixtures("short")
def test_a_segment_of_an_older_importer_is_read_as_unknown_and_made_again(tmp_path: Path) -> None:
    made = make_segment(tmp_path, 0, 3, 1)
    path = tmp_path / made.segment_id / "meta.json"
    document = json.loads(path.read_text())
    del document["facts"]
    path.write_text(json.dumps(document | {"source": "world/1"}))
    assert read_segment(tmp_path, made.segment_id).meta.facts == UNKNOWN
    assert make_segment(tmp_path, 0, 3, 1) == made


@pytest.mark.usefixtures("short")
def test_what_is_stored_is_what_the_origin_renders(tmp_path: Path) -> None:
    meta = make_segment(tmp_path, 0, 1, 1)
    stored = read_segment(tmp_path, meta.segment_id)
    drive = drive_from_origin(stored.meta.origin)
    c = stored.columns
    assert c.curvature.tobytes() == drive.columns.curvature.tobytes()
    i = 13
    rgb, depth = render_view(drive, float(c.t_s[i]), c.x_m[i], c.y_m[i], c.yaw_rad[i])
    assert np.abs(stored.frames(i, i + 1)[0].astype(float) - rgb).mean() < 4.0
    half = stored.depth(i, i + 1)[0]
    ground = np.s_[45:80, 40:120]
    blocks = 4 / (1 / depth.astype(float)).reshape(80, 2, 160, 2).sum(axis=(1, 3))
    assert half.shape == (80, 160)
    assert np.median(np.abs(half[ground] / blocks[ground] - 1)) < 0.012
    assert stored.meta.depth_source == "exact"


@pytest.mark.usefixtures("short")
def test_a_whole_segment_is_kept_and_a_damaged_or_different_one_is_made_again(
    tmp_path: Path,
) -> None:
    first = make_route(tmp_path, 0, 2, range(3))
    folders = [tmp_path / meta.segment_id for meta in first]
    before = [folder.stat().st_ino for folder in folders]
    video = folders[1] / "frames.mp4"
    video.write_bytes(video.read_bytes()[:-100])
    (folders[2] / "meta.json").write_bytes(
        (folders[2] / "meta.json").read_bytes().replace(b'"lane":1', b'"lane":0')
    )
    assert [meta.digest for meta in make_route(tmp_path, 0, 2, range(3))] == [
        meta.digest for meta in first
    ]
    assert [
        folder.stat().st_ino == inode for folder, inode in zip(folders, before, strict=True)
    ] == [True, False, False]


@pytest.mark.usefixtures("short")
def test_the_sheet_shows_every_segment(tmp_path: Path) -> None:
    from PIL import Image

    metas = make_route(tmp_path, 0, 3, range(1)) + make_route(tmp_path, 0, 0, range(1))
    write_sheet(tmp_path / "sheet.png", tmp_path, metas)
    with Image.open(tmp_path / "sheet.png") as sheet:
        view = np.asarray(sheet)
    assert view.shape == (188, 1920, 3)
    assert view[28:68, :320].mean() < 40 < 120 < view[28:68, 320:640].mean()


def test_a_corpus_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SubmitterError) as error:
        make_corpus(tmp_path, routes=0, processes=0)
    assert [finding.where for finding in error.value.findings] == ["routes", "processes"]
