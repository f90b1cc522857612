"""A case is made small while it still shows the surprise."""

from dataclasses import replace

import pytest

from suites.case_proof.proving import examine
from suites.case_proof.reproduction import reproduce
from suites.case_proof.smallest import smallest
from suites.case_proof.tests.driven_world import AWAY, SPEC, TRIAL, World
from suites.rollout import Offset


def test_a_surprise_that_needs_a_start_beside_the_path_is_found_and_made_small() -> None:
    world = World(needs_m=0.2)
    spec, _ = reproduce(TRIAL, "swerve", 13.0, world)
    assert spec is not None
    assert spec.offset == Offset(lateral_m=0.5)
    small = smallest(TRIAL, spec, world)
    assert 0.2 <= small.offset.lateral_m <= 0.2 + 0.5 / 8
    assert 10.0 <= small.start_s <= 10.5
    assert small.end_s is not None
    assert small.end_s < 15.0
    assert len(world.driven) < 40


@pytest.mark.parametrize(
    "passes",
    [
        AWAY | {"from_s": 1.0, "to_s": 2.0},
        {"always": {"signal": "speed_mps", "above": 0}, "share": 0.9},
        {"eventually": {"signal": "speed_mps", "above": 0}},
        {"judge": "must_not", "always": {"signal": "speed_mps", "above": 99}},
    ],
)
def test_a_window_that_a_condition_counts_on_is_not_moved(passes: dict[str, object]) -> None:
    own = replace(SPEC, conditions=(AWAY, passes), offset=Offset(lateral_m=0.5))
    spec, told, proof = examine(TRIAL, own, 0.0, 2, World(needs_m=0.2))
    assert spec is not None
    assert (spec.start_s, spec.end_s) == (2.0, 18.0)
    assert spec.offset.lateral_m < 0.3, "the offset is made smaller all the same"
    assert "window" not in told
    straight = examine(TRIAL, replace(own, offset=Offset()), 0.0, 2, World())
    assert "its window stays" in straight.told
    assert proof is not None
