"""Findings point at the line of the file that people edit."""

import pytest

from suites.errors import SubmitterError
from suites.lines import line_of, with_lines
from suites.schema import load_suite

SUITE = """\
name = "specific"
kind = "specific"

[[cases]]
name = "first"
segment = "r0/0"

[[cases]]
name = "hugging"  # the second
segment = "r0/0"
start_s = 9.0
end_s = 8.0
[[cases.conditions]]
always = { signal = "lateral_offset_m", below = 0.5 }
[[cases.conditions]]
always = { signal = "charm", below = 0.5 }
"""


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("kind", 2), ("cases.0.segment", 6), ("cases.first", 4), ("cases.1.end_s", 12), ("cases.hugging.end_s", 12),
        ("cases.hugging.conditions.1.always.signal", 16), ("gates.0.metric", None),
    ],
)  # fmt: skip
def test_a_path_is_the_line_that_it_is_written_on(where: str, line: int | None) -> None:
    assert line_of(where, SUITE) == line


def test_every_finding_of_a_bad_suite_has_its_line_and_its_remedy() -> None:
    with pytest.raises(SubmitterError) as refused:
        load_suite(SUITE)
    places = [(f.where.partition(":")[0], bool(f.remedy)) for f in with_lines(refused.value, SUITE).findings]
    assert places == [("line 8", True), ("line 16", True)]
