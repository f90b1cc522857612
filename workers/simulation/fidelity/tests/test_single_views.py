"""Views of the world, stereo pairs and the page, on few pictures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from suites.errors import DataError
from workers.policy.policy import Action, Observation
from workers.segments.store import read_segment
from workers.simulation.fidelity import single_views as views
from workers.simulation.fidelity.artifact_probe import ArtifactProbe
from workers.simulation.fidelity.bars import BARS_DB, bars
from workers.simulation.fidelity.loop_agreement import (
    agreement,
    drive_all,
    sensed_segments,
    simulators,
)
from workers.simulation.fidelity.page import render
from workers.simulation.fidelity.report import Report
from workers.simulation.fidelity.sensors import SENSORS
from workers.simulation.fidelity.shots import Displacement, Shot, take
from workers.simulation.fidelity.stereo import compare
from workers.simulation.fidelity.tests.test_trust_bounds import response, table
from workers.simulation.fidelity.view_sources import SOURCES
from workers.simulation.tests.models import Model, manifest, straight
from workers.simulation.world.corpus import make_segment
from workers.simulation.world.drive import drive_spec

PAIRS = Path(__file__).parents[4].parent / "shared" / "data" / "kitti_stereo"


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> list[Shot]:
    return take(tmp_path_factory.mktemp("segments"), scenes=((0, 0),), rows=(40, 120))


def test_views_where_nothing_moved_are_the_truth_and_depth_beats_the_plane(
    shots: list[Shot],
) -> None:
    found = {
        (x.by.name, x.source): x
        for x in views.likeness(shots, [Displacement(), Displacement(lateral_m=1.0)])
    }
    assert found["none", "exact"].psnr_db > 45
    assert found["none", "stored"].psnr_db > 30
    assert found["+1 m left", "exact"].psnr_db > found["+1 m left", "plane"].psnr_db + 2
    assert found["+1 m left", "exact"].ssim > found["+1 m left", "plane"].ssim
    assert found["none", "exact"].groups.keys() >= {"day"}


def test_the_bars_hold_on_the_committed_scene_and_the_other_warps_do_not(shots: list[Shot]) -> None:
    found = bars({"a world": shots[:1]})
    boxes = [bar for bar in found if bar.scene == "boxes"]
    assert (
        [bar.offset_m for bar in boxes]
        == [bar.offset_m for bar in found if bar.scene != "boxes"]
        == list(BARS_DB)
    )
    for bar in boxes:
        assert bar.holds
        assert bar.psnr_db["forward"] > bar.psnr_db["backward"] + 6 > bar.psnr_db["plane"] + 5
    for bar in found:
        assert bar.psnr_db["forward"] > bar.psnr_db["plane"] + 2


def test_depth_of_sensors_lies_between_exact_depth_and_the_plane(shots: list[Shot]) -> None:
    alike = views.likeness(shots, [Displacement(lateral_m=1.0)])
    quality = {found.source: found.psnr_db for found in alike}
    for sensor in SENSORS:
        assert quality["exact"] + 0.5 > quality[sensor] > quality["plane"] + 1.0
        depth, exact = shots[0].sensed[sensor], shots[0].depth
        near = (exact < 60) & (np.arange(80)[:, None] > 40)
        assert np.median(np.abs(depth[near] / exact[near] - 1)) < 0.02


def test_segments_with_the_depth_of_a_sensor_are_driven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "workers.simulation.world.corpus.drive_spec",
        lambda *args: replace(drive_spec(*args), duration_s=1.3),
    )
    meta = make_segment(tmp_path / "root", 0, 0, 0)
    sensed = sensed_segments(tmp_path / "root", tmp_path / "scratch", [meta])
    compared = simulators(tmp_path / "root", tmp_path / "scratch")
    for sensor, (other,) in sensed.items():
        found = read_segment(tmp_path / "scratch" / sensor, meta.segment_id, verify=True)
        assert (found.meta, other.depth_source) == (other, sensor)
        assert found.meta.files["frames.mp4"] == meta.files["frames.mp4"]
        table = drive_all(
            compared[sensor], {"m": Model(straight, manifest())}, [other], offsets=(0.5,)
        )
        assert not table["m", meta.segment_id, 0.5].failed
    assert read_segment(tmp_path / "root", meta.segment_id).meta == meta


def test_a_model_that_reads_the_picture_is_wrong_by_what_the_picture_is(shots: list[Shot]) -> None:
    """A 'model' that asks for curvature by the view's brightness."""

    def brightness(observation: Observation, rows: object, step: int) -> Action:
        assert observation.frames is not None
        return Action(
            curvature=observation.frames.mean(axis=(1, 2, 3)) / observation.scalars["speed"] ** 2
        )

    grid = [Displacement(), Displacement(lateral_m=2.0)]
    found = views.responses(shots, grid, {"m": Model(brightness, manifest())}, SOURCES[:1])
    camera = manifest().camera
    assert camera is not None
    off = [
        float(SOURCES[0].view(s, grid[1], camera).mean() - s.truth(grid[1], camera).mean())
        for s in shots
    ]
    change = [
        float(s.truth(grid[1], camera).mean() - s.truth(grid[0], camera).mean()) for s in shots
    ]
    assert found[1].error == pytest.approx(np.sqrt(np.mean(np.square(off))), rel=1e-6)
    assert found[1].true == pytest.approx(np.sqrt(np.mean(np.square(change))), rel=1e-6)
    late = views.slips(shots, {"m": Model(brightness, manifest())}, ahead=(0.0, 1.0))
    assert late[0].error == 0.0  # on time nothing is out of place
    assert late[1].ahead_m > 10.0


