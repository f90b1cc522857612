"""Findings point at the line of the file that people edit."""

import json
import tomllib
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.definition.suite_toml import load_suite
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


def test_what_stands_in_a_string_is_no_table() -> None:
    example = 'name = "a"\nabout = """\n[[gates]]\nmetric = "x"\n"""\n\n[[gates]]\nmargin = 0.1\n'
    assert line_of("gates.0.margin", example) == 8


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("offsets.1.heading_rad", 4),
        ("simulator.parameters.warp", 6),
        ("simulator.name", 6),
        ("cases.left.lane.start_s", 9),
        ("cases.left.lane.end_s", 7),
        ("cases.1.segment", 11),
    ],
)
def test_arrays_dotted_names_and_dotted_keys(where: str, line: int) -> None:
    text = """\
offsets = [
  {},  # on the path
  # beside it
  { lateral_m = 0.5, heading_rad = 0.1 },
]
simulator . "parameters".warp = "plane"
[[ "cases" ]]
name = 'left.lane'
start_s = 1
[[cases]]
"segment" = "r0/0"
"""
    assert line_of(where, text) == line


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


NASTY = ["[[gates]]", 'metric = "x"', "a = '''", '"""', "[t]", "# no comment", "\\", "\n", "ü", "]"]
KEYS = st.sampled_from(["name", "a", "b-1", "2", 'q"k', "s p", "x]", "#", "ü", "l\nine", "="])
SCALARS = (
    st.integers(-99, 99)
    | st.booleans()
    | st.floats(-9, 9)
    | st.lists(st.sampled_from(NASTY), max_size=4).map("\n".join)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(st.dictionaries(KEYS, inner, max_size=3), min_size=1, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


class Writer:
    """A document as TOML, each part in one of the ways of writing it, and the line of each path."""

    def __init__(self, document: dict[str, Any], random: Random) -> None:
        self.text = ""
        self.random = random
        self.lines: dict[str, int] = {}
        self.table(document, [], [])

    def maybe(self) -> bool:
        return self.random.random() < 0.5

    def mention(self, *path: str) -> None:
        for n in range(1, len(path) + 1):
            self.lines.setdefault(".".join(path[:n]), self.text.count("\n") + 1)

    def table(self, table: dict[str, Any], path: list[str], header: list[str]) -> None:
        """The pairs, then the tables below: a header ends the pairs of what is above it."""
        below = {k for k, v in table.items() if tables(v) and self.maybe()}
        for key in sorted(table.keys() - below):
            self.pair(table[key], [*path, key], [key])
        for key in below:
            value = table[key]
            keys = [*header, key]
            elements = [value] if isinstance(value, dict) else value
            for i, element in enumerate(elements):
                place = [*path, key] if isinstance(value, dict) else [*path, key, str(i)]
                self.text += "\n" if self.maybe() else ""
                self.mention(*place)
                name = (" . " if self.maybe() else ".").join(map(self.key, keys))
                self.text += f"[{name}]" if isinstance(value, dict) else f"[[{name}]]"
                self.text += "  # [x]\n" if self.maybe() else "\n"
                self.table(element, place, keys)

    def pair(self, value: Any, path: list[str], keys: list[str]) -> None:
        if isinstance(value, dict) and value and self.maybe():
            for key, part in value.items():
                self.pair(part, [*path, key], [*keys, key])
            return
        self.mention(*path)
        self.text += ".".join(map(self.key, keys)) + " = "
        self.value(value, path)
        self.text += " # a = 1\n" if self.maybe() else "\n"

    def value(self, value: Any, path: list[str]) -> None:
        if isinstance(value, dict):
            self.text += "{ "
            for i, (key, part) in enumerate(value.items()):
                self.text += ", " if i else ""
                self.mention(*path, key)
                self.text += self.key(key) + " = "
                self.value(part, [*path, key])
            self.text += " }"
        elif isinstance(value, list):
            self.text += "["
            for i, part in enumerate(value):
                self.text += "\n # [[a]]\n" if self.maybe() else " "
                self.mention(*path, str(i))
                self.value(part, [*path, str(i)])
                self.text += ","
            self.text += "]"
        else:
            self.text += self.string(value) if isinstance(value, str) else json.dumps(value)

    def key(self, key: str) -> str:
        bare = key.isascii() and key.replace("-", "").isalnum() and self.maybe()
        return key if bare else json.dumps(key)

    def string(self, text: str) -> str:
        if self.maybe():
            return json.dumps(text)
        if "'" not in text:
            return f"'''\n{text}'''" if "\n" in text or self.maybe() else f"'{text}'"
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"""\n{quoted}"""'


def tables(value: Any) -> bool:
    """Whether it may be written below a header."""
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(e, dict) for e in value)
    )


@settings(max_examples=100, deadline=None)
@given(document=st.dictionaries(KEYS, VALUES, max_size=4), random=st.randoms())
def test_generated_documents_have_their_lines(document: dict[str, Any], random: Random) -> None:
    written = Writer(document, random)
    assert tomllib.loads(written.text) == document
    for where, line in written.lines.items():
        assert line_of(where, written.text) == line, f"{where} in\n{written.text}"
