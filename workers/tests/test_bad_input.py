"""Bad input beside good: it has its outcome, and the rollouts beside it keep every bit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from suites.errors import DataError
from suites.execution_classes import default_execution
from suites.parameters import parse
from suites.rollout import DriveKey, Offset, Rollout
from suites.segment import SegmentColumns
from suites.vocabulary import Outcome
from workers import batches as driving
from workers.batches import drive_keys
from workers.policy.policy import Action, Observation
from workers.simulation.tests.analytic import MemorySegment, key_for, segment
from workers.simulation.tests.models import Model, manifest, seeing
from workers.simulation.views.reprojection import over_segments
from workers.stored_results import trace_bits


def picture(frame: int) -> NDArray[np.uint8]:
    return np.random.default_rng(frame).integers(0, 256, (160, 320, 3), np.uint8)


def depth(frame: int) -> NDArray[np.float32]:
    return np.random.default_rng(frame).uniform(4, 60, (80, 160)).astype(np.float32)


GOOD = segment("good", 3.0, pictures=picture, depths=depth)
COUNT = len(GOOD.columns)


@dataclass(frozen=True)
class Cut(MemorySegment):
    """The video ends early, which is seen when its later frames are asked for."""

    def frames(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        if start >= 40:
            raise DataError("video frames.mp4: frames [40, 60) expected; this one is missing")
        return super().frames(start, stop)


def but(columns: SegmentColumns = GOOD.columns, **camera: float) -> MemorySegment:
    assert GOOD.meta.camera is not None
    other = segment("bad", columns=columns, camera=replace(GOOD.meta.camera, **camera))  # type: ignore[arg-type]
    return replace(GOOD, meta=other.meta, columns=columns)


def rows(order: Sequence[int]) -> SegmentColumns:
    columns = GOOD.columns
    return replace(
        columns,
        **{
            name: getattr(columns, name)[list(order)] for name in type(columns).__dataclass_fields__
        },
    )


def where(change: float, rows: slice) -> NDArray[np.float64]:
    out = np.zeros(COUNT)
    out[rows] = change
    return out


DAMAGED = {
    "the pose jumps 30 m": but(
        replace(GOOD.columns, x_m=GOOD.columns.x_m + where(30.0, slice(30, None)))
    ),
    "the pose is 30 m away for one frame": but(
        replace(GOOD.columns, y_m=GOOD.columns.y_m + where(30.0, slice(30, 31)))
    ),
    "frames out of order": but(rows([*range(30), 31, 30, *range(32, COUNT)])),
    "a frame twice": but(rows([*range(30), *range(29, COUNT - 1)])),
    "a segment of one frame": but(rows([0])),
    "a camera that looks at the sky": but(pitch_rad=-1.4),
    "a camera that looks at the ground": but(pitch_rad=1.5),
    "the video ends early": Cut(but().meta, GOOD.columns, picture, depth),
}
ODD = {
    "frames dropped": but(rows([*range(30), *range(40, COUNT)])),
    "a camera on the ground": but(up_m=1e-6),
}


def together(
    bad: MemorySegment | None, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Rollout]:
    """By segment and offset: the good segment from three offsets, the bad one between them."""
    stored = {"good": GOOD} if bad is None else {"good": GOOD, "bad": bad}
    monkeypatch.setattr(
        driving, "open_simulator", lambda *_: over_segments(stored.__getitem__, parse({}))
    )
    monkeypatch.setattr(driving, "open_policy", lambda manifest, *_, **__: Model(answer, manifest))
    places = [
        ("good", -0.5),
        *([] if bad is None else [("bad", 0.25)]),
        ("good", 0.0),
        ("good", 0.75),
    ]
    keys: list[DriveKey] = [
        replace(
            key_for(stored[name], Offset(lateral_m=left), start_s=0.5, end_s=2.5),
            execution=default_execution(manifest()),
        )
        for name, left in places
    ]
    rollouts = list(
        drive_keys(keys, segments_root=Path(), find_model=lambda _: (manifest(), {}), auxiliary={})
    )
    assert len(rollouts) == len(keys)
    return {f"{r.key.scenario.segment_id} {r.key.scenario.offset.lateral_m}": r for r in rollouts}


@pytest.fixture(scope="module")
def alone() -> dict[str, Rollout]:
    with pytest.MonkeyPatch.context() as patch:
        return together(None, seeing, patch)


def assert_unharmed(found: dict[str, Rollout], alone: dict[str, Rollout]) -> None:
    for place, rollout in alone.items():
        assert rollout.trace is not None
        harmed = found[place]
        assert (harmed.outcome, harmed.reason) == (rollout.outcome, rollout.reason)
        assert harmed.trace is not None
        assert trace_bits(harmed.trace) == trace_bits(rollout.trace)


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_data_ends_its_own_rollouts_only(
    kind: str, alone: dict[str, Rollout], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = together(DAMAGED[kind], seeing, monkeypatch)
    assert found["bad 0.25"].outcome is Outcome.DATA_INVALID
    assert found["bad 0.25"].reason
    assert_unharmed(found, alone)


@pytest.mark.parametrize("kind", ODD)
def test_odd_data_is_driven(
    kind: str, alone: dict[str, Rollout], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = together(ODD[kind], seeing, monkeypatch)
    odd = found["bad 0.25"]
    assert odd.outcome in (Outcome.COMPLETED, Outcome.LEFT_TRUST_REGION, Outcome.FAILED)
    assert odd.trace is not None
    assert np.isfinite(odd.trace["x_m"]).all()
    assert_unharmed(found, alone)


@pytest.mark.parametrize("bad", [1e300, -1e300, 50.0, np.nan, -np.inf], ids=str)
def test_an_absurd_answer_for_one_row_is_that_rows_own(
    bad: float, alone: dict[str, Rollout], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(observation: Observation, rows: NDArray[np.int64], step: int) -> Action:
        action = seeing(observation, rows, step)
        assert action.curvature is not None
        return Action(curvature=np.where(rows == 1, bad, action.curvature))

    found = together(but(), answer, monkeypatch)
    wild = found["bad 0.25"]
    if np.isfinite(bad):
        assert wild.outcome in (Outcome.FAILED, Outcome.LEFT_TRUST_REGION)
        assert wild.trace is not None
        assert np.abs(wild.trace["curvature"] * wild.trace["speed_mps"] ** 2).max() < 4.02, (
            "it is clipped"
        )
    else:
        assert (wild.outcome, wild.reason) == (
            Outcome.POLICY_FAILED,
            "the model answered a number that is not finite",
        )
    assert_unharmed(found, alone)
