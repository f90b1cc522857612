"""The plain adapter: roles to feeds, outputs to action, state and history per row."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from suites.manifest import ActionSpec, History, Manifest, StatePair, Tensor, VirtualCamera
from workers.policy.load import open_policy
from workers.policy.policy import Observation, Policy, PolicyError

Built = tuple[Manifest, dict[str, Path]]
Build = Callable[..., Built]

SPEED = Tensor(name="speed", dtype="float32", shape=("batch", 1), role="speed")
ACTION = Tensor(name="action", dtype="float32", shape=("batch", 1), role="action")


def here(built: Built) -> Policy:
    return open_policy(*built, sandboxed=False)


def see(**scalars: Any) -> Observation:
    return Observation(
        scalars={role: np.asarray(value, np.float64) for role, value in scalars.items()}
    )


def curvature(policy: Policy, observation: Observation) -> list[float]:
    action = policy.act(observation)
    assert action.curvature is not None
    return list(action.curvature)


def test_recurrent_state_starts_at_its_initial_value_and_follows_its_row(build: Build) -> None:
    """action = h; h_out = h + speed."""
    policy = here(
        build(
            [
                helper.make_node("Identity", ["h"], ["action"]),
                helper.make_node("Add", ["h", "speed"], ["h_out"]),
            ],
            [SPEED, Tensor(name="h", dtype="float32", shape=("batch", 1), role="state")],
            [ACTION, Tensor(name="h_out", dtype="float32", shape=("batch", 1), role="state")],
            states=(StatePair(input="h", output="h_out", initial=7.0),),
        )
    )
    policy.start(3)
    assert curvature(policy, see(speed=[1, 2, 3])) == [7, 7, 7]
    assert curvature(policy, see(speed=[1, 2, 3])) == [8, 9, 10]
    policy.keep(np.array([2, 0]))
    assert curvature(policy, see(speed=[0, 0])) == [13, 9]
    policy.start(1)
    assert curvature(policy, see(speed=[1])) == [7]


def test_frames_reach_the_graph_as_stated(build: Build, small_camera: VirtualCamera) -> None:
    """The action is the weighted sum of all pixels: any wrong place changes it."""
    history = History(frames=2, stride=2)
    shape = (6, 8, 16)
    weights = np.random.default_rng(3).standard_normal(shape)
    policy = here(
        build(
            [
                helper.make_node("Mul", ["img", "weights"], ["weighted"]),
                helper.make_node("ReduceSum", ["weighted", "axes"], ["action"], keepdims=0),
            ],
            [Tensor(name="img", dtype="float64", shape=("batch", *shape), role="frames")],
            [Tensor(name="action", dtype="float64", shape=("batch",), role="action")],
            {"weights": weights, "axes": np.array([1, 2, 3])},
            camera=small_camera,
            history=history,
        )
    )
    frames = np.random.default_rng(4).integers(0, 256, (4, 2, 8, 16, 3)).astype(np.uint8)
    policy.start(2)
    for step in range(4):
        past = frames[max(step - 2, 0)]
        both = np.concatenate([past, frames[step]], axis=3).transpose(0, 3, 1, 2).astype(float)
        got = curvature(policy, Observation(frames=frames[step]))
        assert got == pytest.approx((both * weights).sum(axis=(1, 2, 3)), rel=1e-12)


def test_action_in_si_units(build: Build) -> None:
    """curvature = -0.5 * speed; acceleration as it is; float16 in between."""
    half = replace(SPEED, dtype="float16")
    policy = here(
        build(
            [
                helper.make_node("Identity", ["speed"], ["action"]),
                helper.make_node("Neg", ["speed"], ["brake"]),
            ],
            [half],
            [
                replace(ACTION, dtype="float16"),
                replace(ACTION, name="brake", dtype="float16", role="acceleration_command"),
            ],
            action=ActionSpec(kind="curvature", output="action", scale=-0.5),
            acceleration_output="brake",
        )
    )
    policy.start(2)
    action = policy.act(see(speed=[2, 4]))
    assert action.curvature is not None
    assert action.acceleration is not None
    assert action.curvature.dtype == np.float64
    assert action.curvature.tolist() == [-1, -2]
    assert action.acceleration.tolist() == [-2, -4]


def test_a_plan_keeps_x_forward_whatever_its_scale(build: Build) -> None:
    plan = np.array([[[1.0, 0.5], [2.0, 1.0]]], np.float32)
    policy = here(
        build(
            [
                helper.make_node("Unsqueeze", ["speed", "last"], ["cube"]),
                helper.make_node("Mul", ["cube", "plan"], ["action"]),
            ],
            [SPEED],
            [Tensor(name="action", dtype="float32", shape=("batch", 2, 2), role="plan")],
            {"last": np.array([2]), "plan": plan},
            action=ActionSpec(kind="plan", output="action", scale=-1.0, plan_times_s=(0.5, 1.0)),
        )
    )
    policy.start(2)
    action = policy.act(see(speed=[1, 10]))
    assert action.curvature is None
    assert action.plan is not None
    assert action.plan.tolist() == [[[1, -0.5], [2, -1]], [[10, -5], [20, -10]]]


def test_desire_without_a_source_is_none(build: Build) -> None:
    def model(**fields: Any) -> Policy:
        return here(
            build(
                [helper.make_node("MatMul", ["desire", "weights"], ["action"])],
                [Tensor(name="desire", dtype="float32", shape=("batch", 3), role="desire")],
                [ACTION],
                {"weights": np.array([[1], [10], [100]], np.float32)},
                **fields,
            )
        )

    left = see(desire=[[0, 1, 0], [0, 0, 1]])
    for desire, expected in (("none", [1, 1]), ("blinker", [10, 100])):
        policy = model(desire=desire)
        policy.start(2)
        assert curvature(policy, left) == expected


def test_a_graph_of_one_row_drives_any_batch(build: Build) -> None:
    policy = here(
        build(
            [helper.make_node("Neg", ["speed"], ["action"])],
            [replace(SPEED, shape=(1, 1))],
            [replace(ACTION, shape=(1, 1))],
        )
    )
    policy.start(3)
    assert curvature(policy, see(speed=[1, 2, 3])) == [-1, -2, -3]


def test_a_controller_in_float64_is_exact_and_knows_how_long_its_plan_is(build: Build) -> None:
    """action = target / 3 + count of a plan that shrinks."""
    policy = here(
        build(
            [
                helper.make_node("Div", ["target", "three"], ["third"]),
                helper.make_node("Cast", ["count"], ["length"], to=TensorProto.DOUBLE),
                helper.make_node("Gather", ["future", "zero"], ["first"], axis=1),
                helper.make_node("Mul", ["first", "length"], ["far"]),
                helper.make_node("Add", ["third", "far"], ["action"]),
            ],
            [
                Tensor(name="target", dtype="float64", shape=("batch",), role="target_lataccel"),
                Tensor(name="future", dtype="float64", shape=("batch", 4), role="future_lataccel"),
                Tensor(name="count", dtype="int64", shape=("batch",), role="future_count"),
            ],
            [Tensor(name="action", dtype="float64", shape=("batch",), role="action")],
            {"three": np.float64(3), "zero": np.array(0)},
            kind="controller",
            action=ActionSpec(kind="steer", output="action"),
        )
    )
    policy.start(2)
    seen = see(
        target_lataccel=[1, 2],
        future_lataccel=[[0.1, 0, 0, 0], [0.2, 0, 0, 0]],
        future_count=[4, 2],
    )
    assert curvature(policy, seen) == [1 / 3 + 0.1 * 4, 2 / 3 + 0.2 * 2]


def test_an_output_of_another_shape_is_named(build: Build) -> None:
    """The graph's declared shape is free, so only driving can tell."""
    policy = here(
        build(
            [helper.make_node("Concat", ["speed", "speed"], ["action"], axis=0)],
            [SPEED],
            [replace(ACTION, shape=("rows", 1))],
        )
    )
    policy.start(2)
    with pytest.raises(PolicyError, match=r"output 'action': expected shape \[2\], found \[4, 1\]"):
        policy.act(see(speed=[1, 2]))


