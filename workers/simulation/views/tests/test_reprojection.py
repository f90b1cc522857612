"""Views over segments: no offset, chunks decoded once, the plane, the procedural world."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from suites.errors import DataError, MachineError
from suites.manifest import VirtualCamera
from suites.parameters import parse
from suites.rollout import Offset
from suites.vocabulary import Outcome
from workers.policy.policy import Action, Observation
from workers.segments.store import read_segment, write_segment
from workers.simulation.loop import drive
from workers.simulation.open_simulator import open_simulator
from workers.simulation.tests.analytic import MemorySegment, columns_of, key_for, segment
from workers.simulation.tests.models import Model, manifest, straight
from workers.simulation.views.chunks import CHUNK
from workers.simulation.views.reprojection import over_segments
from workers.simulation.views.warp import packed

WHOLE = VirtualCamera(width=320, height=160, fx=200.0, fy=200.0, cx=159.5, cy=69.5)


def picture(frame: int) -> NDArray[np.uint8]:
    return np.random.default_rng(frame).integers(0, 256, (160, 320, 3), np.uint8)


def watching(seen: list[NDArray[np.uint8]], camera: VirtualCamera = WHOLE) -> Model:
    def look(observation: Observation, rows: NDArray[np.int64], step: int) -> Action:
        assert observation.frames is not None
        seen.append(observation.frames.copy())
        return straight(observation, rows, step)

    return Model(look, manifest(camera))


def test_identity_replay_shows_the_stored_frames_to_the_bit() -> None:
    stored, seen = segment(seconds=3.0, pictures=picture), list[NDArray[np.uint8]]()
    simulator = over_segments(lambda name: stored, parse({"feedback": "log"}))
    (rollout,) = drive(simulator, watching(seen), [key_for(stored, start_s=0.0)])
    assert rollout.outcome is Outcome.COMPLETED
    assert len(seen) == 60
    assert all(np.array_equal(frame[0], picture(i)) for i, frame in enumerate(seen))


def test_a_stored_segment_is_driven_as_it_was_written(tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, 320)[None, :, None] * np.ones((160, 1, 3))
    memory = segment("route/0", 3.0)
    frames = [np.roll(smooth, 3 * i, axis=1).astype(np.uint8) for i in range(len(memory.columns))]
    depth = np.full((80, 160), 30.0, np.float32)
    meta = write_segment(tmp_path, memory.meta, memory.columns, frames, [depth] * len(frames))
    stored, seen = read_segment(tmp_path, meta.segment_id), list[NDArray[np.uint8]]()
    key = key_for(memory, start_s=0.5)
    key = replace(
        key,
        scenario=replace(key.scenario, segment_digest=stored.digest),
        simulator=replace(key.simulator, parameters={"feedback": "log"}),
    )
    (rollout,) = drive(open_simulator(key.simulator, tmp_path, {}), watching(seen), [key])
    assert rollout.outcome is Outcome.COMPLETED
    decoded = stored.frames(10, 10 + len(seen))
    assert all(np.array_equal(frame[0], decoded[i]) for i, frame in enumerate(seen))


def test_rows_of_one_segment_share_each_decoded_chunk_and_few_are_held() -> None:
    stored = segment(seconds=6.0, curvature=lambda t: np.zeros_like(t), pictures=picture)
    asked: list[tuple[int, int | None]] = []

    class Counting(MemorySegment):
        def frames(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
            asked.append((start, stop))
            return super().frames(start, stop)

    counted = Counting(stored.meta, stored.columns, stored.pictures, stored.depths)
    keys = [
        key_for(stored, Offset(lateral_m=left), start_s=0.0) for left in (-0.6, -0.3, 0.0, 0.3, 0.6)
    ]
    found = list(
        drive(over_segments(lambda name: counted, parse({})), Model(straight, manifest()), keys)
    )
    assert {r.outcome for r in found} == {Outcome.COMPLETED}
    assert sorted(asked) == [(start, start + CHUNK) for start in range(0, 120, CHUNK)]


def test_without_depth_the_ground_plane_is_used_and_the_segments_depth_never_read() -> None:
    def forbidden(frame: int) -> NDArray[np.float32]:
        raise AssertionError("no depth is stored")

    stored, seen = (
        segment(seconds=2.0, depth_source="plane", pictures=picture, depths=forbidden),
        list[NDArray[np.uint8]](),
    )
    keys = [key_for(stored, Offset(lateral_m=0.5))]
    list(drive(over_segments(lambda name: stored, parse({})), watching(seen), keys))
    sky, road = seen[0][0][:60], seen[0][0][80:]
    assert np.array_equal(sky, picture(20)[:60])
    assert not np.array_equal(road, picture(20)[80:])


def test_a_segment_without_a_camera_is_bad_data() -> None:
    stored = segment(camera=None)
    with pytest.raises(DataError, match="segment a has no frames"):
        list(
            drive(
                over_segments(lambda name: stored, parse({})),
                Model(straight, manifest()),
                [key_for(stored)],
            )
        )


def test_another_version_of_the_simulator_is_this_machines_problem(tmp_path: Path) -> None:
    spec = replace(key_for(segment()).simulator, version="0")
    with pytest.raises(MachineError, match="another version"):
        open_simulator(spec, tmp_path, {})


def world_segment() -> MemorySegment:
    from workers.simulation.world.drive import STORED_CAMERA, drive_spec, make_drive, render_view
    from workers.simulation.world.route import route_spec

    route = route_spec(0, 3)
    made = make_drive(route, drive_spec(route, 0, 1))
    c = made.columns

    def rendered(i: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        return render_view(made, c.t_s[i], c.x_m[i], c.y_m[i], c.yaw_rad[i])

    scene: dict[str, Any] = {
        "pictures": lambda i: rendered(i)[0],
        "depths": lambda i: rendered(i)[1][::2, ::2],
    }
    stored = segment("world", columns=c, camera=STORED_CAMERA, **scene)
    return replace(stored, meta=replace(stored.meta, origin=made.origin))


def test_rendered_driving_sees_what_reprojection_sees_where_nothing_is_displaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = world_segment()
    rendered = pytest.importorskip("workers.simulation.views.rendered")
    monkeypatch.setattr(rendered, "read_segment", lambda root, name: stored)
    views: dict[str, list[NDArray[np.uint8]]] = {"reprojection": [], "rendered": []}
    for offset in (0.0, 0.5):
        for name, seen in views.items():
            seen.clear()
            simulator = over_segments(lambda name: stored, parse({}))
            if name == "rendered":
                simulator = rendered.open_simulator(Path(), {}, {})
            key = key_for(stored, Offset(lateral_m=offset), end_s=1.2, simulator=name)
            list(
                drive(
                    simulator,
                    watching(
                        seen,
                        VirtualCamera(width=128, height=64, fx=100.0, fy=100.0, cx=63.5, cy=30.0),
                    ),
                    [key],
                )
            )
        difference = np.abs(views["reprojection"][0].astype(int) - views["rendered"][0]).mean()
        assert difference < (0.3 if offset == 0.0 else 6.0)
        assert (difference > 1.0) == (offset != 0.0)


def test_rendering_needs_a_world() -> None:
    rendered = pytest.importorskip("workers.simulation.views.rendered")
    stored = segment(
        columns=columns_of(2.0, lambda t: np.full_like(t, 10.0), lambda t: np.zeros_like(t))
    )
    with pytest.raises(DataError, match="segment a has no world"):
        rendered.RenderedViews([stored], WHOLE, parse({}))


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_packed_pixel_is_the_rounded_mean_of_its_block(factor: int) -> None:
    frames = np.random.default_rng(factor).integers(
        0, 256, (2, 12 * factor, 18 * factor, 3), np.uint8
    )
    sums = frames.reshape(2, 12, factor, 18, factor, 3).sum(axis=(2, 4), dtype=np.int64)
    red, green, blue = np.moveaxis((sums + factor**2 // 2) // factor**2, -1, 0)
    assert np.array_equal(packed(frames, factor), red | green << 8 | blue << 16)
