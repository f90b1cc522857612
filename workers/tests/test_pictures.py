"""Pictures of rollouts show what was logged and what the model was shown, at the right moment."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy.orm import Session, sessionmaker

from server.db.bank_tables import ModelRow
from server.db.engine import make_engine, make_sessions
from server.db.queue_tables import ArtifactRow, DriveKeyRow, RolloutRow
from server.settings import Settings
from server.storage import BlobStore
from suites.errors import DataError, SubmitterError
from suites.manifest import VirtualCamera
from suites.rollout import DriveKey, Offset, Rollout, Trace
from suites.vocabulary import Outcome
from workers import process as process_module
from workers.pictures import RolloutPictures, make_sheet, write_comparison
from workers.policy.policy import Action, Observation
from workers.process import Process
from workers.segments.store import read_segment, write_segment
from workers.segments.video import read_video
from workers.simulation.loop import drive
from workers.simulation.open_simulator import open_simulator
from workers.simulation.tests.analytic import key_for, segment
from workers.simulation.tests.models import Model, manifest, straight
from workers.tasks.render_pictures import render

START_S = 0.5
WHOLE = VirtualCamera(width=320, height=160, fx=200.0, fy=200.0, cx=159.5, cy=69.5)
HALF = VirtualCamera(width=128, height=64, fx=100.0, fy=100.0, cx=63.5, cy=27.5)


@dataclass(frozen=True)
class Driven:
    root: Path
    rollout: Rollout
    seen: list[NDArray[np.uint8]]
    """The frames that the model was shown."""
    logged: NDArray[np.uint8]
    """The stored frames at the steps' times."""


def grey(frame: int) -> int:
    return 40 + 4 * frame


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Driven:
    """2.5 s whose frames tell their number by their brightness, driven 0.4 m beside the log."""
    root = tmp_path_factory.mktemp("segments")
    memory = segment("route/0", 2.5)
    ramp = np.linspace(0, 40, 320)[None, :, None] * np.ones((160, 1, 3))
    frames = [(ramp + grey(i)).astype(np.uint8) for i in range(len(memory.columns))]
    write_segment(
        root,
        memory.meta,
        memory.columns,
        frames,
        [np.full((80, 160), 20.0, np.float32)] * len(frames),
    )
    stored, seen = read_segment(root, "route/0"), list[NDArray[np.uint8]]()
    key = key_for(memory, Offset(lateral_m=0.4), start_s=START_S, end_s=2.0)
    key = replace(key, scenario=replace(key.scenario, segment_digest=stored.digest))

    def look(observation: Observation, rows: NDArray[np.int64], step: int) -> Action:
        assert observation.frames is not None
        seen.append(observation.frames[0].copy())
        return straight(observation, rows, step)

    (rollout,) = drive(open_simulator(key.simulator, root, {}), Model(look, manifest(WHOLE)), [key])
    first = round(START_S * stored.meta.rate_hz)
    return Driven(root, rollout, seen, stored.frames(first, first + len(seen)))


def test_views_are_what_the_model_was_shown_to_the_bit(driven: Driven) -> None:
    pictures = RolloutPictures(driven.rollout, driven.root, WHOLE)
    views = list(pictures.views(range(len(driven.seen))))
    assert all(np.array_equal(view, seen) for view, seen in zip(views, driven.seen, strict=True))
    assert not np.array_equal(views[0], driven.logged[0]), (
        "0.4 m beside the log the view is another one"
    )


def test_logged_frames_are_those_of_the_steps_time(driven: Driven) -> None:
    pictures = RolloutPictures(driven.rollout, driven.root, None)
    steps = [0, 7, 25]
    assert all(
        np.array_equal(frame, driven.logged[i])
        for i, frame in zip(steps, pictures.logged(steps), strict=True)
    )


def test_a_small_camera_keeps_its_field_of_view_at_the_stored_resolution(driven: Driven) -> None:
    (view,) = RolloutPictures(driven.rollout, driven.root, HALF).views([0])
    assert view.shape == (128, 256, 3)
    assert np.abs(view.astype(int) - driven.seen[0][14:142, 32:288]).mean() < 2.0


def test_a_sheet_holds_four_frames_a_second_in_order(driven: Driven) -> None:
    sheet = make_sheet(driven.rollout, driven.root, WHOLE, "log")
    assert (sheet.rate_hz, sheet.count, sheet.tile_width, sheet.tile_height) == (4.0, 6, 320, 160)
    picture = np.asarray(Image.open(io.BytesIO(sheet.jpeg)))
    for i in range(sheet.count):
        row, column = divmod(i, sheet.columns)
        tile = picture[row * 160 : (row + 1) * 160, column * 320 : (column + 1) * 320]
        assert abs(tile.mean() - driven.logged[5 * i].mean()) < 1.0


