"""One locked-down child per model: the same bits, and whose fault each way of failing is."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from suites.errors import MachineError
from suites.manifest import ActionSpec, Graph, History, Manifest, StatePair, Tensor, VirtualCamera
from workers.policy.load import open_policy
from workers.policy.policy import Observation, PolicyError
from workers.policy.sandbox import sandboxed_policy as sandbox
from workers.policy.sandbox.sandboxed_policy import LEAST_ROWS, Limits, SandboxedPolicy
from workers.tests.gone import gone

Built = tuple[Manifest, dict[str, Path]]
Build = Callable[..., Built]
Open = Callable[..., SandboxedPolicy]

QUICK = Limits(step_s=0.3, row_s=0.01)
SPEED = Tensor(name="speed", dtype="float32", shape=("batch", 1), role="speed")
ACTION = Tensor(name="action", dtype="float32", shape=("batch", 1), role="action")


@pytest.fixture
def sandboxed() -> Iterator[Open]:
    """sandboxed(built, limits) -> a policy that is closed after the test."""
    opened = []

    def run(built: Built, limits: Limits = Limits()) -> SandboxedPolicy:
        policy = open_policy(*built, limits=limits)
        assert isinstance(policy, SandboxedPolicy)
        opened.append(policy)
        return policy

    yield run
    for policy in opened:
        policy.close()


def speeds(*values: float) -> Observation:
    return Observation(scalars={"speed": np.array(values)})


def pid_of(policy: SandboxedPolicy) -> int:
    assert policy._child is not None
    return policy._child._process.pid


def test_the_bits_are_those_of_the_unsandboxed_path(
    build: Build, small_camera: VirtualCamera, sandboxed: Open
) -> None:
    """Frames with history, two scalars, recurrent state, plan and acceleration, rows that leave."""
    rng = np.random.default_rng(7)
    built = build(
        [
            helper.make_node("Flatten", ["img"], ["flat"]),
            helper.make_node("Concat", ["flat", "speed", "traffic", "h"], ["all"], axis=1),
            helper.make_node("MatMul", ["all", "mix"], ["mixed"]),
            helper.make_node("Tanh", ["mixed"], ["h_out"]),
            helper.make_node("Reshape", ["h_out", "pairs"], ["action"]),
            helper.make_node("ReduceSum", ["h_out", "axis"], ["brake"], keepdims=0),
        ],
        [
            Tensor(name="img", dtype="float32", shape=("batch", 12, 4, 8), role="frames"),
            SPEED,
            Tensor(name="traffic", dtype="float32", shape=("batch", 2), role="traffic"),
            Tensor(name="h", dtype="float32", shape=("batch", 6), role="state"),
        ],
        [
            Tensor(name="action", dtype="float32", shape=("batch", 3, 2), role="plan"),
            Tensor(name="brake", dtype="float32", shape=("batch",), role="acceleration_command"),
            Tensor(name="h_out", dtype="float32", shape=("batch", 6), role="state"),
        ],
        {
            "mix": rng.standard_normal((393, 6)).astype(np.float32) / 50000,
            "pairs": np.array([0, 3, 2]),
            "axis": np.array([1]),
        },
        states=(StatePair(input="h", output="h_out", initial=0.5),),
        colour="yuv420",
        history=History(frames=2),
        camera=small_camera,
        action=ActionSpec(kind="plan", output="action", plan_times_s=(1.0, 2.0, 3.0)),
        acceleration_output="brake",
    )
    inside, outside = sandboxed(built), open_policy(*built, sandboxed=False)
    assert inside.execution == outside.execution
    for policy in (inside, outside):
        policy.start(5)
    rows = 5
    for step in range(6):
        if step == 3:
            for policy in (inside, outside):
                policy.keep(np.array([4, 1]))
            rows = 2
        seen = Observation(
            frames=rng.integers(0, 256, (rows, 8, 16, 3)).astype(np.uint8),
            scalars={"speed": rng.standard_normal(rows), "traffic": rng.standard_normal((rows, 2))},
        )
        a, b = inside.act(seen), outside.act(seen)
        assert a.curvature is None
        assert a.plan is not None
        assert b.plan is not None
        assert a.plan.tobytes() == b.plan.tobytes()
        assert a.acceleration is not None
        assert b.acceleration is not None
        assert a.acceleration.tobytes() == b.acceleration.tobytes()
    assert a.plan is not None
    assert len(np.unique(a.plan)) == 12


def test_the_level_reached_is_recorded(speed_model: Built, sandboxed: Open) -> None:
    policy = sandboxed(speed_model)
    policy.start(1)
    policy.act(speeds(1))
    assert {"no_new_privs", "rlimits", "seccomp"} <= set(policy.provenance["sandbox"])


def test_a_row_that_is_not_a_number_is_that_rows_alone(speed_model: Built, sandboxed: Open) -> None:
    policy = sandboxed(speed_model)
    policy.start(3)
    action = policy.act(speeds(100, np.nan, 300))
    assert action.curvature is not None
    assert np.array_equal(action.curvature, [1, np.nan, 3], equal_nan=True)


def test_one_child_serves_many_starts_and_a_larger_batch_gets_its_own(
    speed_model: Built, sandboxed: Open
) -> None:
    policy = sandboxed(speed_model)
    policy.start(2)
    policy.act(speeds(1, 2))
    first = pid_of(policy)
    policy.start(LEAST_ROWS)
    policy.act(speeds(*range(LEAST_ROWS)))
    assert pid_of(policy) == first
    policy.start(LEAST_ROWS + 1)
    action = policy.act(speeds(*range(LEAST_ROWS + 1)))
    assert pid_of(policy) != first
    assert gone(first)
    assert action.curvature is not None
    assert action.curvature == pytest.approx(np.arange(LEAST_ROWS + 1) / 100)


def test_a_model_that_never_returns_costs_one_time_out(
    endless_model: Built, sandboxed: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sandbox, "STARVED", 1000
    )  # however little of the CPU this machine has for it now
    policy = sandboxed(endless_model, QUICK)
    policy.start(4)
    with pytest.raises(
        PolicyError, match=r"did not answer a step of 4 row\(s\) within 0.34 s: bound every Loop"
    ) as raised:
        policy.act(speeds(1, 2, 3, 4))
    assert raised.value.findings[0].remedy
    policy.start(4)
    assert policy._child is None
    with pytest.raises(PolicyError, match="did not answer a step of 4 row"):
        policy.act(speeds(1, 2, 3, 4))


def test_a_memory_bomb_dies_alone_and_says_why(bomb_model: Built, sandboxed: Open) -> None:
    policy = sandboxed(bomb_model)
    policy.start(2)
    with pytest.raises(PolicyError, match=r"memory.*make constants and"):
        policy.act(speeds(1, 1))


def test_a_graph_that_does_not_load_says_so_at_the_first_step(
    build: Build, sandboxed: Open
) -> None:
    manifest, files = build(
        [helper.make_node("Nonsense", ["speed"], ["action"])], [SPEED], [ACTION]
    )
    policy = sandboxed((manifest, files))
    policy.start(1)
    with pytest.raises(PolicyError, match=r"the model does not load: .*Nonsense"):
        policy.act(speeds(1))


def test_a_wrong_input_shape_says_what_was_expected(build: Build, sandboxed: Open) -> None:
    manifest, files = build([helper.make_node("Neg", ["speed"], ["action"])], [SPEED], [ACTION])
    stated = replace(manifest, inputs=(replace(SPEED, shape=("batch",)),))
    policy = sandboxed((stated, files))
    policy.start(2)
    with pytest.raises(PolicyError, match="Got: 1 Expected: 2"):
        policy.act(speeds(1, 2))


def test_a_wrong_output_shape_says_what_was_expected(build: Build, sandboxed: Open) -> None:
    twice = [helper.make_node("Concat", ["speed", "speed"], ["action"], axis=0)]
    policy = sandboxed(build(twice, [SPEED], [replace(ACTION, shape=("rows", 1))]))
    policy.start(2)
    with pytest.raises(PolicyError, match=r"output 'action': expected shape \[2\], found \[4, 1\]"):
        policy.act(speeds(1, 2))


@pytest.mark.parametrize(
    "sent, error, match",
    [
        (
            signal.SIGSEGV,
            PolicyError,
            r"crashed its process \(SIGSEGV\): run it with `replay --no-sandbox`",
        ),
        (signal.SIGXCPU, PolicyError, "used up its 14400 s of CPU time"),
        (signal.SIGKILL, MachineError, r"ended \(SIGKILL\)"),
    ],
)
def test_whose_fault_a_death_is(
    speed_model: Built, sandboxed: Open, sent: signal.Signals, error: type[Exception], match: str
) -> None:
    policy = sandboxed(speed_model)
    policy.start(1)
    policy.act(speeds(1))
    os.kill(pid_of(policy), sent)
    with pytest.raises(error, match=match):
        policy.act(speeds(1))
    policy.start(1)  # a model that did answer before is tried again
    assert policy.act(speeds(1)).curvature == pytest.approx([0.01])


def test_a_machine_that_starves_the_child_is_to_blame(speed_model: Built, sandboxed: Open) -> None:
    policy = sandboxed(speed_model)
    policy.start(1)
    policy.act(speeds(1))
    assert policy._child is not None
    policy._child._limits = Limits(step_s=0.1, row_s=0)
    os.kill(pid_of(policy), signal.SIGSTOP)
    with pytest.raises(MachineError, match=r"had the CPU for only 0.0 of \d"):
        policy.act(speeds(1))


def test_a_damaged_graph_is_the_machines_fault(speed_model: Built, sandboxed: Open) -> None:
    manifest, files = speed_model
    (path,) = files.values()
    path.write_bytes(path.read_bytes()[:-1])
    policy = sandboxed((manifest, files))
    policy.start(1)
    with pytest.raises(MachineError, match="damaged"):
        policy.act(speeds(1))


def test_another_version_of_the_runtime_is_refused(speed_model: Built) -> None:
    manifest, files = speed_model
    execution = replace(open_policy(manifest, files, sandboxed=False).execution, version="0.1")
    with pytest.raises(MachineError, match="this machine offers onnxruntime"):
        open_policy(manifest, files, execution=execution)


def test_no_child_outlives_close(speed_model: Built) -> None:
    policy = open_policy(*speed_model)
    assert isinstance(policy, SandboxedPolicy)
    policy.start(1)
    policy.act(speeds(1))
    pid = pid_of(policy)
    policy.close()
    assert gone(pid)


def test_no_child_outlives_its_parent_even_in_an_endless_step(
    endless_model: Built, tmp_path: Path
) -> None:
    manifest, files = endless_model
    code = """