def test_a_segment_of_another_world_is_refused(
    tmp_path: Path, shots: list[Shot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.simulation.fidelity.shots.CODEC_DB", 99.0)
    with pytest.raises(DataError, match="cannot be compared"):
        take(tmp_path, scenes=((0, 0),), rows=(40,))


def wall_pairs(folder: Path) -> None:
    """Three pairs of a textured wall 12 m ahead, 0.5 m nearer each pair; baseline 0.5 m."""
    texture = np.asarray(
        Image.fromarray(np.random.default_rng(4).integers(0, 255, (120, 300), np.uint8)).resize(
            (2400, 960), Image.Resampling.BICUBIC
        )
    )
    v, u = np.mgrid[0:96, 0:480]
    for side in ("left", "right"):
        (folder / side).mkdir(parents=True)
    for k in range(3):
        z = 12.0 - 0.5 * k
        for side, x0 in (("left", 0.0), ("right", 0.5)):
            x, y = (u - 239.5) * z / 300 + x0, (v - 47.5) * z / 300
            column, row = np.rint(1200 + 80 * x).astype(int), np.rint(480 + 80 * y).astype(int)
            Image.fromarray(texture[row, column]).save(folder / side / f"{k:06d}.png")
    (folder / "calib.txt").write_text(
        "300 0 239.5 0 0 300 47.5 0 0 0 1 0\n300 0 239.5 -150 0 300 47.5 0 0 0 1 0\n"
    )
    (folder / "poses.txt").write_text(
        "".join(f"1 0 0 0 0 1 0 0 0 0 1 {0.5 * k}\n" for k in range(3))
    )


def test_depth_of_neighbours_puts_a_wall_where_the_right_camera_sees_it(tmp_path: Path) -> None:
    wall_pairs(tmp_path)
    found, pictures = compare(tmp_path)
    assert len(found) == len(pictures) == 3
    for pair in found:
        assert pair.offset_m == -0.5
        assert pair.known > 0.5
        assert pair.psnr_db["neighbours"] > pair.psnr_db["plane"] + 3
        assert pair.psnr_db["neighbours"] > 22


def test_the_judged_right_picture_tells_nothing_of_its_own_view(tmp_path: Path) -> None:
    wall_pairs(tmp_path)
    _, before = compare(tmp_path)
    judged = tmp_path / "right" / "000001.png"
    Image.fromarray(np.random.default_rng(5).integers(0, 255, (96, 480), np.uint8)).save(judged)
    _, after = compare(tmp_path)
    height = before[1].shape[0] // 3
    assert np.array_equal(before[1][:height], after[1][:height])  # the moved left picture
    assert not np.array_equal(before[0][:height], after[0][:height])  # a neighbour's depth is gone


def test_a_folder_without_pairs_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no stereo pairs"):
        compare(tmp_path)


@pytest.mark.skipif(not PAIRS.is_dir(), reason="the KITTI pairs are not at ../shared/data")
def test_real_pairs_neighbours_beat_the_plane_and_the_plane_beats_nothing() -> None:
    found, _ = compare(PAIRS)
    assert len(found) == 6
    for pair in found:
        assert pair.psnr_db["neighbours"] > pair.psnr_db["plane"] + 1.0
        assert pair.psnr_db["plane"] > pair.psnr_db["unmoved"] + 1.0


def test_the_page_holds_every_figure_and_escapes_names(shots: list[Shot]) -> None:
    costs = table({"good": [0.1, 0.12, 0.1, 0.1], "<b>": [0.5, 0.52, 0.5, 0.5]})
    answers = [replace(response(x, 0.1, 1.0, source="exact"), model="<b>") for x in (1.0, 2.0)]
    report = Report(
        scenes=1,
        models=("<b>",),
        bars=bars(),
        likeness=views.likeness(
            shots[:1], [Displacement(), Displacement(lateral_m=1.0)], SOURCES[:2]
        ),
        responses=answers,
        slips=[],
        trust={"exact": {"lateral_m": 2.25, "heading_deg": 9.0, "longitudinal_m": 7.0}},
        probes=[ArtifactProbe(source="exact", r2=0.6, r2_truth=0.25)],
        loop_segments=2,
        agreements=[agreement("stored", costs, costs)],
        stereo=[],
        pictures={"a <picture>": shots[0].picture},
    )
    page = render(report)
    assert "<b>" not in page.replace("&lt;b&gt;", "")
    for text in (
        "2.25",
        "+0.35",
        "a &lt;picture&gt;",
        "data:image/png;base64,",
        "<svg",
        "worse → worse",
        "<td>37.9</td>",
    ):
        assert text in page
    document = json.loads(json.dumps(report.document()))
    assert document["probes"][0]["excess"] == pytest.approx(0.35)
    assert document["agreements"][0]["verdicts_agree"] == 1.0
