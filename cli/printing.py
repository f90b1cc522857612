"""How commands print what they found: one JSON document, or a plain table."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Cell = str | Callable[[Any], Any]
"""What a column shows of an item: a path of keys as `suite.name`, or a function of the item."""
Columns = dict[str, Cell]
"""Title to cell, in the order in which they are shown."""


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_items(items: Sequence[Any], columns: Columns, empty: str, as_json: bool = False) -> None:
    """A row for each item, or all items as JSON; `empty` names the command that fills the table."""
    if as_json:
        print_json(items)
        return
    rows = [[_shown(item, cell) for cell in columns.values()] for item in items]
    print_table(list(columns), rows, empty)


def _shown(item: Any, cell: Cell) -> Any:
    if callable(cell):
        return cell(item)
    for key in cell.split("."):
        item = item[key]
    return item


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """A plain table on standard output; `empty` is said on standard error where there is no row."""
    lines = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not lines:
        print(empty, file=sys.stderr)
        return
    lines.insert(0, list(columns))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
