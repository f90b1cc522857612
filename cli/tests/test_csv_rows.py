from pathlib import Path

import pytest

from cli.csv_rows import read_rows
from suites.errors import SubmitterError


def rows(tmp_path: Path, text: str) -> tuple[list[str], list[list[str]], tuple[str, ...]]:
    path = tmp_path / "a.csv"
    path.write_text(text, newline="")
    read = read_rows(path, "segment")
    return read.names, [list(row.values()) for _, row in read.lines], read.notes


@pytest.mark.parametrize(("separator", "named"), [(",", None), (";", "semicolons"), ("\t", "tabs")])
def test_the_separator_is_found_and_said(tmp_path: Path, separator: str, named: str | None) -> None:
    text = "\n".join(separator.join(line) for line in ("scm", "aBc", "dEf")).replace(
        "s", "segment", 1
    )
    said = () if named is None else (f"Read with {named} between its columns.",)
    assert rows(tmp_path, text) == (["segment", "c", "m"], [[*"aBc"], [*"dEf"]], said)


def test_other_separators_inside_a_field_are_text(tmp_path: Path) -> None:
    text = 'segment,model,cost\n"a;b",old,1\n'
    assert rows(tmp_path, text)[1:] == ([["a;b", "old", "1"]], ())


def test_blanks_around_fields_are_left_out_and_said(tmp_path: Path) -> None:
    names, lines, notes = rows(tmp_path, " segment, model\na, old \nb,new\n")
    assert (names, lines) == (["segment", "model"], [["a", "old"], ["b", "new"]])
    assert notes == ("1 row with blanks around fields: read without them.",)


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('\nsegment,model\n"a\nb",old\n\nc,new\n')
    assert [line for line, _ in read_rows(path, "segment").lines] == [4, 6]


def test_a_column_named_twice_is_refused_blanks_or_not(tmp_path: Path) -> None:
    with pytest.raises(SubmitterError, match="not clear which column"):
        rows(tmp_path, "segment,cost, cost\na,1,2\n")