def test_a_row_has_the_same_bits_in_any_company(build: Build, small_camera: VirtualCamera) -> None:
    rng = np.random.default_rng(5)
    policy = here(
        build(
            [
                helper.make_node("Cast", ["img"], ["pixels"], to=TensorProto.FLOAT),
                helper.make_node(
                    "Conv", ["pixels", "kernel"], ["maps"], strides=[2, 2], pads=[1, 1, 1, 1]
                ),
                helper.make_node("Tanh", ["maps"], ["active"]),
                helper.make_node("Flatten", ["active"], ["flat"]),
                helper.make_node("Concat", ["flat", "h"], ["both"], axis=1),
                helper.make_node("Gemm", ["both", "mix"], ["mixed"]),
                helper.make_node("Sigmoid", ["mixed"], ["h_out"]),
                helper.make_node("MatMul", ["h_out", "last"], ["action"]),
            ],
            [
                Tensor(name="img", dtype="uint8", shape=("batch", 3, 8, 16), role="frames"),
                Tensor(name="h", dtype="float32", shape=("batch", 33), role="state"),
            ],
            [ACTION, Tensor(name="h_out", dtype="float32", shape=("batch", 33), role="state")],
            {
                "kernel": rng.standard_normal((5, 3, 3, 3)).astype(np.float32) / 1000,
                "mix": rng.standard_normal((5 * 4 * 8 + 33, 33)).astype(np.float32) / 10,
                "last": rng.standard_normal((33, 1)).astype(np.float32),
            },
            states=(StatePair(input="h", output="h_out"),),
            camera=small_camera,
        )
    )
    frames = rng.integers(0, 256, (3, 37, 8, 16, 3)).astype(np.uint8)

    def drive(rows: list[int]) -> np.ndarray:
        policy.start(len(rows))
        return np.array(
            [curvature(policy, Observation(frames=frames[step, rows])) for step in range(3)]
        )

    together = drive(list(range(37)))
    assert len(np.unique(together[-1])) == 37
    for rows in ([5], [36, 2], list(range(7)), [int(row) for row in rng.permutation(37)]):
        assert np.array_equal(drive(rows), together[:, rows])
