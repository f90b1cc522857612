"""Where in a TOML file a finding is: `cases.hugging.end_s` is line 12."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from suites.errors import Finding, SubmitterError

_TABLE = re.compile(r"^\s*(\[\[?)\s*([\w.\"-]+)\s*\]\]?")
_KEY = re.compile(r"^\s*([\w\"-]+)\s*=\s*(.*)$")


@contextmanager
def lines_of(text: str) -> Iterator[None]:
    """A SubmitterError from inside has `line N: ` before each place that is written in `text`."""
    try:
        yield
    except SubmitterError as error:
        error.findings = tuple(_placed(finding, text) for finding in error.findings)
        raise


def _placed(finding: Finding, text: str) -> Finding:
    line = line_of(finding.where, text)
    return finding if line is None else replace(finding, where=f"line {line}: {finding.where}")


def line_of(where: str, text: str) -> int | None:
    """Line, from 1, of a dotted path: keys, places in arrays of tables from 0, or the `name` of one of those tables. The
    deepest part of the path that the file has a line for, or the first line of what is below it; None where it has none."""
    wanted = where.split(".")
    best, depth = None, 0
    for path, line in _paths(text):
        common = 0
        while common < min(len(path), len(wanted)) and wanted[common] in path[common]:
            common += 1
        if common > depth and common in (len(path), len(wanted)):
            best, depth = line, common
    return best


def _paths(text: str) -> list[tuple[list[set[str]], int]]:
    """Every table and key with its line; each part of a path with the ways of calling it (place and name of a table)."""
    found: list[tuple[list[set[str]], int]] = []
    table: list[set[str]] = []
    counts: dict[str, int] = {}
    names: dict[str, set[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table, so_far = [], ""
            parts = header[2].replace('"', "").split(".")
            for i, part in enumerate(parts):
                so_far += f".{part}"
                table.append({part})
                if header[1] == "[[" and i == len(parts) - 1:
                    counts[so_far] = counts.get(so_far, -1) + 1
                if so_far in counts:
                    so_far += f".{counts[so_far]}"
                    table.append(names.setdefault(so_far, {str(counts[so_far.rpartition(".")[0]])}))
            found.append((list(table), number))
        elif key := _KEY.match(line):
            name = key[1].strip('"')
            if name == "name" and table:
                table[-1].add(key[2].split("#")[0].strip().strip("\"'"))
            found.append(([*table, {name}], number))
    return found
