"""Findings point at the line of the file that people edit."""

import pytest

from suites.definition.suite_schema import load_suite
from suites.definition.toml_positions import line_of, lines_of
from suites.errors import SubmitterError

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
        ("kind", 2),
        ("cases.0.segment", 6),
        ("cases.first", 4),
        ("cases.1.end_s", 12),
        ("cases.hugging.end_s", 12),
        ("cases.hugging.conditions.1.always.signal", 16),
        ("gates.0.metric", None),
        ("cases", 4),
        ("cases.hugging.conditions", 13),
    ],
)
def test_a_path_is_the_line_that_it_is_written_on(where: str, line: int | None) -> None:
    assert line_of(where, SUITE) == line


def test_every_finding_of_a_bad_suite_has_its_line_and_its_remedy() -> None:
    with pytest.raises(SubmitterError) as refused, lines_of(SUITE):
        load_suite(SUITE)
    places = [(f.where.partition(":")[0], bool(f.remedy)) for f in refused.value.findings]
    assert places == [("line 8", True), ("line 16", True)]


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("start_s = 9.0", "start_s = -9.0"), 11, "greater than or equal to 0, found -9.0"),
        (("start_s = 9.0", "strat_s = 9.0"), 11, "not known here"),
        (('segment = "r0/0"\nstart_s', "start_s"), 8, "missing"),
        (('kind = "specific"', 'kind = "odd"'), 2, "found 'odd'"),
        (('kind = "specific"', "kind = odd"), None, "at line 2"),
    ],
)
def test_what_is_malformed_has_its_line_its_remedy_and_what_was_found(
    change: tuple[str, str], line: int | None, says: str
) -> None:
    text = SUITE.replace(*change)
    with pytest.raises(SubmitterError) as refused, lines_of(text):
        load_suite(text)
    (finding,) = refused.value.findings
    assert finding.where.startswith(f"line {line}: " if line else "document")
    assert says in finding.problem
    assert finding.remedy
