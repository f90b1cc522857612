"""openpilot's signature, on small models of the same inputs: what buffers hold at each step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from server.graphs.static_checks import check_graphs
from suites.manifest import ActionSpec, History, Manifest, Tensor, VirtualCamera
from workers.policy.adapters.frames import wide_view, yuv420_planes
from workers.policy.adapters.openpilot_adapter import STEERING_DELAY_S
from workers.policy.load import open_policy
from workers.policy.policy import Observation

Built = tuple[Manifest, dict[str, Path]]
Build = Callable[..., Built]

MEDMODEL = VirtualCamera(width=512, height=256, fx=910.0, fy=910.0, cx=256.0, cy=47.6)
STEPS = 12


def tensor(
    name: str, shape: tuple[int, ...], role: Any, dtype: Any = "float32", graph: Any = "policy"
) -> Tensor:
    return Tensor(name=name, dtype=dtype, shape=("batch", *shape), role=role, graph=graph)


def inputs(length: int, graph: Any = "policy") -> list[Tensor]:
    """As in selfdrive/modeld, with four features instead of 512."""
    return [
        tensor("input_imgs", (12, 128, 256), "frames", "uint8", graph),
        tensor("big_input_imgs", (12, 128, 256), "wide_frames", "uint8", graph),
        tensor("desire", (length, 8), "desire"),
        tensor("traffic_convention", (2,), "traffic"),
        tensor("lateral_control_params", (2,), "speed"),
        tensor("prev_desired_curv", (length, 1), "curvature"),
        tensor("features_buffer", (length, 4), "features"),
    ]


def vision_nodes() -> list[NodeProto]:
    """features = [mean of the newest wide frame's luma, mean of the oldest frame's, newest's, 1]"""
    nodes = []
    for number, (source, first) in enumerate(
        (("big_input_imgs", 6), ("input_imgs", 0), ("input_imgs", 6))
    ):
        nodes += [
            helper.make_node("Cast", [source], [f"float{number}"], to=TensorProto.FLOAT),
            helper.make_node(
                "Slice",
                [f"float{number}", f"from{first}", f"to{first}", "axis1"],
                [f"luma{number}"],
            ),
            helper.make_node(
                "ReduceMean", [f"luma{number}"], [f"mean{number}"], axes=[1, 2, 3], keepdims=0
            ),
            helper.make_node("Unsqueeze", [f"mean{number}", "axis1"], [f"column{number}"]),
        ]
    nodes += [
        helper.make_node("Div", ["column0", "column0"], ["one"]),
        helper.make_node(
            "Concat", ["column0", "column1", "column2", "one"], ["hidden_state"], axis=1
        ),
    ]
    return nodes


def policy_nodes() -> list[NodeProto]:
    """plan = every buffer, flattened, as pairs; desired_curvature = the newest feature 2 / 1000."""
    return [
        helper.make_node("Flatten", ["desire"], ["d"]),
        helper.make_node("Flatten", ["prev_desired_curv"], ["c"]),
        helper.make_node("Flatten", ["features_buffer"], ["f"]),
        helper.make_node(
            "Concat",
            ["d", "traffic_convention", "lateral_control_params", "c", "f"],
            ["all"],
            axis=1,
        ),
        helper.make_node("Reshape", ["all", "pairs"], ["plan"]),
    ]


CONSTANTS = {
    "from0": np.array([0]),
    "to0": np.array([4]),
    "from6": np.array([6]),
    "to6": np.array([10]),
    "axis1": np.array([1]),
    "pairs": np.array([0, -1, 2]),
    "thousandth": np.float32(1e-3),
}


def one_graph(build: Build, length: int, stride: int) -> Built:
    """The action is the curvature; all buffers come back as the output `plan`."""
    points = (length * 13 + 4) // 2
    nodes = [
        *vision_nodes(),
        *policy_nodes(),
        helper.make_node("Mul", ["column2", "thousandth"], ["desired_curvature"]),
    ]
    return build(
        nodes,
        inputs(length),
        [
            tensor("desired_curvature", (1,), "action"),
            tensor("hidden_state", (4,), "features"),
            tensor("plan", (points, 2), "plan"),
        ],
        CONSTANTS,
        adapter="openpilot",
        colour="yuv420",
        camera=MEDMODEL,
        history=History(frames=2, stride=stride),
        desire="blinker",
        action=ActionSpec(
            kind="plan", output="plan", plan_times_s=tuple(float(t) for t in range(points))
        ),
    )


def two_graphs(build: Build, length: int, stride: int) -> Built:
    points = (length * 13 + 4) // 2
    return build(
        [],
        [*inputs(length, "vision")[:2], *inputs(length)[2:]],
        [
            tensor("hidden_state", (4,), "features", graph="vision"),
            tensor("plan", (points, 2), "plan"),
        ],
        CONSTANTS,
        by_graph={"vision": vision_nodes(), "policy": policy_nodes()},
        adapter="openpilot",
        colour="yuv420",
        camera=MEDMODEL,
        history=History(frames=2, stride=stride),
        desire="blinker",
        action=ActionSpec(
            kind="plan", output="plan", plan_times_s=tuple(float(t) for t in range(points))
        ),
    )


def expected_features(grey: np.ndarray, step: int, stride: int) -> list[float]:
    """Of one row whose frames are uniformly `grey[step]`."""

    def luma(at: int, wide: bool) -> float:
        frame = np.full((1, 256, 512, 3), grey[max(at, 0)], np.uint8)
        return float(yuv420_planes(wide_view(frame) if wide else frame)[0, :4].mean(dtype=float))

    return [luma(step, True), luma(step - stride, False), luma(step, False), 1.0]


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("graphs", [1, 2])
def test_every_buffer_at_every_step(build: Build, stride: int, graphs: int) -> None:
    length = 4
    manifest, files = (one_graph if graphs == 1 else two_graphs)(build, length, stride)
    check_graphs(manifest, files)
    policy = open_policy(manifest, files, sandboxed=False)
    rng = np.random.default_rng(6)
    grey = rng.integers(0, 256, (STEPS, 2)).astype(np.uint8)
    blinker = np.zeros((STEPS, 2), int)
    blinker[2:5, 0] = 1  # left, once: one pulse however long it is held
    blinker[[3, 7, 8], 1] = 2  # right, twice
    features = np.zeros((2, STEPS + 1000, 4))
    pulses = np.zeros((2, STEPS + 1000, 8))
    policy.start(2)
    for step in range(STEPS):
        frames = np.broadcast_to(grey[step][:, None, None, None], (2, 256, 512, 3))
        desire = np.eye(3)[blinker[step]]
        scalars = {
            "desire": desire,
            "traffic": np.array([[1.0, 0.0]] * 2),
            "speed": np.array([20.0, 21.0]),
        }
        for row in range(2):
            features[row, step] = expected_features(grey[:, row], step, stride)
            if blinker[step, row] and (step == 0 or blinker[step - 1, row] != blinker[step, row]):
                pulses[row, step, {1: 3, 2: 4}[int(blinker[step, row])]] = 1
        action = policy.act(Observation(frames=np.ascontiguousarray(frames), scalars=scalars))
        assert action.plan is not None
        for row in range(2):
            flat = action.plan[row].reshape(-1)
            got_desire, flat = flat[: length * 8].reshape(length, 8), flat[length * 8 :]
            assert flat[:4] == pytest.approx([1, 0, 20 + row, STEERING_DELAY_S])
            got_features = flat[4 + length :].reshape(length, 4)
            newest = (
                step if graphs == 2 else step - 1
            )  # one graph sees the features of the steps before
            want = [features[row, newest - stride * back] for back in reversed(range(length))]
            assert got_features == pytest.approx(np.array(want), rel=1e-6)
            window = pulses[row, [step - back for back in reversed(range(length * stride))]]
            assert np.array_equal(got_desire, window.reshape(length, stride, 8).max(axis=1))


def test_the_model_sees_the_curvatures_it_asked_for(build: Build) -> None:
    """desired_curvature = speed + the newest curvature in its buffer; rows leave with theirs."""
    manifest, files = build(
        [
            helper.make_node(
                "Slice", ["lateral_control_params", "zero", "axis1", "axis1"], ["speed_column"]
            ),
            helper.make_node("Slice", ["prev_desired_curv", "last", "end", "axis1"], ["newest"]),
            helper.make_node("Squeeze", ["newest", "axis1"], ["column"]),
            helper.make_node("Add", ["column", "speed_column"], ["desired_curvature"]),
        ],
        [
            tensor("input_imgs", (12, 128, 256), "frames", "uint8"),
            tensor("lateral_control_params", (2,), "speed"),
            tensor("prev_desired_curv", (5, 1), "curvature"),
        ],
        [tensor("desired_curvature", (1,), "action")],
        {
            "last": np.array([4]),
            "end": np.array([5]),
            "axis1": np.array([1]),
            "zero": np.array([0]),
        },
        adapter="openpilot",
        colour="yuv420",
        camera=MEDMODEL,
        history=History(frames=2),
        action=ActionSpec(kind="curvature", output="desired_curvature"),
    )
    policy = open_policy(manifest, files, sandboxed=False)
    policy.start(3)

    def step(speeds: list[float]) -> list[float]:
        frames = np.zeros((len(speeds), 256, 512, 3), np.uint8)
        action = policy.act(Observation(frames=frames, scalars={"speed": np.array(speeds)}))
        assert action.curvature is not None
        return list(action.curvature)

    assert step([1, 2, 3]) == [1, 2, 3]
    assert step([1, 2, 3]) == [2, 4, 6]
    policy.keep(np.array([2, 0]))
    assert step([3, 1]) == [9, 3]
