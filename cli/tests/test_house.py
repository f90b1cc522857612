"""The rules of the house that no linter holds: sizes, lines of templates, names."""

import ast
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]

FILE_LINES, MEDIAN_LINES, BODY_LINES, ALL_LINES = 500, 120, 60, 47_500
PAGE_COLUMNS = 140

FACES = ("server/api/", "server/pages/", "cli/commands/", "benchmarks/")
"""A subject has one name on these floors and where it is at home; others share no name."""


ACROSS = frozenset(
    [
        "architecture",
        "bad_input",
        "browser",
        "command_snapshot",
        "containers",
        "curated_suites",
        "damaged_segments",
        "docs",
        "drawn_by_cost",
        "enriched_run",
        "enriched_suite",
        "faults",
        "fixtures",
        "golden_rollouts",
        "help",
        "house",
        "identities",
        "importers",
        "live_evidence",
        "metrics",
        "models_and_suites_command",
        "offset_weights",
        "openapi",
        "openapi_snapshot",
        "pages",
        "queries",
        "rate_gates",
        "recipes",
        "reference_values",
        "run",
        "stereo_command",
        "templates",
        "verdict_snapshot",
    ]
)
"""Tests of more than one file: of documents, snapshots, whole rooms, the command run.py."""


def tracked() -> list[str]:
    """The Python files of a checkout of git, new ones too."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a checkout of git")
    return [path for path in listed.stdout.split() if (ROOT / path).exists()]


def production() -> dict[str, str]:
    """Path to text of every Python file but tests and migrations."""
    names = [path for path in tracked() if not {"tests", "migrations"} & set(Path(path).parts)]
    return {path: (ROOT / path).read_text() for path in names if Path(path).name != "conftest.py"}


def bodies(text: str) -> Iterator[tuple[str, int]]:
    """(name, lines) of each function's body, its docstring not counted."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and node.body[1:] else node.body[0]
            yield node.name, (node.end_lineno or 0) - first.lineno + 1


def test_files_are_short_and_so_are_functions() -> None:
    files = production()
    lines = {name: len(text.splitlines()) for name, text in files.items()}
    assert {name: count for name, count in lines.items() if count > FILE_LINES} == {}
    long = {
        f"{path}:{name}": count
        for path, text in files.items()
        for name, count in bodies(text)
        if count > BODY_LINES
    }
    assert long == {}
    assert median(lines.values()) <= MEDIAN_LINES
    assert sum(lines.values()) <= ALL_LINES


def test_every_module_says_what_it_is() -> None:
    silent = [name for name, text in production().items() if not ast.get_docstring(ast.parse(text))]
    assert silent == []


def test_a_module_name_stands_for_one_thing() -> None:
    places = defaultdict(list)
    for name in production():
        if not name.endswith("__init__.py"):
            places[Path(name).name].append(name)
    homes = {
        module: [name for name in names if not name.startswith(FACES)]
        for module, names in places.items()
    }
    assert {module: names for module, names in homes.items() if len(names) > 1} == {}


def test_tests_mirror_the_files() -> None:
    """A test file has the name of a file of its folder, or is of several and stands in ACROSS."""
    tests = [path for path in tracked() if Path(path).match("tests/test_*.py")]
    subjects = {path: Path(path).parents[1] / Path(path).name[len("test_") :] for path in tests}
    alone = {
        subject.stem
        for path, subject in subjects.items()
        if not (ROOT / subject).exists() and not (ROOT / subject.with_suffix("")).is_dir()
    }
    assert alone == ACROSS


def test_a_class_name_stands_for_one_thing() -> None:
    names = Counter(
        node.name
        for text in production().values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1 and not name.startswith("_")] == []


def test_templates_scripts_and_styles_can_be_read() -> None:
    files = [f for kind in ("html", "js", "css") for f in (ROOT / "web").rglob(f"*.{kind}")]
    assert files
    wide = {
        f"{file.relative_to(ROOT)}:{number}": len(line)
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if len(line) > PAGE_COLUMNS
    }
    assert wide == {}
