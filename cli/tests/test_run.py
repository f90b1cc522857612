"""run.py: when it makes the environment, and how it recovers. Nothing is installed here."""

import ast
import importlib.util
import re
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

RUN = Path(__file__).parents[2] / "run.py"


@pytest.fixture
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", RUN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements.lock").write_text("small==1 --hash=sha256:00\n")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'small'\n")
    return tmp_path


class Calls:
    """Stands for venv, pip and uv: records what was asked for, makes the folder that venv makes."""

    def __init__(self, root: Path) -> None:
        self.verbs: list[str] = []
        self.fail_at = ""
        self.entered: Callable[[], None] = lambda: None
        self._python = root / ".venv/bin/python"

    def __call__(self, command: list[str]) -> None:
        verb = "project" if "--editable" in command else "lock" if "install" in command else "venv"
        self.verbs.append(verb)
        self.entered()
        if verb == self.fail_at:
            raise KeyboardInterrupt
        if verb == "venv":
            self._python.parent.mkdir(parents=True)
            self._python.touch()


@pytest.fixture(params=["", "/somewhere/uv"], ids=["pip", "uv"])
def calls(
    request: pytest.FixtureRequest, run: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch
) -> Calls:
    recorder = Calls(root)
    monkeypatch.setattr(run, "_call", recorder)
    monkeypatch.setattr(run, "_find_uv", lambda: request.param)
    return recorder


ALL = ["venv", "lock", "project"]


def test_second_start_does_nothing(run: ModuleType, root: Path, calls: Calls) -> None:
    assert run.ensure_environment(root) == root / ".venv/bin/python"
    assert calls.verbs == ALL
    run.ensure_environment(root)
    assert calls.verbs == ALL


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_changed_lock_or_project_is_installed_again_in_place(
    run: ModuleType, root: Path, calls: Calls, name: str
) -> None:
    run.ensure_environment(root)
    with (root / name).open("a") as file:
        file.write("# changed\n")
    run.ensure_environment(root)
    assert calls.verbs == [*ALL, "lock", "project"]
    assert run.is_ready(root)


@pytest.mark.parametrize("at", ALL)
def test_interrupted_set_up_begins_anew(run: ModuleType, root: Path, calls: Calls, at: str) -> None:
    calls.fail_at = at
    with pytest.raises(KeyboardInterrupt):
        run.ensure_environment(root)
    half = root / ".venv/half-written"
    half.parent.mkdir(exist_ok=True)
    half.touch()
    calls.fail_at, calls.verbs = "", []
    run.ensure_environment(root)
    assert calls.verbs == ALL
    assert not half.exists()


def test_interrupted_update_begins_anew_too(run: ModuleType, root: Path, calls: Calls) -> None:
    run.ensure_environment(root)
    (root / "requirements.lock").write_text("small==2 --hash=sha256:00\n")
    calls.fail_at = "lock"
    with pytest.raises(KeyboardInterrupt):
        run.ensure_environment(root)
    calls.fail_at, calls.verbs = "", []
    run.ensure_environment(root)
    assert calls.verbs == ALL


def test_copied_folder_gets_an_environment_of_its_own(
    run: ModuleType,
    root: Path,
    calls: Calls,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run.ensure_environment(root)
    copy = tmp_path_factory.mktemp("copy") / "of it"
    shutil.copytree(root, copy)
    monkeypatch.setattr(run, "_call", again := Calls(copy))
    run.ensure_environment(copy)
    assert again.verbs == ALL


def test_environment_whose_python_is_gone_is_made_anew(
    run: ModuleType, root: Path, calls: Calls
) -> None:
    run.ensure_environment(root)
    (root / ".venv/bin/python").unlink()
    run.ensure_environment(root)
    assert calls.verbs == ALL * 2


def test_two_starts_at_once_make_it_once(
    run: ModuleType, root: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_is_here, inside, said = threading.Event(), set[int](), list[str]()

    def say(text: str, **_: object) -> None:
        said.append(text)
        if "waiting for it" in text:
            second_is_here.set()

    def enter() -> None:
        inside.add(threading.get_ident())
        if len(inside) > 1:
            second_is_here.set()
        assert second_is_here.wait(60)

    monkeypatch.setattr(run, "print", say, raising=False)
    calls.entered = enter
    threads = [threading.Thread(target=run.ensure_environment, args=(root,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inside) == 1, "they were inside together"
    assert "another start is setting up .venv; waiting for it" in said
    assert calls.verbs == ALL


def test_words_go_to_the_tests_or_to_the_command_line(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "ensure_environment", lambda root: Path("python"))
    assert run.command(["verdict", "--json"]) == [
        "python",
        "-P",
        "-m",
        "cli.main",
        "verdict",
        "--json",
    ]
    assert Path.cwd() == tmp_path, "paths in the command stay relative to where the user is"
    assert run.command(["test", "-k", "x"])[:4] == ["python", "-m", "pytest", "-n"]
    assert run.command(["test", "-k", "x"])[5:] == ["-k", "x"]
    assert Path.cwd() == RUN.parent


def test_output_of_the_set_up_stays_off_standard_output(
    run: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    run._call([sys.executable, "-c", "print('installing')"])
    assert capfd.readouterr() == ("", "installing\n")
    with pytest.raises(run.SetupError, match=r"set-up failed at: .*raise SystemExit"):
        run._call([sys.executable, "-c", "raise SystemExit(3)"])


def test_no_words_show_the_help(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py"])
    run.main()
    assert "python3 run.py demo" in capsys.readouterr().out


def test_old_python_is_told_so(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or 3\.12; this is 3\.10"):
        run.main()


def test_missing_ensurepip_names_the_package(
    run: ModuleType, root: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_find_uv", lambda: "")
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(run.SetupError, match=r"apt-get install python3\.\d+-venv"):
        run.ensure_environment(root)


def test_needs_nothing_but_the_standard_library_and_parses_on_old_pythons() -> None:
    tree = ast.parse(RUN.read_text(), feature_version=(3, 7))
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    imported |= {
        str(node.module).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    assert imported <= sys.stdlib_module_names


def test_supported_pythons_are_those_of_the_project(run: ModuleType) -> None:
    (first, last), *_ = re.findall(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (RUN.parent / "pyproject.toml").read_text()
    )
    assert ((3, int(first)), (3, int(last) - 1)) == (run.OLDEST, run.NEWEST)
