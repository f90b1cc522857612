"""Damaged or odd segments: each is refused by name or driven, and harms no other row."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from suites.errors import DataError
from suites.manifest import VirtualCamera
from suites.parameters import parse
from suites.rollout import Offset
from suites.segment import Camera, SegmentColumns
from suites.vocabulary import Outcome
from workers.policy.log_policy import LogPolicy
from workers.simulation.loop import drive
from workers.simulation.tests.analytic import CAMERA, MemorySegment, columns_of, key_for, segment
from workers.simulation.tests.models import Model, manifest, seeing
from workers.simulation.tests.test_loop import (
    SEGMENTS,
    all_of,
    bits,
    depth_picture,
    noise_picture,
    some_keys,
)
from workers.simulation.views.reprojection import over_segments

LOG = segment("odd", 6.0).columns
STANDING = columns_of(6.0, lambda t: np.zeros_like(t), lambda t: np.zeros_like(t))
BACKING = columns_of(6.0, lambda t: np.full_like(t, -3.0), lambda t: np.zeros_like(t))
LATE = np.arange(len(LOG)) >= 50
Floats = NDArray[np.float64]


def odd(columns: SegmentColumns = LOG, camera: Camera = CAMERA) -> MemorySegment:
    return segment(
        "odd", columns=columns, pictures=noise_picture, depths=depth_picture, camera=camera
    )


def at_50(value: float) -> Callable[[Floats], Floats]:
    return lambda values: np.where(np.arange(len(values)) == 50, value, values)


REFUSED: dict[str, tuple[str, Callable[[Floats], Floats], str]] = {
    "pose jump": ("y_m", lambda y: y + 30.0 * LATE, "x_m, y_m: row 50: the pose jumps 30.0 m"),
    "height jump": ("z_m", lambda z: z + 500.0 * LATE, "z_m: row 50: the pose jumps 500.0 m"),
    "heading jump": (
        "yaw_rad",
        lambda yaw: yaw + 1.0 * LATE,
        "yaw_rad: row 50: the heading jumps 57°",
    ),
    "wrapped heading": (
        "yaw_rad",
        lambda yaw: yaw + 2 * np.pi * LATE,
        "yaw_rad: row 50: the heading jumps 360°",
    ),
    "time goes back": ("t_s", at_50(2.3), "t_s: row 50: times must increase"),
    "no pose": ("x_m", at_50(np.nan), "x_m: row 50: a number expected"),
    "infinite speed": ("speed_mps", at_50(np.inf), "speed_mps: row 50: a number expected"),
    "absurd speed": (
        "speed_mps",
        at_50(1e5),
        "speed_mps: row 50: at most 150 expected, found 100000",
    ),
    "absurd curvature": ("curvature", at_50(-1e9), "curvature: row 50: at most 10 expected"),
    "absurd acceleration": (
        "acceleration_mps2",
        at_50(np.inf),
        "acceleration_mps2: row 50: at most 10000 expected",
    ),
    "infinite roll": ("roll_rad", at_50(np.inf), "roll_rad: row 50: at most 1 expected"),
    "infinite pitch": ("pitch_rad", at_50(-np.inf), "pitch_rad: row 50: at most 1 expected"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_damaged_log_is_refused_by_channel_and_row(name: str) -> None:
    column, damage, expected = REFUSED[name]
    changed: dict[str, Any] = {column: damage(getattr(LOG, column))}
    bad = odd(replace(LOG, **changed))
    with pytest.raises(DataError) as caught:
        list(drive(over_segments({"odd": bad}.__getitem__, parse({})), LogPolicy(), [key_for(bad)]))
    assert expected in str(caught.value)


SKY, ROAD, BACK = (
    replace(CAMERA, pitch_rad=-1.4),
    replace(CAMERA, pitch_rad=1.5),
    replace(CAMERA, yaw_rad=3.1),
)


@pytest.mark.parametrize("camera", [SKY, ROAD, BACK], ids=["sky", "road", "back"])
def test_a_calibration_that_does_not_look_ahead_is_refused_and_a_slanted_one_driven(
    camera: Camera,
) -> None:
    bad, slanted = (
        odd(camera=camera),
        odd(camera=replace(CAMERA, pitch_rad=0.1, yaw_rad=-0.1, roll_rad=0.05)),
    )
    with pytest.raises(
        DataError, match="0% of what the model's camera sees is in the stored frames"
    ):
        list(
            drive(
                over_segments({"odd": bad}.__getitem__, parse({})),
                Model(seeing, manifest()),
                [key_for(bad)],
            )
        )
    [rollout] = drive(
        over_segments({"odd": slanted}.__getitem__, parse({})),
        Model(seeing, manifest()),
        [key_for(slanted)],
    )
    assert rollout.trace is not None


def test_a_camera_far_wider_than_the_stored_one_does_not_make_the_segment_damaged() -> None:
    wide = VirtualCamera(width=128, height=64, fx=4, fy=4, cx=63.5, cy=31.5)
    good = odd()
    [rollout] = drive(
        over_segments({"odd": good}.__getitem__, parse({})),
        Model(seeing, manifest(wide)),
        [key_for(good)],
    )
    assert rollout.outcome is not Outcome.DATA_INVALID


@pytest.mark.parametrize(
    "name, value",
    [("fx", 0.0), ("up_m", 0.0), ("up_m", -1.0), ("pitch_rad", np.nan), ("cx", np.inf)],
)
def test_what_is_no_camera_cannot_be_described(name: str, value: float) -> None:
    wrong: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"a camera's {name} cannot be"):
        replace(CAMERA, **wrong)


@pytest.mark.parametrize("name, value", [("fx", 0.5), ("fy", 1e300), ("cx", 1e308), ("cy", np.nan)])
def test_a_model_cannot_ask_for_a_camera_that_sees_nothing_finite(name: str, value: float) -> None:
    known = {"width": 128, "height": 64, "fx": 100.0, "fy": 100.0, "cx": 63.5, "cy": 27.5}
    assert TypeAdapter(VirtualCamera).validate_python(known)
    with pytest.raises(ValidationError):
        TypeAdapter(VirtualCamera).validate_python(known | {name: value})


def rows(keep: NDArray[np.int64]) -> SegmentColumns:
    return SegmentColumns(**{f.name: getattr(LOG, f.name)[keep] for f in fields(SegmentColumns)})


JITTER = np.random.default_rng(1).normal(0.0, 3e-4, (2, len(STANDING)))
NOTHING = LOG.t_s * np.nan
UNKNOWN: dict[str, Any] = dict.fromkeys(
    ("curvature", "acceleration_mps2", "roll_rad", "pitch_rad", "road_left_m"), NOTHING
)
DRIVEN: dict[str, tuple[SegmentColumns, Outcome]] = {
    "one frame": (LOG.window(0, 1), Outcome.COMPLETED),
    "two frames": (LOG.window(0, 2), Outcome.COMPLETED),
    "half a second of frames dropped": (rows(np.r_[0:40, 50 : len(LOG)]), Outcome.COMPLETED),
    "standing": (STANDING, Outcome.COMPLETED),
    "standing, jitter": (
        replace(STANDING, x_m=STANDING.x_m + JITTER[0], y_m=STANDING.y_m + JITTER[1]),
        Outcome.COMPLETED,
    ),
    "backing, the ego stands": (BACKING, Outcome.COMPLETED),
    "backing, speed without its sign": (
        replace(BACKING, speed_mps=-BACKING.speed_mps),
        Outcome.LEFT_TRUST_REGION,
    ),
    "a thousand kilometres away": (
        replace(LOG, x_m=LOG.x_m + 1e6, y_m=LOG.y_m - 1e6),
        Outcome.COMPLETED,
    ),
    "many turns": (replace(LOG, yaw_rad=LOG.yaw_rad + 2000 * np.pi), Outcome.COMPLETED),
    "nothing but a pose": (replace(LOG, **UNKNOWN), Outcome.COMPLETED),
}


@pytest.mark.parametrize("name", DRIVEN)
def test_an_odd_log_is_driven_and_the_rows_beside_it_are_what_they_were(name: str) -> None:
    columns, outcome = DRIVEN[name]
    here = odd(columns)
    count = len(columns)
    key = key_for(here, Offset(lateral_m=0.2), start_s=0.0, end_s=count / 20 if count < 20 else 5.0)
    simulator = over_segments({**SEGMENTS, "odd": here}.__getitem__, parse({}))
    log = {r.key.digest: r for r in drive(simulator, LogPolicy(), [key])}[key.digest]
    assert log.outcome is outcome, log.reason
    assert log.trace is not None
    for column in ("x_m", "y_m", "curvature", "lateral_offset_m", "heading_error_rad", "station_m"):
        assert np.isfinite(log.trace[column]).all()
    keys = some_keys()[:2]
    together = {r.key.digest: r for r in drive(simulator, Model(seeing, manifest()), [key, *keys])}
    alone = all_of(keys, seeing)
    assert all(bits(together[k.digest]) == bits(alone[k.digest]) for k in keys)


def test_far_from_the_origin_a_rollout_is_the_same_to_a_micrometre() -> None:
    near, far = odd(), odd(DRIVEN["a thousand kilometres away"][0])
    here, there = (
        next(
            iter(
                drive(
                    over_segments({"odd": s}.__getitem__, parse({})),
                    LogPolicy(),
                    [key_for(s, Offset(lateral_m=0.5))],
                )
            )
        )
        for s in (near, far)
    )
    assert here.trace is not None
    assert there.trace is not None
    assert there.trace["lateral_offset_m"] == pytest.approx(
        here.trace["lateral_offset_m"], abs=1e-6
    )
