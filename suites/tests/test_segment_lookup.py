"""Any way of writing a segment finds it; a failure says what is near."""

from dataclasses import replace

import pytest

from suites.errors import DataError, SubmitterError
from suites.segment_lookup import find_segment, locate, seconds
from workers.segments.tests.segment_parts import camera_meta

ROUTE = "a2a0ccea32023010_2023-07-27--13-01-19"
STORED = [
    camera_meta(name)
    for name in (f"{ROUTE}/1", f"{ROUTE}/11", "controls/00017", "demo-003/2", "demo-003/4")
]


@pytest.mark.parametrize(
    "name",
    [
        f"{ROUTE}/1",
        f"{ROUTE}--1",
        "a2a0ccea32023010|2023-07-27--13-01-19--1",
        "a2a0ccea32023010|2023-07-27--13-01-19/1",
        "a2a0ccea32023010/2023-07-27--13-01-19/1",
        "A2A0CCEA32023010/2023-07-27--13-01-19--1",
        "https://connect.comma.ai/a2a0ccea32023010/2023-07-27--13-01-19/60/120",
        "connect.comma.ai/a2a0ccea32023010/2023-07-27--13-01-19/1",
        "2023-07-27--13-01-19--1",
    ],
)
def test_all_ways_mean_the_same_segment(name: str) -> None:
    assert find_segment(name, STORED).segment_id == f"{ROUTE}/1"


def test_a_word_that_only_one_has_is_enough() -> None:
    assert find_segment("00017", STORED).segment_id == "controls/00017"
    with pytest.raises(DataError):
        find_segment("0001", STORED)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a2a0ccea32023010|2023-07-27--13-01-18--1", f"near: {ROUTE}/1"),
        ("demo-003", "2 segments match: demo-003/2, demo-003/4"),
        ("demo-03/4", "near: demo-003/4"),
    ],
)
def test_a_failure_lists_what_is_near_and_the_next_step(name: str, found: str) -> None:
    with pytest.raises(DataError, match="no single segment") as caught:
        find_segment(name, STORED)
    assert found in caught.value.findings[0].problem
    assert caught.value.findings[0].remedy


def test_an_empty_store_says_how_to_fill_it() -> None:
    with pytest.raises(DataError) as caught:
        find_segment("x", [])
    assert "redrive segments import" in caught.value.findings[0].remedy


class TestTimes:
    @staticmethod
    def found(name: str, time_s: float) -> tuple[str, float] | None:
        stored = [replace(meta, duration_s=60.0, source="openpilot/1") for meta in STORED[:2]]
        stored += [replace(meta, duration_s=12.0, source="world/1") for meta in STORED[3:]]
        place = locate(name, time_s, stored)
        return None if place is None else (place[0].segment_id, place[1])

    def test_a_time_counts_from_the_start_of_what_is_named(self) -> None:
        assert self.found(ROUTE, 75.0) == (f"{ROUTE}/1", 15.0), (
            "minute 0 is not stored, minute 1 is"
        )
        assert self.found(f"{ROUTE}--1", 15.0) == (f"{ROUTE}/1", 15.0)
        assert self.found("demo-003", 15.0) == ("demo-003/4", 3.0)

    def test_what_is_not_stored_is_awaited_and_what_cannot_be_is_refused(self) -> None:
        assert self.found("b2a0ccea32023010_2023-07-27--13-01-19", 5.0) is None
        assert self.found(ROUTE, 10.0) is None
        with pytest.raises(SubmitterError, match="outside demo-003") as refused:
            self.found("demo-003", 30.0)
        assert refused.value.findings[0].remedy

    @pytest.mark.parametrize(
        ("text", "expected"), [("83", 83.0), ("83.5", 83.5), ("1:23", 83.0), ("1:02:03", 3723.0)]
    )
    def test_times_as_people_write_them(self, text: str, expected: float) -> None:
        assert seconds(text, "TIME") == expected

    @pytest.mark.parametrize("text", ["soon", "", "1:", "nan", "inf", "1e400", "-inf:1"])
    def test_what_is_no_time_is_refused_with_its_forms(self, text: str) -> None:
        with pytest.raises(SubmitterError) as refused:
            seconds(text, "TIME")
        assert (
            refused.value.findings[0].where,
            "minutes:seconds" in refused.value.findings[0].remedy,
        ) == ("TIME", True)
