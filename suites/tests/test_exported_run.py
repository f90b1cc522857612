"""The format of an exported run: its header is read back whole, its columns have one order."""

import pytest

from suites.definition.suite_schema import Gate, Suite
from suites.exported_run import NamedModel, RunHeader, columns, header_json, load_header
from suites.vocabulary import RunVerdict, Status

HEADER = RunHeader(
    run="3f2a",
    status=Status.CANCELLED,
    error="",
    candidate=NamedModel(name="ü # {", digest="c"),
    baseline=NamedModel(name="last", digest="b"),
    suite_digest="d",
    suite=Suite(name="s", kind="overall", gates=(Gate(metric="a", margin=0.1 + 0.2),)),
    planned=2,
    judged_pairs=1,
    judged_cases=("exit",),
    waivers={"exit": "waived by bo\nuntil"},
    engine="e/1",
    verdict=RunVerdict.PASS,
    sentence="PASS: so.",
)


def test_a_header_is_one_line_and_is_read_back_whole() -> None:
    text = header_json(HEADER)
    assert "\n" not in text
    assert load_header(text) == HEADER


@pytest.mark.parametrize("text", ["", "{}", "[1]", "{"])
def test_what_is_no_header_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|valid|required"):
        load_header(text)


def test_results_and_weights_have_their_columns() -> None:
    plain = columns(["a", "b"])
    assert plain[-6:] == ["a", "a.low", "a.high", "b", "b.low", "b.high"]
    weighed = columns(["a"], ["a"])
    stored = ["weight", "a.stored.low", "a.stored.high"]
    assert weighed == [*plain[:-6], *stored, "a", "a.low", "a.high"]
