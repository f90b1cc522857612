"""The architecture page keeps up with the code; run as a program, this draws its floors again."""

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
WIDTH = 78
FLOORS = re.compile(r"(<!-- floors -->\n).*(<!-- /floors -->)", re.DOTALL)


def contracts() -> list[dict[str, Any]]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[dict[str, Any]] = document["tool"]["importlinter"]["contracts"]
    return found


def draw(floors: list[list[str]]) -> list[str]:
    """Boxes one above the other; rooms of one floor stand side by side."""
    walls = [[(WIDTH - 2) * i // len(rooms) for i in range(1, len(rooms))] for rooms in floors]
    above = ["┌" + "─" * (WIDTH - 2) + "┐"]
    lines = []
    for number, rooms in enumerate(floors):
        ends = [*walls[number], WIDTH - 2]
        starts = [0, *(end + 1 for end in walls[number])]
        lines += [crossing(walls[number - 1] if number else [], walls[number])] if number else above
        cells = [
            f" {room}".ljust(end - start)
            for room, start, end in zip(rooms, starts, ends, strict=True)
        ]
        lines.append("│" + "│".join(cells) + "│")
    below = "└" + "".join("┴" if i in walls[-1] else "─" for i in range(WIDTH - 2)) + "┘"
    if walls[0]:
        lines[0] = "┌" + "".join("┬" if i in walls[0] else "─" for i in range(WIDTH - 2)) + "┐"
    return [*lines, below]


def crossing(upper: list[int], lower: list[int]) -> str:
    sign = {(True, True): "┼", (True, False): "┴", (False, True): "┬", (False, False): "─"}
    return "├" + "".join(sign[i in upper, i in lower] for i in range(WIDTH - 2)) + "┤"


def picture() -> str:
    """Every contract of layers as a drawing, every other one as a line."""
    drawn, said = [], []
    for contract in contracts():
        if contract["type"] == "layers":
            floors = [[r.strip().split(".")[-1] for r in f.split("|")] for f in contract["layers"]]
            drawn += [f"    {contract['name']}", *(f"    {line}" for line in draw(floors)), ""]
        else:
            said.append(f"- {contract['name']}.")
    return "\n".join([*drawn, *said]) + "\n"


def test_the_floors_are_those_of_the_import_contracts() -> None:
    found = FLOORS.search(PAGE.read_text())
    assert found is not None
    assert found[0] == found[1] + "\n" + picture() + "\n" + found[2], (
        "run `python -m cli.tests.test_architecture` and commit docs/architecture.md"
    )


def test_every_file_that_the_documents_name_exists() -> None:
    pages = [
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("*.md"),
        *(ROOT / "benchmarks").rglob("*.md"),
    ]
    named = {
        (page.name, path)
        for page in pages
        for path in re.findall(
            # a recipe's new file is not there yet
            r"`((?:suites|workers|server|cli|web|migrations|models|benchmarks|docs)/[\w./-]*)`"
            r"(?!, new file)",
            page.read_text(),
        )
    }
    assert len(named) > 30
    assert {(page, path) for page, path in named if not (ROOT / path).exists()} == set()


if __name__ == "__main__":
    PAGE.write_text(
        FLOORS.sub(lambda found: found[1] + "\n" + picture() + "\n" + found[2], PAGE.read_text())
    )