import os, signal, sys
from pathlib import Path
from suites.manifest import load_manifest
from workers.policy.sandbox.layout import HEADER, Command
from workers.policy.load import open_policy
manifest = load_manifest(Path(sys.argv[1]))
policy = open_policy(manifest, {manifest.graphs[0].sha256: Path(sys.argv[2])})
policy.start(1)
policy._child.wait_until_ready()
policy._child.send(HEADER.pack(Command.STEP, 1))
print(policy._child._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    from suites.identity import canonical_json

    (tmp_path / "manifest.json").write_bytes(canonical_json(manifest))
    (path,) = files.values()
    arguments = [sys.executable, "-c", code, str(tmp_path / "manifest.json"), str(path)]
    done = subprocess.run(
        arguments, stdout=subprocess.PIPE, cwd=Path(__file__).parents[4], check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert gone(int(done.stdout))


def test_the_child_inherits_no_environment_and_no_descriptor(
    speed_model: Built, sandboxed: Open, tmp_path: Path
) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        policy = sandboxed(speed_model)
        policy.start(1)
        policy.act(speeds(1))
        process = Path(f"/proc/{pid_of(policy)}")
        if os.geteuid() != 0 and not os.access(process / "environ", os.R_OK):
            pytest.skip("this kernel hides the child from its parent")
        names = {
            entry.split(b"=")[0]
            for entry in (process / "environ").read_bytes().split(b"\0")
            if entry
        }
        targets = sorted(os.readlink(link) for link in (process / "fd").iterdir())
    assert names == {
        b"ORT_DISABLE_TELEMETRY",
        b"OPENBLAS_NUM_THREADS",
        b"OMP_NUM_THREADS",
        b"LC_ALL",
    }
    kinds = {target.split(":")[0].split(" ")[0] for target in targets}
    assert kinds == {"pipe", "/memfd:redrive-policy", "/memfd:redrive-policy-stderr"} or kinds == {
        "pipe",
        "/memfd",
    }, targets


def test_two_graphs_of_one_bundle_run_in_one_child(
    build: Build, small_camera: VirtualCamera, sandboxed: Open
) -> None:
    features = Tensor(
        name="hidden", dtype="float32", shape=("batch", 2), role="features", graph="vision"
    )
    buffer = Tensor(name="features_buffer", dtype="float32", shape=("batch", 3, 2), role="features")
    frames = Tensor(
        name="img", dtype="float32", shape=("batch", 6, 4, 8), role="frames", graph="vision"
    )
    built = build(
        [],
        [frames, buffer],
        [features, ACTION],
        {
            "axes": np.array([2, 3]),
            "all": np.array([1, 2]),
            "from": np.array([0]),
            "to": np.array([2]),
            "one": np.array([1]),
        },
        by_graph={
            "vision": [
                helper.make_node("ReduceSum", ["img", "axes"], ["sums"], keepdims=0),
                helper.make_node("Slice", ["sums", "from", "to", "one"], ["hidden"]),
            ],
            "policy": [
                helper.make_node("ReduceSum", ["features_buffer", "all"], ["total"], keepdims=0),
                helper.make_node("Unsqueeze", ["total", "one"], ["action"]),
            ],
        },
        adapter="openpilot",
        colour="yuv420",
        camera=small_camera,
        history=History(frames=1),
    )
    assert [graph.role for graph in built[0].graphs] == ["vision", "policy"]
    assert isinstance(built[0].graphs[0], Graph)
    policy = sandboxed(built)
    policy.start(1)
    seen: list[Any] = [
        policy.act(Observation(frames=np.zeros((1, 8, 16, 3), np.uint8))).curvature
        for _ in range(4)
    ]
    assert [float(value[0]) for value in seen] == [1024, 2048, 3072, 3072]


@pytest.mark.parametrize("is_sandboxed", [False, True])
@pytest.mark.parametrize(
    "scalars, found", [({}, "gives none"), ({"speed": np.ones((2, 3))}, "gives 3")]
)
def test_an_input_that_the_simulator_cannot_fill_is_the_models_fault(
    speed_model: Built, is_sandboxed: bool, scalars: dict[str, Any], found: str
) -> None:
    policy = open_policy(*speed_model, sandboxed=is_sandboxed)
    policy.start(2)
    with pytest.raises(
        PolicyError, match=rf"expected 1 value\(s\) a row for role speed, this simulator {found}"
    ):
        policy.act(Observation(scalars=scalars))
    policy.close()
