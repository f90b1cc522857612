"""The recipes in docs/recipes, followed to the letter in a copy of the repository.

A page is numbered steps and the commands that show what came of them:

    1. `path`, new file | at the end | before | after | in place of the line `anchor`: why.
    4. Run `python -m module`: it writes `path`.
    ## See it              $ command, and then parts of what it prints
    ## What reminds you    - Without step 2: `test that fails`
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "recipes"
BOUNDS = {"metric": 3, "simulator": 4, "importer": 3, "page": 4, "column": 3}
"""Recipe to how many files it may touch: its tests and what a command writes not counted."""
STEP = re.compile(
    r"(?P<number>\d+)\. `(?P<path>[^`]+)`, "
    r"(?P<place>new file|at the end|(?:before|after|in place of) the line)"
    r"(?: (?P<tick>`+)(?P<anchor>.+?)(?P=tick))?: .+"
)
COMMAND = re.compile(r"(?P<number>\d+)\. Run `(?P<command>[^`]+)`: it writes `(?P<path>[^`]+)`\.")
REMINDER = re.compile(r"- Without step (\d+): `([^`]+)`")
FENCE = re.compile(r"( *)```\w+\n(.*?)\n\1```\n", re.DOTALL)
PLAIN_PYTEST = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # they take longer to load than the tests to run
    "PYTEST_ADDOPTS": "-p pytest_timeout -p pytest_alembic.plugin -p no:cacheprovider",
}
INDENT = 3
"""Of a block within a numbered step."""


@dataclass(frozen=True)
class Step:
    """A text that goes to its place in a file, or a command that writes the file."""

    number: int
    path: str
    place: str = ""
    anchor: str = ""
    text: str = ""
    command: str = ""


@dataclass(frozen=True)
class Recipe:
    steps: tuple[Step, ...]
    shown: tuple[tuple[str, tuple[str, ...]], ...]
    """Each command, and the parts of what it prints."""
    reminders: dict[int, str]
    """Number of a step to the test that fails without it."""


def read(name: str) -> Recipe:
    body, _, rest = (PAGES / f"{name}.md").read_text().partition("## See it\n")
    see, _, reminds = rest.partition("## What reminds you\n")
    [console] = re.findall(r"```console\n(.*?)```\n", see, re.DOTALL)
    reminders = {int(number): test for number, test in REMINDER.findall(reminds)}
    return Recipe(tuple(steps(numbered(name, body))), tuple(commands(console)), reminders)


def numbered(name: str, body: str) -> str:
    """The column's recipe counts on from the newest migration, as its reader does."""
    newest = max(path.name[:4] for path in (ROOT / "migrations" / "versions").glob("[0-9]*.py"))
    if name != "column":
        return body
    return body.replace("0012", f"{int(newest) + 1:04}").replace("0011", newest)


def steps(body: str) -> list[Step]:
    found = []
    for item in re.split(r"^(?=\d+\. )", body, flags=re.MULTILINE)[1:]:
        head = item.splitlines()[0]
        if command := COMMAND.fullmatch(head):
            found.append(Step(int(command["number"]), command["path"], command=command["command"]))
            continue
        step, block = STEP.fullmatch(head), FENCE.search(item)
        assert step, f"no step: {head}"
        assert block, f"no text: {head}"
        lines = [line[INDENT:] for line in block[2].splitlines()]
        text = "\n".join(lines) + "\n"
        number, anchor = int(step["number"]), step["anchor"] or ""
        found.append(Step(number, step["path"], step["place"], anchor.strip(), text))
    return found


def commands(console: str) -> list[tuple[str, tuple[str, ...]]]:
    """(command, what it prints); a command that ends in <<'END' goes on to the line END."""
    found: list[tuple[str, list[str]]] = []
    lines = iter(console.splitlines())
    for line in lines:
        if not line.startswith("$ "):
            found[-1][1].append(line)
            continue
        command = line.removeprefix("$ ")
        if command.endswith("<<'END'"):
            while not command.endswith("\nEND"):
                command += "\n" + next(lines)
        found.append((command, []))
    return [(command, tuple(printed)) for command, printed in found]


