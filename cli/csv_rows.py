"""The rows of a CSV as they stand: packed or not, with commas, semicolons or tabs between."""

import csv
import gzip
import io
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from suites.errors import Finding, SubmitterError
from suites.formatting import plural

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}

Line = tuple[int, dict[str, str]]
"""The number of a row's last line, and its fields by column."""


@dataclass(frozen=True, slots=True)
class CsvRows:
    """A file as read, blanks around its fields left out."""

    names: list[str]
    """Its columns, each named once."""
    lines: list[Line]
    notes: tuple[str, ...]
    """What was not as expected and could be read all the same."""


def read_rows(path: Path, needed: str) -> CsvRows:
    """The rows under a header that has the column `needed`, by which its separator is known.
    Raises SubmitterError where it is no CSV, or names a column twice."""
    text = file_text(path)
    try:
        separator = next((s for s in SEPARATORS if needed in _header(text, s)), ",")
        names = _header(text, separator)
        reader = csv.DictReader(io.StringIO(text, newline=""), names, delimiter=separator)
        next(reader, None)
        raw = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise SubmitterError(f"{path} is no CSV: {error}") from None
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        problem = f"more than once: {', '.join(map(repr, twice))}"
        finding = Finding("columns", problem, "keep one of each")
        unclear = "it is not clear which column is meant"
        raise SubmitterError(f"{path} cannot be judged: {unclear}", finding)
    lines = [(number, _stripped(row)) for number, row in raw]
    padded = sum(before[1] != after[1] for before, after in zip(raw, lines, strict=True))
    notes = [] if separator == "," else [f"Read with {SEPARATORS[separator]} between its columns."]
    if padded:
        notes.append(f"{plural(padded, 'row')} with blanks around fields: read without them.")
    return CsvRows(names, lines, tuple(notes))


def file_text(path: Path) -> str:
    """What a file holds, gzipped or not. Raises SubmitterError."""
    if not path.is_file():
        raise SubmitterError(f"{path} is not a file")
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SubmitterError(f"{path} cannot be read: {error}") from None


def _header(text: str, separator: str) -> list[str]:
    """The fields of the first row that is not empty."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [name.strip() for name in next((row for row in rows if row), [])]


def _stripped(row: dict[str, str]) -> dict[str, str]:
    """`csv.DictReader` gives None for a field that lacks, and a list of those beyond the header."""
    return {name: text.strip() if isinstance(text, str) else text for name, text in row.items()}
