"""drive_keys on stored segments: every key has its rollout, whatever its company suffers."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from suites.errors import MachineError
from suites.execution_classes import default_execution
from suites.manifest import Manifest, VirtualCamera
from suites.rollout import DriveKey, ExecutionClass, Offset, Rollout, Scenario
from suites.segment import Camera, SegmentMeta, Vehicle
from suites.simulators import simulator_spec
from suites.vocabulary import Outcome
from workers import batches as driving
from workers.batches import ALONE_FAILURES, drive_keys
from workers.policy.log_policy import LogPolicy, log_manifest
from workers.policy.policy import Action, Observation, PolicyError
from workers.segments.store import StoredSegment, read_segment, write_segment
from workers.simulation.tests.columns import straight_columns
from workers.simulation.tests.models import Model, manifest
from workers.simulation.views.chunks import CHUNK
from workers.stored_results import trace_bits

ROWS, RATE_HZ = 80, 20.0
CAMERA = Camera(width=64, height=32, fx=50, fy=50, cx=32, cy=16, forward_m=1.4, left_m=0, up_m=1.3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Segments that differ in speed: s10, s15, s20 m/s."""
    for speed in (10, 15, 20):
        meta = SegmentMeta(
            segment_id=f"s{speed}",
            route=f"s{speed}",
            source="test/1",
            kind="camera",
            frame_count=ROWS,
            rate_hz=RATE_HZ,
            duration_s=ROWS / RATE_HZ,
            camera=CAMERA,
            vehicle=Vehicle(),
            depth_source=None,
        )
        write_segment(tmp_path, meta, straight_columns(ROWS, RATE_HZ, speed), None, None)
    return tmp_path


def keys(root: Path, *speeds: int, model: str = "m", repeats: int = 1) -> list[DriveKey]:
    return [
        DriveKey(
            model=model,
            repeat=repeat,
            simulator=simulator_spec("reprojection", {}),
            execution=LogPolicy().execution,
            scenario=Scenario(
                segment_id=f"s{v}",
                segment_digest=read_segment(root, f"s{v}").digest,
                start_s=1.0,
                end_s=3.0,
            ),
        )
        for v in speeds
        for repeat in range(repeats)
    ]


def driven(keys: Sequence[DriveKey], root: Path) -> dict[str, Rollout]:
    """By segment; asserts that each key has one rollout."""
    rollouts = list(
        drive_keys(
            keys, segments_root=root, find_model=lambda digest: (log_manifest(), {}), auxiliary={}
        )
    )
    assert sorted(r.key.digest for r in rollouts) == sorted(k.digest for k in keys)
    return {r.key.scenario.segment_id: r for r in rollouts}


@dataclass
class Fragile:
    """The log's plan, but the whole model dies when a row is as fast as `deadly`."""

    deadly: Sequence[float]
    manifest: Manifest = field(default_factory=log_manifest)
    execution: ExecutionClass = field(default_factory=lambda: LogPolicy().execution)
    provenance: dict[str, Any] = field(default_factory=dict)
    opened: list[int] = field(default_factory=list)

    def open(self, *_: object, **__: object) -> "Fragile":
        return self

    def start(self, batch: int) -> None:
        self.opened.append(batch)

    def act(self, observation: Observation) -> Action:
        if np.isin(np.round(observation.scalars["speed"]), self.deadly).any():
            raise PolicyError("the model crashed")
        return Action(plan=observation.scalars["log_plan"])

    def keep(self, rows: NDArray[np.int64]) -> None:
        """It has no state."""

    def close(self) -> None:
        """It holds nothing."""


def test_models_and_segments_are_driven_in_groups(root: Path) -> None:
    rollouts = driven(keys(root, 10, 15) + keys(root, 20, model="other"), root)
    assert {r.outcome for r in rollouts.values()} == {Outcome.COMPLETED}


