"""Kept children: the bits of fresh ones, one model each, and none after anything went wrong."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from suites.execution_classes import default_execution
from suites.manifest import Manifest, StatePair, Tensor
from suites.rollout import DriveKey, Offset, Rollout, Scenario
from suites.segment import SegmentMeta, Vehicle
from suites.simulators import simulator_spec
from workers.batches import drive_keys
from workers.policy.load import open_policy
from workers.policy.policy import PolicyError
from workers.policy.sandbox import kept as keeping
from workers.policy.sandbox.kept import MOST, KeptPolicies
from workers.policy.sandbox.sandboxed_policy import SandboxedPolicy
from workers.policy.sandbox.tests.test_sandboxed_policy import pid_of, speeds
from workers.segments.store import write_segment
from workers.simulation.tests.columns import straight_columns
from workers.stored_results import trace_bits
from workers.tests.gone import gone

Built = tuple[Manifest, dict[str, Path]]
Lend = Callable[..., tuple[int, list[float]]]


@pytest.fixture
def policies() -> Iterator[KeptPolicies]:
    kept = KeptPolicies()
    yield kept
    kept.close()


@pytest.fixture
def lend(policies: KeptPolicies) -> Lend:
    """lend(built, *speeds, name="m") -> (pid of its child, what one row answers to these)."""

    def batch(built: Built, *seen: float, name: str = "m") -> tuple[int, list[float]]:
        with policies.lend(
            (name, default_execution(built[0])), partial(open_policy, *built)
        ) as policy:
            assert isinstance(policy, SandboxedPolicy)
            policy.start(1)
            answers = [policy.act(speeds(speed)).curvature for speed in seen]
            return pid_of(policy), [float(answer[0]) for answer in answers if answer is not None]

    return batch


def test_a_batch_finds_its_models_child_again_and_nothing_of_the_batch_before(
    lend: Lend, recurrent_model: Built
) -> None:
    first, fresh = lend(recurrent_model, 1.0, 2.0, 3.0)
    _, other = lend(recurrent_model, 3.0, 2.0, 1.0)
    again, same = lend(recurrent_model, 1.0, 2.0, 3.0)
    assert again == first
    assert same == fresh
    assert (
        len({*fresh, *other}) == 6
    )  # the state matters: every answer differs by what was seen before


def test_every_model_has_a_child_of_its_own_and_the_longest_unused_ends(
    lend: Lend, speed_model: Built
) -> None:
    pids = [lend(speed_model, 1.0, name=str(number))[0] for number in range(MOST + 1)]
    assert len(set(pids)) == MOST + 1
    assert gone(pids[0])
    assert lend(speed_model, 1.0, name="1")[0] == pids[1]
    lend(speed_model, 1.0, name="more")
    assert gone(pids[2]), "1 was used since"
    assert lend(speed_model, 1.0, name="1")[0] == pids[1]


def test_another_execution_class_is_another_child(
    policies: KeptPolicies, speed_model: Built
) -> None:
    here = default_execution(speed_model[0])
    pids = []
    for execution in (here, replace(here, precision="bfloat16")):
        with policies.lend(("m", execution), partial(open_policy, *speed_model)) as policy:
            assert isinstance(policy, SandboxedPolicy)
            policy.start(1)
            policy.act(speeds(1.0))
            pids.append(pid_of(policy))
    assert pids[0] != pids[1]


def test_a_child_whose_model_failed_is_not_lent_again(
    lend: Lend, policies: KeptPolicies, speed_model: Built
) -> None:
    first, _ = lend(speed_model, 1.0)
    with policies.lend(
        ("m", default_execution(speed_model[0])), partial(open_policy, *speed_model)
    ) as policy:
        assert isinstance(policy, SandboxedPolicy)
        assert pid_of(policy) == first
        policy.start(1)
        os.kill(first, signal.SIGSEGV)
        with pytest.raises(PolicyError, match="crashed"):  # as the engine does, which goes on
            policy.act(speeds(1.0))
    second, answers = lend(speed_model, 2.0)
    assert second != first
    assert answers == pytest.approx([0.02])


def test_a_model_that_fails_before_it_ever_answered_is_tried_anew(
    lend: Lend, bomb_model: Built, policies: KeptPolicies
) -> None:
    for _ in range(2):
        with pytest.raises(PolicyError, match="memory"):
            lend(bomb_model, 1.0)
        assert not policies._idle


@pytest.mark.parametrize("error", [PolicyError("it failed"), GeneratorExit(), KeyboardInterrupt()])
def test_a_batch_that_is_given_up_ends_its_child(
    policies: KeptPolicies, speed_model: Built, error: BaseException
) -> None:
    pids = []

    def batch() -> None:
        with policies.lend(
            ("m", default_execution(speed_model[0])), partial(open_policy, *speed_model)
        ) as policy:
            assert isinstance(policy, SandboxedPolicy)
            policy.start(1)
            policy.act(speeds(1.0))
            pids.append(pid_of(policy))
            raise error

    with pytest.raises(type(error)):
        batch()
    assert gone(pids[0])
    assert not policies._idle


def test_a_child_that_died_unused_is_replaced(lend: Lend, speed_model: Built) -> None:
    first, _ = lend(speed_model, 1.0)
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    second, answers = lend(speed_model, 3.0)
    assert second != first
    assert answers == pytest.approx([0.03])


def test_a_child_that_has_worked_for_long_is_replaced(
    lend: Lend, speed_model: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = lend(speed_model, 1.0)
    monkeypatch.setattr(keeping, "WORKED_S", 0.0)
    assert lend(speed_model, 1.0)[0] != first
    assert gone(first)


def test_close_ends_what_is_idle(lend: Lend, policies: KeptPolicies, speed_model: Built) -> None:
    pid, _ = lend(speed_model, 1.0)
    policies.close()
    assert gone(pid)


def test_shards_on_kept_children_have_the_bits_of_shards_alone(
    build: Callable[..., Built], tmp_path: Path, policies: KeptPolicies
) -> None:
    """A model that steers by how many steps it has seen; batches of unequal size."""
    speed = Tensor(name="speed", dtype="float32", shape=("batch", 1), role="speed")
    state = replace(speed, name="h", role="state")
    built = build(
        [
            helper.make_node("Add", ["h", "step"], ["h_out"]),
            helper.make_node("Mul", ["h_out", "speed"], ["action"]),
        ],
        [speed, state],
        [replace(speed, name="action", role="action"), replace(state, name="h_out")],
        {"step": np.float32(1e-6)},
        states=(StatePair(input="h", output="h_out"),),
    )
    meta = SegmentMeta(
        segment_id="s",
        route="s",
        source="test/1",
        kind="camera",
        frame_count=80,
        rate_hz=20.0,
        duration_s=4.0,
        camera=None,
        vehicle=Vehicle(),
        depth_source=None,
    )
    meta = write_segment(tmp_path / "segments", meta, straight_columns(80, 20.0, 10), None, None)
    shards = [
        [
            DriveKey(
                model="m",
                simulator=simulator_spec("reprojection", {}),
                execution=default_execution(built[0]),
                scenario=Scenario(
                    segment_id="s",
                    segment_digest=meta.digest,
                    start_s=1.0,
                    end_s=3.0,
                    offset=Offset(lateral_m=offset),
                ),
            )
            for offset in offsets
        ]
        for offsets in ((0.0, 0.5), (0.2, -0.2), (0.1, 0.3, 0.4))
    ]

    def driven(keys: list[DriveKey], kept: KeptPolicies | None) -> list[Rollout]:
        rollouts = drive_keys(
            keys,
            segments_root=tmp_path / "segments",
            find_model=lambda _: built,
            auxiliary={},
            kept=kept,
        )
        return sorted(rollouts, key=lambda rollout: rollout.key.digest)

    pids = []
    for keys in shards:
        together, alone = driven(keys, policies), driven(keys, None)
        assert [trace_bits(r.trace) for r in together if r.trace] == [
            trace_bits(r.trace) for r in alone if r.trace
        ]
        assert len(together) == len(keys)
        pids += [pid_of(policy) for policy in policies._idle.values()]
    assert len(pids) == len(shards)
    assert len(set(pids)) == 1
