"""The stated distribution of a suite's offsets: what is refused; it drives nothing again."""

import pytest

from suites.definition.resolving import resolve
from suites.definition.suite_toml import load_suite
from suites.errors import SubmitterError
from suites.segment import SegmentMeta, Vehicle

SUITE = """
name = "overall"
kind = "overall"
offsets = [{}, { lateral_m = 0.5 }, { lateral_m = -0.5 }]
offset_weights = [0.9, 0.05, 0.05]

[select]

[[gates]]
metric = "lateral_error_mean_m"
margin = 0.1
"""
META = SegmentMeta(
    segment_id="r0/0",
    route="r0",
    source="test/1",
    kind="camera",
    frame_count=300,
    rate_hz=20,
    duration_s=15.0,
    camera=None,
    vehicle=Vehicle(),
    depth_source=None,
    tags=(),
)


@pytest.mark.parametrize(
    ("weights", "where", "problem"),
    [
        ("[0.9, 0.1]", "offset_weights", "2 probabilities for 3 offsets"),
        ("[0.9, 0.05, 0.04]", "offset_weights", "they add up to 0.99"),
        ("[1.1, -0.05, -0.05]", "offset_weights.0", "less than or equal to 1"),
        ('["often", 0.5, 0.5]', "offset_weights.0", "valid number"),
    ],
)
def test_what_is_no_distribution_is_refused(weights: str, where: str, problem: str) -> None:
    with pytest.raises(SubmitterError) as caught:
        load_suite(SUITE.replace("[0.9, 0.05, 0.05]", weights))
    assert [f for f in caught.value.findings if f.where == where and problem in f.problem], (
        caught.value.findings
    )


def test_an_offset_that_stands_twice_is_refused() -> None:
    with pytest.raises(SubmitterError) as caught:
        load_suite(SUITE.replace("lateral_m = -0.5", "lateral_m = 0.5"))
    assert [(f.where, f.problem) for f in caught.value.findings] == [
        ("offsets", "+0.50m+0.0m+0.0deg is given twice")
    ]


def test_stating_another_distribution_is_another_suite_version_of_the_same_drives() -> None:
    stated, other = (
        resolve(load_suite(text), [META])
        for text in (SUITE, SUITE.replace("0.9, 0.05, 0.05", "0.8, 0.1, 0.1"))
    )
    assert stated.digest != other.digest
    assert stated.planned == other.planned
