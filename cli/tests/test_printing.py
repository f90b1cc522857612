"""Tables: columns as wide as their widest cell, by paths of keys and by functions."""

import json

import pytest

from cli.printing import Columns, print_items, print_table

ITEMS = [
    {"name": "a", "suite": {"name": "highway"}, "n": 1},
    {"name": "bc", "suite": {"name": "x"}, "n": None},
]
COLUMNS: Columns = {
    "name": "name",
    "suite": "suite.name",
    "number": "n",
    "twice": lambda item: item["name"] * 2,
}


def test_a_row_for_each_item(capsys: pytest.CaptureFixture[str]) -> None:
    print_items(ITEMS, COLUMNS, "nothing yet")
    assert capsys.readouterr().out.splitlines() == [
        "name  suite    number  twice",
        "a     highway  1       aa",
        "bc    x                bcbc",
    ]


def test_all_of_each_item_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_items(ITEMS, COLUMNS, "nothing yet", as_json=True)
    assert json.loads(capsys.readouterr().out) == ITEMS


def test_an_empty_table_says_what_would_fill_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name",), [], "nothing yet")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "nothing yet\n")
