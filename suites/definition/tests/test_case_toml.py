"""The patch that is offered for a suite's file is the case."""

from suites.definition.case_toml import case_toml
from suites.definition.suite_schema import CaseSpec
from suites.definition.suite_toml import load_suite
from suites.rollout import Noise, Offset


def test_reading_the_patch_gives_the_same_case() -> None:
    spec = CaseSpec(
        name="drifted",
        segment="r0/0",
        start_s=3.25,
        end_s=9.0,
        offset=Offset(lateral_m=-0.25),
        noise=Noise(pose_m=0.05),
        repeats=3,
        note='he said "left"\n and went right',
        conditions=(
            {
                "name": "in its lane",
                "from_s": 1.0,
                "always": {
                    "all": [
                        {"signal": "speed_mps", "above": 1},
                        {"not": {"x_m": 0, "y_m": 1, "radius_m": 2}},
                    ]
                },
            },
            {
                "judge": "must_not",
                "eventually": {"signal": "lateral_offset_m", "absolute": True, "above": 0.5},
            },
        ),
    )
    suite = load_suite(
        'name = "s"\nkind = "specific"\n'
        + case_toml(spec)
        + case_toml(
            CaseSpec(
                name="plain",
                segment="r0/0",
                conditions=({"always": {"signal": "speed_mps", "above": 0}},),
            )
        )
    )
    assert suite.cases[0] == spec