def test_a_row_that_kills_the_model_does_not_take_its_company_down(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = driven(keys(root, 10), root)["s10"]
    monkeypatch.setattr(driving, "open_policy", Fragile(deadly=(20,)).open)
    rollouts = driven(keys(root, 10, 15, 20), root)
    assert {name: r.outcome for name, r in rollouts.items()} == {
        "s10": Outcome.COMPLETED,
        "s15": Outcome.COMPLETED,
        "s20": Outcome.POLICY_FAILED,
    }
    assert rollouts["s10"].trace is not None
    assert alone.trace is not None
    assert trace_bits(rollouts["s10"].trace) == trace_bits(alone.trace)


def test_a_model_that_always_dies_is_believed_after_a_few_rows(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragile = Fragile(deadly=(10,))
    monkeypatch.setattr(driving, "open_policy", fragile.open)
    rollouts = driven(keys(root, 10, repeats=8), root)
    assert rollouts["s10"].outcome is Outcome.POLICY_FAILED
    assert fragile.opened == [8] + [1] * ALONE_FAILURES


def test_a_model_that_cannot_be_opened_fails_every_row(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PolicyError("it needs 64 GiB")

    monkeypatch.setattr(driving, "open_policy", refuse)
    rollouts = driven(keys(root, 10, 15), root)
    assert {(r.outcome, r.reason, r.trace) for r in rollouts.values()} == {
        (Outcome.POLICY_FAILED, "it needs 64 GiB", None)
    }


def test_a_damaged_segment_is_data_invalid_and_the_others_are_driven(root: Path) -> None:
    wanted = keys(root, 10, 15, 20)
    columns = next((root / "s15").glob("columns*"))
    columns.write_bytes(columns.read_bytes()[:-64])
    rollouts = driven(wanted, root)
    assert {name: r.outcome for name, r in rollouts.items()} == {
        "s10": Outcome.COMPLETED,
        "s15": Outcome.DATA_INVALID,
        "s20": Outcome.COMPLETED,
    }
    assert columns.name in rollouts["s15"].reason


def test_another_machine_has_to_do_what_this_one_cannot(root: Path) -> None:
    wanted = [replace(k, simulator=replace(k.simulator, version="0")) for k in keys(root, 10)]
    with pytest.raises(MachineError):
        driven(wanted, root)


@dataclass
class Skewed(Fragile):
    """The log's plan, moved sideways: what another runtime might make of a model."""

    aside_m: float = 0.0

    def act(self, observation: Observation) -> Action:
        return Action(plan=observation.scalars["log_plan"] + np.array([0.0, self.aside_m]))


@pytest.mark.parametrize(
    "aside_m, outcome",
    [(0.0, Outcome.COMPLETED), (5e-4, Outcome.COMPLETED), (2e-3, Outcome.POLICY_FAILED)],
)
def test_another_runtime_must_answer_as_the_reference_does(
    root: Path, monkeypatch: pytest.MonkeyPatch, aside_m: float, outcome: Outcome
) -> None:
    other = ExecutionClass(runtime="openvino", version="1", precision="bfloat16")
    opened: list[str] = []

    def open_policy(*_: object, execution: ExecutionClass, **__: object) -> Fragile:
        opened.append(execution.runtime)
        return Skewed(deadly=(), aside_m=aside_m) if execution == other else Fragile(deadly=())

    monkeypatch.setattr(driving, "open_policy", open_policy)
    monkeypatch.setattr(driving, "_agreed", set())
    wanted = [replace(key, execution=other) for key in keys(root, 10, 15)]
    rollouts = driven(wanted, root)
    assert {r.outcome for r in rollouts.values()} == {outcome}
    if outcome is Outcome.COMPLETED:
        driven(wanted, root)
        assert opened == ["builtin", "openvino", "openvino", "openvino"]  # shown once
    else:
        assert "the runtimes disagree" in rollouts["s10"].reason


def test_the_reference_needs_no_comparison(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fragile = Fragile(deadly=())
    monkeypatch.setattr(driving, "open_policy", fragile.open)
    driven(keys(root, 10, 15), root)
    assert fragile.opened == [2]


def keys_of(root: Path, name: str, offsets: Sequence[float]) -> list[DriveKey]:
    return [
        DriveKey(
            model=model,
            simulator=simulator_spec("reprojection", {}),
            execution=default_execution(manifest()),
            scenario=Scenario(
                segment_id=name,
                segment_digest=read_segment(root, name).digest,
                start_s=0.5,
                end_s=3.5,
                offset=Offset(lateral_m=offset),
            ),
        )
        for model in ("candidate", "baseline")
        for offset in offsets
    ]


def by_every_bit(observation: Observation, rows: NDArray[np.int64], step: int) -> Action:
    """Steers a little, otherwise whenever a pixel is."""
    assert observation.frames is not None
    return Action(
        curvature=1e-4 * (observation.frames.sum(axis=(1, 2, 3), dtype=np.int64) % 11 - 5)
    )


def test_one_decode_serves_all_offsets_and_both_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At four offsets each; the recurrent candidate warms up a second longer than the baseline."""
    meta = SegmentMeta(
        segment_id="seen",
        route="seen",
        source="test/1",
        kind="camera",
        frame_count=ROWS,
        rate_hz=RATE_HZ,
        duration_s=ROWS / RATE_HZ,
        camera=CAMERA,
        vehicle=Vehicle(),
        depth_source="exact",
    )
    drawn = np.random.default_rng(0)
    frames = drawn.integers(0, 256, (ROWS, 32, 64, 3), np.uint8)
    depth = drawn.uniform(4, 60, (ROWS, 16, 32)).astype(np.float32)
    write_segment(tmp_path, meta, straight_columns(ROWS, RATE_HZ, 10), frames, depth)
    camera = VirtualCamera(width=64, height=32, fx=50, fy=50, cx=32, cy=16)
    models = {"candidate": manifest(camera, recurrent=True), "baseline": manifest(camera)}
    monkeypatch.setattr(
        driving, "open_policy", lambda manifest, *_, **__: Model(by_every_bit, manifest)
    )
    decoded: list[tuple[str, int]] = []
    for kind in ("frames", "depth"):
        read = getattr(StoredSegment, kind)

        def counted(
            self: StoredSegment, start: int, stop: int, kind: str = kind, read: Any = read
        ) -> Any:
            if stop > start + 1:  # one frame is read to see the shape
                decoded.append((kind, start))
            return read(self, start, stop)

        monkeypatch.setattr(StoredSegment, kind, counted)
    find = {name: (models[name], dict[str, Path]()) for name in models}.__getitem__

    def together(keys: Sequence[DriveKey]) -> dict[str, Rollout]:
        return {
            r.key.digest: r
            for r in drive_keys(keys, segments_root=tmp_path, find_model=find, auxiliary={})
        }

    keys = keys_of(tmp_path, "seen", (-0.6, 0.0, 0.3, 0.6))
    rollouts = together(keys)
    assert {r.outcome for r in rollouts.values()} == {Outcome.COMPLETED}
    assert sorted(decoded) == [
        (kind, start) for kind in ("depth", "frames") for start in range(0, ROWS, CHUNK)
    ]
    for key in keys:
        (alone,) = together([key]).values()
        assert trace_bits(alone.trace) == trace_bits(rollouts[key.digest].trace)  # type: ignore[arg-type]