def test_the_video_shows_the_log_on_the_left_and_the_view_on_the_right(
    driven: Driven, tmp_path: Path
) -> None:
    path = tmp_path / "comparison.mp4"
    write_comparison(path, driven.rollout, driven.root, WHOLE)
    video = read_video(path, 0, len(driven.seen), 640, 160)
    for i in (0, 10, 25):
        assert np.abs(video[i, :, :320].astype(int) - driven.logged[i]).mean() < 3.0
        assert np.abs(video[i, :, 320:].astype(int) - driven.seen[i]).mean() < 3.0


def test_a_segment_that_was_imported_again_is_refused(driven: Driven) -> None:
    scenario = replace(driven.rollout.key.scenario, segment_digest="0" * 64)
    with pytest.raises(DataError, match="imported again"):
        RolloutPictures(
            replace(driven.rollout, key=replace(driven.rollout.key, scenario=scenario)),
            driven.root,
            WHOLE,
        )


def test_what_was_never_seen_is_refused(driven: Driven) -> None:
    with pytest.raises(SubmitterError, match="before its first step"):
        RolloutPictures(replace(driven.rollout, trace=None), driven.root, WHOLE)
    blind = Trace(
        simulator="tinyphysics", rate_hz=10.0, columns={"t_s": np.zeros(1)}, planned_steps=1
    )
    with pytest.raises(SubmitterError, match="no camera"):
        RolloutPictures(replace(driven.rollout, trace=blind), driven.root, WHOLE)


@pytest.mark.services
class TestRenderTask:
    @pytest.fixture
    def sessions(self, database_url: str) -> Iterator[sessionmaker[Session]]:
        engine = make_engine(database_url, pool_size=2)
        yield make_sessions(engine)
        engine.dispose()

    @pytest.fixture
    def key(
        self,
        driven: Driven,
        sessions: sessionmaker[Session],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> DriveKey:
        """The drive_key of the rollout, stored as a worker stores it."""
        model, blobs = manifest(WHOLE), BlobStore(tmp_path / "blobs")
        key = replace(driven.rollout.key, model=model.digest)
        assert driven.rollout.trace is not None
        (tmp_path / "segments").symlink_to(driven.root)
        process = Process(
            worker="me/1",
            runtimes={},
            settings=Settings(data=tmp_path),
            sessions=sessions,
            blobs=blobs,
        )
        monkeypatch.setattr(process_module._Here, "process", process)
        with sessions.begin() as session:
            session.add(ModelRow(digest=model.digest, name="m", kind="camera", manifest=model))
            session.flush()
            session.add(
                DriveKeyRow(
                    digest=key.digest,
                    key=key,
                    model=key.model,
                    segment_id="route/0",
                    group_digest=key.group,
                    execution={},
                )
            )
            session.flush()
            session.add(
                RolloutRow(
                    drive_key=key.digest,
                    outcome=Outcome.COMPLETED,
                    reason="",
                    ended_s=1.5,
                    trusted_share=1.0,
                    provenance={},
                    worker="w",
                    fence=1,
                    trace_sha256=blobs.put(driven.rollout.trace.to_bytes()),
                    trace_bits="0" * 64,
                )
            )
            session.flush()
            session.add_all(
                [ArtifactRow(drive_key=key.digest, kind=kind) for kind in ("log", "view", "video")]
            )
        return key

    def test_each_kind_is_made_and_stored(
        self, key: DriveKey, sessions: sessionmaker[Session], tmp_path: Path
    ) -> None:
        blobs = BlobStore(tmp_path / "blobs")
        starts = {"log": b"\xff\xd8\xff", "view": b"\xff\xd8\xff", "video": b""}
        for kind, start in starts.items():
            render(key.digest, kind)
            with sessions() as session:
                made = session.get_one(ArtifactRow, (key.digest, kind))
            assert made.sha256 is not None
            assert blobs.get(made.sha256).startswith(start)
            assert made.detail.get("count") == (None if kind == "video" else 6)

    def test_why_there_can_be_none_is_said(
        self, key: DriveKey, sessions: sessionmaker[Session], tmp_path: Path
    ) -> None:
        (tmp_path / "segments").unlink()
        render(key.digest, "view")
        with sessions() as session:
            made = session.get_one(ArtifactRow, (key.digest, "view"))
        assert made.sha256 is None
        assert "route/0" in made.error
