"""A case is proven where the offender fails it and the control passes it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from suites.case_proof.proving import examine, prove, ready_for_proof
from suites.case_proof.tests.driven_world import AWAY, SPEC, TRIAL, World
from suites.case_proof.trial import DrivenModel
from suites.definition.suite_schema import CaseSpec
from suites.rollout import DriveKey, ExecutionClass, Noise, Offset, Rollout, Trace
from suites.segment import DRIVER_CODES


def test_a_persons_own_case_is_made_small_too() -> None:
    world = World(needs_m=0.2)
    own = replace(SPEC, offset=Offset(lateral_m=0.5), note="seen on the way home")
    spec, told, proof = examine(TRIAL, own, 0.0, 3, world)
    assert spec is not None
    assert proof is not None
    assert proof.answer == "proven"
    assert (spec.conditions, spec.note) == (own.conditions, own.note)
    assert 0.2 <= spec.offset.lateral_m <= 0.2 + 0.5 / 8
    assert spec.end_s is not None
    assert 10.0 <= spec.start_s <= 10.5 < spec.end_s < 15.0
    assert told.startswith(
        "its author's conditions; made smaller by bisection: window from 2–18 s to "
    )
    assert "offset from +0.50m" in told


def test_a_persons_noise_is_for_the_proof_alone() -> None:
    noisy = replace(SPEC, noise=Noise(pose_m=0.2), repeats=2)
    world = World()
    spec, _, proof = examine(TRIAL, noisy, 0.0, 3, world)
    assert world.noisy == 2 * 2, "both models' draws of the proof"
    assert spec is not None
    assert (spec.noise, spec.repeats) == (noisy.noise, 2)
    assert spec.start_s > 9
    assert proof is not None
    assert proof.draws == 2


def test_what_is_to_stay_as_written_stays() -> None:
    spec, told, proof = examine(TRIAL, SPEC, 0.0, 3, World(), as_written=True)
    assert spec is not None
    assert (spec.start_s, spec.end_s) == (2.0, 18.0)
    assert told == "its author's conditions; as written"
    assert proof is not None
    assert proof.answer == "proven"


def test_where_only_the_larger_case_can_be_proven_that_one_is_kept() -> None:
    class Flaky(World):
        """With noise the offender sets out only from an early start."""

        def _drive(self, key: DriveKey) -> Rollout:
            late = key.scenario.noise != Noise() and key.scenario.start_s > 5
            driven = super()._drive(replace(key, model="good") if late else key)
            return replace(driven, key=key)

    spec, told, proof = examine(TRIAL, SPEC, 0.0, 3, Flaky())
    assert spec is not None
    assert proof is not None
    assert (spec.start_s, proof.answer) == (2.0, "proven")
    assert "made smaller, the offending model fails only 0 of 3" in told


@pytest.mark.parametrize(
    ("world", "spec", "answer", "reason"),
    [
        (World(), SPEC, "proven", "fails 3 of 3"),
        (World(flaky=frozenset({1})), SPEC, "quarantined", "fails only 2 of 3"),
        (World(flaky=frozenset({0, 1, 2})), SPEC, "quarantined", "fails only 0 of 3"),
        (World(control_m=1.5), SPEC, "quarantined", "control passes only 0 of 3"),
        (
            World(),
            replace(SPEC, conditions=(AWAY | {"when": {"signal": "speed_mps", "above": 90}},)),
            "refused",
            "never reached",
        ),
    ],
)
def test_a_proof_wants_the_offender_to_fail_and_the_control_to_pass(
    world: World, spec: CaseSpec, answer: str, reason: str
) -> None:
    proof = prove(TRIAL, ready_for_proof(spec, 3), world)
    assert proof.answer == answer
    assert reason in proof.reason


def test_a_log_that_no_human_drove_is_no_control() -> None:
    log = replace(
        TRIAL, control=DrivenModel("good", ExecutionClass(runtime="builtin", version="1"))
    )
    assert prove(log, ready_for_proof(SPEC, 2), World()).answer == "proven"

    def by_a_model(keys: Sequence[DriveKey]) -> list[Rollout]:
        driver = {"log_driver": np.full(320, float(DRIVER_CODES["model"]))}
        return [replace(r, trace=_with(r.trace, driver)) for r in World()(keys)]

    assert "a human did not drive" in prove(log, ready_for_proof(SPEC, 2), by_a_model).reason


def _with(trace: Trace | None, columns: dict[str, np.ndarray]) -> Trace:
    assert trace is not None
    return replace(trace, columns=trace.columns | columns)


def test_repeats_are_draws_of_noise_and_never_copies() -> None:
    ready = ready_for_proof(SPEC, 5)
    assert ready.repeats == 5
    assert ready.noise.pose_m > 0
