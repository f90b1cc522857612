"""A surprise is seen again, with the rule that tells the two models apart."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from suites.case_proof.reproduction import propose, reproduce
from suites.case_proof.tests.driven_world import TRIAL, World
from suites.metrics.tests.test_metrics import moved
from suites.rollout import DriveKey, Offset, Rollout
from suites.vocabulary import Outcome


def test_the_proposed_rule_lies_between_the_two_and_names_the_signal() -> None:
    spec, told = reproduce(TRIAL, "swerve", 13.0, World())
    assert spec is not None
    assert (spec.start_s, spec.end_s) == (7.0, 17.0)
    assert spec.conditions[0]["always"] == {
        "signal": "lateral_offset_m",
        "absolute": True,
        "below": 1.0,
    }
    assert "6.00 s" in told, "a metre to the left at 13 s"
    braking = moved(0.0)
    assert propose(braking, braking) is None
    hard = replace(
        braking,
        columns=braking.columns | {"acceleration_mps2": np.where(np.arange(400) == 99, -6.0, 0.0)},
    )
    document = propose(hard, braking)
    assert document is not None
    assert document["eventually"]["signal"] == "acceleration_mps2"


def test_the_start_that_it_was_seen_from_is_tried_first() -> None:
    seen_from = Offset(lateral_m=0.9)
    spec, told = reproduce(TRIAL, "swerve", 13.0, World(needs_m=0.7), seen_from)
    assert spec is not None
    assert spec.offset == seen_from
    assert "+0.90m" in told
    assert reproduce(TRIAL, "swerve", 13.0, World(needs_m=0.7))[0] is None


def test_what_is_not_seen_again_says_why() -> None:
    spec, why = reproduce(TRIAL, "swerve", 5.0, World())
    assert spec is None
    assert "drove like the control" in why

    def lost(keys: Sequence[DriveKey]) -> list[Rollout]:
        return [
            replace(r, outcome=Outcome.FAILED) if r.key.model == "good" else r
            for r in World()(keys)
        ]

    assert "the control itself" in reproduce(TRIAL, "swerve", 13.0, lost)[1]
