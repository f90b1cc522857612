"""Rows of a batch are independent: none sees what another does or suffers, to the last bit."""

import gc
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from suites.errors import DataError
from suites.parameters import parse
from suites.rollout import DriveKey, Noise, Offset, Rollout
from suites.segment import DepthSource
from suites.vocabulary import Outcome
from workers.policy.log_policy import LogPolicy
from workers.policy.policy import Action, Observation, PolicyError
from workers.simulation.loop import drive
from workers.simulation.road.trust import TRUST
from workers.simulation.tests.analytic import MemorySegment, key_for, segment, winding
from workers.simulation.tests.models import Answer, Model, manifest, seeing, straight
from workers.simulation.views.reprojection import over_segments


def noise_picture(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (160, 320, 3), np.uint8)


def depth_picture(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(4, 60, (80, 160)).astype(np.float32)


SEGMENTS = {
    s.meta.segment_id: s
    for s in (
        segment("a", 6.0, pictures=lambda f: noise_picture(f), depths=lambda f: depth_picture(f)),
        segment(
            "b",
            4.0,
            lambda t: 12 + 2 * np.sin(t),
            pictures=lambda f: noise_picture(99 - f),
            depths=lambda f: depth_picture(f),
        ),
    )
}


def open_memory(name: str) -> MemorySegment:
    return SEGMENTS[name]


SIMULATOR = over_segments(open_memory, parse({}))


def some_keys() -> list[DriveKey]:
    a, b = SEGMENTS["a"], SEGMENTS["b"]
    return [
        key_for(a),
        key_for(b, Offset(lateral_m=0.5)),
        key_for(a, Offset(lateral_m=-0.8, heading_rad=-0.02), end_s=2.5),
        key_for(b, Offset(longitudinal_m=2.0), start_s=0.0, end_s=3.0),
        key_for(a, Offset(lateral_m=1.0), start_s=3.0),
        key_for(b, noise=Noise(pose_m=0.2, delay_s=0.05, curvature_gain=0.05, image=4.0), repeat=3),
        key_for(a, Offset(heading_rad=-0.06)),
    ]


def all_of(keys: list[DriveKey], answer: Answer, **kind: int | bool) -> dict[str, Rollout]:
    model = Model(answer, manifest(**kind))  # type: ignore[arg-type]
    return {rollout.key.digest: rollout for rollout in drive(SIMULATOR, model, keys)}


def bits(rollout: Rollout) -> dict[str, bytes]:
    assert rollout.trace is not None
    return {k: v.tobytes() for k, v in rollout.trace.columns.items() if k != "policy_time_s"}


def test_a_row_is_the_same_alone_and_in_a_batch_of_seven_whose_rows_end_at_different_times() -> (
    None
):
    keys = some_keys()
    together = all_of(keys, seeing, history=3)
    assert len({len(r.trace) for r in together.values() if r.trace}) >= 4  # the batch was compacted
    for key in keys:
        alone = all_of([key], seeing, history=3)[key.digest]
        assert (alone.outcome, alone.reason) == (
            together[key.digest].outcome,
            together[key.digest].reason,
        )
        assert bits(alone) == bits(together[key.digest])


def test_log_policy_is_the_same_alone_and_in_a_batch() -> None:
    keys = some_keys()
    together = {r.key.digest: r for r in drive(SIMULATOR, LogPolicy(), keys)}
    for key in keys:
        assert bits(next(iter(drive(SIMULATOR, LogPolicy(), [key])))) == bits(together[key.digest])


def test_a_row_that_is_not_finite_fails_and_leaves_the_others_as_they_were() -> None:
    keys = some_keys()

    def bad(observation: Observation, rows: NDArray[np.int64], step: int) -> Action:
        action = seeing(observation, rows, step)
        assert action.curvature is not None
        return replace(
            action, curvature=np.where((rows == 2) & (step == 10), np.nan, action.curvature)
        )

    expected, found = all_of(keys, seeing), all_of(keys, bad)
    failed = found.pop(keys[2].digest)
    assert failed.outcome is Outcome.POLICY_FAILED
    assert "not finite" in failed.reason
    assert failed.trace is not None
    assert (len(failed.trace), failed.ended_s) == (10, 0.5)
    assert all(bits(found[digest]) == bits(expected[digest]) for digest in found)


def test_nan_at_the_first_judged_step_leaves_no_trace_and_nan_in_warm_up_is_not_read() -> None:
    def bad(observation: Observation, rows: NDArray[np.int64], step: int) -> Action:
        return Action(curvature=np.full(len(rows), np.nan if step < 5 else 0.0))

    (key,) = some_keys()[:1]
    at_once, later = all_of([key], bad)[key.digest], all_of([key], bad, history=6)[key.digest]
    assert (at_once.outcome, at_once.trace, at_once.ended_s) == (Outcome.POLICY_FAILED, None, 0.0)
    assert later.outcome is not Outcome.POLICY_FAILED


def test_a_model_that_crashes_fails_every_row_still_driving() -> None:
    keys = some_keys()

    def crash(observation: Observation, rows: NDArray[np.int64], step: int) -> Action:
        if step == 35:
            raise PolicyError("the model's process was killed at 4 GB")
        return straight(observation, rows, step)

    found = all_of(keys, crash)
    assert len(found) == 7
    assert found[keys[2].digest].outcome is Outcome.COMPLETED  # ended before the crash
    crashed = [r for r in found.values() if r.outcome is Outcome.POLICY_FAILED]
    assert len(crashed) >= 4
    assert all("4 GB" in r.reason and r.trace is not None and len(r.trace) == 35 for r in crashed)


@pytest.mark.parametrize("answered", [np.zeros(6), np.zeros(8), np.array(0.0)])
def test_an_answer_for_another_batch_fails_the_policy(answered: NDArray[np.float64]) -> None:
    found = all_of(some_keys(), lambda observation, rows, step: Action(curvature=answered))
    assert {r.outcome for r in found.values()} == {Outcome.POLICY_FAILED}
    assert "batch of 7" in next(iter(found.values())).reason


@pytest.mark.parametrize("absurd", [1e300, -1e300, 1e-320])
def test_absurd_but_finite_curvature_drives_at_the_limits(absurd: float) -> None:
    found = all_of(
        some_keys()[:1],
        lambda observation, rows, step: Action(curvature=np.full(len(rows), absurd)),
    )
    (rollout,) = found.values()
    assert rollout.trace is not None
    assert np.isfinite(rollout.trace["x_m"]).all()
    lateral = np.abs(rollout.trace["curvature"]) * rollout.trace["speed_mps"] ** 2
    assert (
        3.9 * (abs(absurd) > 1) <= lateral.max() <= 4.02
    )  # the speed changes while a command waits


def test_warm_up_shows_the_log_before_the_window_at_the_offset() -> None:
    seen: list[float] = []

    def look(observation: Observation, rows: NDArray[np.int64], step: int) -> Action:
        seen.append(float(observation.scalars["speed"][0]))
        return straight(observation, rows, step)

    key = key_for(SEGMENTS["b"], Offset(lateral_m=0.5), start_s=1.0, end_s=1.5)
    (rollout,) = all_of([key], look, recurrent=True).values()
    assert len(seen) == 20 + 10  # one second of warm-up, half a second of window
    assert seen[:20] == pytest.approx(SEGMENTS["b"].columns.speed_mps[:20])
    assert rollout.trace is not None
    assert rollout.trace["lateral_offset_m"][0] == pytest.approx(0.5, abs=2e-3)
    assert rollout.trace["t_s"][0] == 0.0


def test_damage_is_raised_for_the_caller() -> None:
    stranger = some_keys()[0]
    stranger = replace(stranger, scenario=replace(stranger.scenario, segment_digest="f" * 64))
    with pytest.raises(DataError, match="another one than was asked for"):
        all_of([*some_keys(), stranger], straight)


@pytest.mark.parametrize(
    "source, warp, depth",
    [("exact", "forward", "exact"), ("plane", "forward", "plane"), ("lidar", "plane", "plane")],
)
def test_a_rollout_says_what_its_views_rest_on_and_is_trusted_no_farther(
    source: DepthSource, warp: str, depth: str
) -> None:
    one = segment(
        "a", depth_source=source, curvature=lambda t: -winding(t)
    )  # the road is wide on the left
    simulator = over_segments(
        {"a": one}.__getitem__, parse({"warp": warp, "lateral_bound_m": 90.0, "feedback": "closed"})
    )
    [rollout] = drive(simulator, Model(straight, manifest(None)), [key_for(one)])
    assert rollout.provenance["depth"] == depth
    assert rollout.outcome is Outcome.LEFT_TRUST_REGION
    assert rollout.trace is not None
    offset = np.abs(rollout.trace["lateral_offset_m"])
    heading = np.abs(rollout.trace["heading_error_rad"])
    limit = TRUST[depth]
    assert np.all((offset[:-1] <= limit.lateral_m) & (heading[:-1] <= limit.heading_rad))
    assert offset[-1] > limit.lateral_m or heading[-1] > limit.heading_rad
    assert rollout.trusted_share == pytest.approx(1 - 1 / len(rollout.trace))


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("bad", [NAN, INF, 0.0, -5.0, 1e-30, 1e30], ids=str)
def test_depth_that_is_no_depth_is_driven_on_and_harms_no_other_row(bad: float) -> None:
    """Whole frames of it, and holes among good depth."""

    def depths(frame: int) -> NDArray[np.float32]:
        depth = depth_picture(frame)
        depth[:: 1 + frame % 3] = bad
        return depth

    damaged = segment("damaged", 4.0, pictures=lambda f: noise_picture(f), depths=depths)
    simulator = over_segments({**SEGMENTS, "damaged": damaged}.__getitem__, parse({}))
    keys = [key_for(damaged, Offset(lateral_m=0.7)), *some_keys()[:4]]
    together = {r.key.digest: r for r in drive(simulator, Model(seeing, manifest()), keys)}
    alone = all_of(keys[1:], seeing)
    for key in keys[1:]:
        assert bits(together[key.digest]) == bits(alone[key.digest])
    driven = together[keys[0].digest]
    assert driven.outcome is not Outcome.POLICY_FAILED
    assert (
        all(np.isfinite(driven.trace[name]).all() for name in ("x_m", "curvature"))
        if driven.trace
        else False
    )


def test_memory_does_not_grow_with_the_segments_that_were_driven() -> None:
    """Twelve batches of new segments: as much is held after each as after the second."""
    many = {
        f"s{k}": segment(f"s{k}", 3.0, pictures=noise_picture, depths=depth_picture)
        for k in range(24)
    }
    simulator = over_segments(many.__getitem__, parse({}))
    held = []
    tracemalloc.start()
    try:
        for first in range(0, 24, 2):
            keys = [key_for(many[f"s{k}"], end_s=2.0) for k in (first, first + 1)]
            for rollout in drive(simulator, Model(seeing, manifest()), keys):
                assert rollout.trace is not None
            del rollout
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    frame = 160 * 320 * 3
    assert max(held[2:]) - held[1] < frame  # not one frame is kept
