"""Where in a TOML file a finding is: `cases.hugging.end_s` is line 12."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from suites.errors import Finding, SubmitterError

Path = tuple[str | int, ...]
"""Keys, and places in arrays from 0."""

_PARSER = Parser(Language(tree_sitter_toml.language()))


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
    """Line, from 1, of the deepest part of a dotted path that `text` has.

    The path holds keys, and for an element of an array its place from 0 or its `name`. A table's
    line is its first mention. None where `text` has no part of the path, or is not TOML.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    lines = _Lines(text).by_path
    path = tuple(_path(document, where))
    return next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)


def _path(value: Any, where: str) -> Iterator[str | int]:
    """The steps that `where` takes into a document, as far as it has them."""
    steps: dict[str, str | int] = {}
    if isinstance(value, dict):
        steps = {key: key for key in value}
    elif isinstance(value, list):
        steps = {str(e.get("name", i)): i for i, e in enumerate(value) if isinstance(e, dict)}
        steps |= {str(i): i for i in range(len(value))}
    # The longest first: a name may hold dots itself.
    for word in sorted(steps, key=len, reverse=True):
        if where and f"{where}.".startswith(f"{word}."):
            yield steps[word]
            yield from _path(value[steps[word]], where[len(word) + 1 :])
            return


class _Lines:
    """The line of everything that a text names, at its first mention."""

    def __init__(self, text: str) -> None:
        self.by_path: dict[Path, int] = {}
        self._newest: dict[Path, int] = {}
        """Of each array of tables: the place of the table that was opened last."""
        for node in _parts(_PARSER.parse(text.encode()).root_node):
            if node.type == "pair":
                self._pair((), node)
            elif node.type in ("table", "table_array_element"):
                self._table(node)

    def _table(self, node: Node) -> None:
        """`[a.b]` or `[[a.b]]` with its pairs."""
        key, *pairs = _parts(node)
        *above, own = _keys(key)
        parent = self._reach((), above, node)
        if node.type == "table_array_element":
            self._newest[*parent, own] = self._newest.get((*parent, own), -1) + 1
        table = self._reach(parent, [own], node)
        for pair in pairs:
            self._pair(table, pair)

    def _pair(self, table: Path, node: Node) -> None:
        key, value = _parts(node)
        self._value(self._reach(table, _keys(key), node), value)

    def _value(self, path: Path, node: Node) -> None:
        if node.type == "inline_table":
            for pair in _parts(node):
                self._pair(path, pair)
        elif node.type == "array":
            for i, element in enumerate(_parts(node)):
                self._value(self._mention((*path, i), element), element)

    def _reach(self, path: Path, keys: list[str], node: Node) -> Path:
        """The path below `path`; what is an array of tables on the way stands for its newest."""
        for key in keys:
            path = self._mention((*path, key), node)
            if path in self._newest:
                path = self._mention((*path, self._newest[path]), node)
        return path

    def _mention(self, path: Path, node: Node) -> Path:
        self.by_path.setdefault(path, node.start_point.row + 1)
        return path


def _parts(node: Node) -> list[Node]:
    return [part for part in node.named_children if part.type != "comment"]


def _keys(node: Node) -> list[str]:
    """The parts of a key, be it bare, quoted or dotted."""
    if node.type == "dotted_key":
        return [key for part in node.named_children for key in _keys(part)]
    assert node.text is not None  # it is not None where the parser was given bytes
    return list(tomllib.loads(f"{node.text.decode()} = 0"))
