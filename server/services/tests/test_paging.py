"""Cursors: what a list gave is read again as it was; anything else is refused."""

from datetime import UTC, datetime
from typing import Any

import pytest

from server.problems import Refused
from server.services.paging import decode_cursor, encode_cursor

AT = datetime(2026, 11, 22, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.mark.parametrize(
    "values", [["run-1"], [7, "r1/0"], [AT, "run-1"], [float("-inf"), 3], [None, 2]]
)
def test_a_cursor_comes_back_as_it_was(values: list[Any]) -> None:
    types = [str if value is None else type(value) for value in values]
    assert decode_cursor(encode_cursor(values), types) == values


@pytest.mark.parametrize(
    "cursor", ["", "%%%", "bm90IGpzb24", encode_cursor(["a"]), encode_cursor([1, 2, 3]), "e30"]
)
def test_another_text_is_refused(cursor: str) -> None:
    with pytest.raises(Refused) as refused:
        decode_cursor(cursor, [int, int])
    assert refused.value.findings[0].where == "query.cursor"