class Checkout:
    """A copy of the repository's files, those that nobody has committed yet included."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.touched: set[str] = set()
        listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
        if names.returncode:
            pytest.skip("not a checkout of git")
        for name in names.stdout.split("\0"):
            if name and (ROOT / name).is_file():
                self.copy(name)

    def copy(self, name: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, self.folder / name)

    def follow(self, recipe: Recipe, without: int | None = None) -> None:
        """From the files as they were, every step but one."""
        for name in self.touched:
            (self.folder / name).unlink(missing_ok=True)
            if (ROOT / name).exists():
                self.copy(name)
        self.touched = {step.path for step in recipe.steps}
        for step in recipe.steps:
            if step.number == without:
                continue
            if step.command:
                self.run(step.command)
            else:
                self.write(step)

    def write(self, step: Step) -> None:
        path = self.folder / step.path
        if step.place == "new file":
            assert not path.exists(), f"{step.path} is there already"
            path.write_text(step.text)
            return
        lines = path.read_text().splitlines(keepends=True)
        if step.place == "at the end":
            path.write_text("".join([*lines, "\n\n", step.text]))
            return
        at = [number for number, line in enumerate(lines) if line.strip() == step.anchor]
        assert len(at) == 1, f"{step.path} has the line {len(at)} times: {step.anchor}"
        first = at[0] + (step.place == "after the line")
        last = at[0] + (step.place != "before the line")
        lines[first : max(first, last)] = [step.text]
        path.write_text("".join(lines))

    def run(self, command: str, fails: bool = False) -> str:
        """What it prints. Python's tools are those of this environment."""
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": tools} | PLAIN_PYTEST
        environment.pop("PYTEST_XDIST_WORKER", None)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode != 0) is fails, f"{command}\n{done.stdout}"
        return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """One for all recipes: what Python compiled of it is kept."""
    return Checkout(tmp_path_factory.mktemp("checkout"))


def test_every_recipe_has_its_page_and_the_architecture_page_links_to_it() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(BOUNDS)
    linked = re.findall(r"\(recipes/(\w+)\.md\)", (ROOT / "docs" / "architecture.md").read_text())
    assert sorted(linked) == sorted(BOUNDS)


@pytest.mark.parametrize("name", BOUNDS)
def test_a_recipe_touches_few_files(name: str) -> None:
    written = {step.path for step in read(name).steps if not step.command}
    files = {path for path in written if "tests" not in Path(path).parts}
    assert len(files) <= BOUNDS[name]
    assert f"\nTouches {len(files)} files" in (PAGES / f"{name}.md").read_text()


@pytest.mark.services
@pytest.mark.parametrize("name", BOUNDS)
def test_who_follows_a_recipe_sees_what_it_promises(name: str, checkout: Checkout) -> None:
    recipe = read(name)
    checkout.follow(recipe)
    for command, parts in recipe.shown:
        printed = checkout.run(command)
        assert not [part for part in parts if part not in printed], f"{command}\n{printed}"


@pytest.mark.parametrize("name", BOUNDS)
def test_what_reminds_of_a_step_is_a_test(name: str) -> None:
    recipe = read(name)
    assert recipe.reminders.keys() <= {step.number for step in recipe.steps}
    for test in recipe.reminders.values():
        path, _, function = test.partition("::")
        assert re.search(rf"(def|class|import|    ) ?{function}\b", (ROOT / path).read_text()), test


@pytest.mark.parametrize("number", [1, 3, 4])
def test_a_forgotten_step_of_a_metric_is_noticed(number: int, checkout: Checkout) -> None:
    recipe = read("metric")
    checkout.follow(recipe, without=number)
    checkout.run(f"python -m pytest -q {recipe.reminders[number]}", fails=True)
