"""Help and usage errors of every command, as a terminal shows them."""

import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from cli.main import COMMANDS, build, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_subcommand_explains_itself(name: str) -> None:
    app = build(name)
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    chosen = root.commands[name]
    inner = list(chosen.commands) if isinstance(chosen, TyperGroup) else []
    for words in ([name], *([name, word] for word in inner)):
        shown = CliRunner().invoke(app, [*words, "--help"], prog_name="redrive")
        assert shown.exit_code == 0, f"{' '.join(words)}: {shown.exception!r}"
        assert shown.output.startswith(f"Usage: redrive {' '.join(words)}")


def test_a_usage_error_names_the_command_as_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/main.py", "nope"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "Try 'redrive -h' for help" in capsys.readouterr().err


def test_a_path_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    monkeypatch.setattr(sys, "argv", ["redrive", "world", "--routes", "1", "--data", str(taken)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error (this machine): {taken}/")
    assert "Not a directory" in said
