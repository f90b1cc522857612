"""An option of one value that is given twice is refused, by every command."""

from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from cli.main import COMMANDS, build

USAGE = 2


def commands(name: str) -> Iterator[tuple[list[str], Any]]:
    """The words and the command of NAME and of all below it."""

    def below(words: list[str], command: Any) -> Iterator[tuple[list[str], Any]]:
        yield words, command
        for word, inner in getattr(command, "commands", {}).items():
            yield from below([*words, word], inner)

    root: Any = get_command(build(name))
    yield from below([name], root.commands[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_one_value_is_given_once(name: str) -> None:
    app = build(name)
    for words, command in commands(name):
        for option in command.params:
            if option.param_type_name != "option" or option.multiple:
                continue
            if option.is_flag and not option.secondary_opts:
                continue
            first = [option.opts[0]] if option.is_flag else [option.opts[0], "1"]
            second = [option.secondary_opts[0]] if option.is_flag else [option.opts[-1], "2"]
            result = CliRunner().invoke(app, [*words, *first, *second])
            assert result.exit_code == USAGE, (words, option.name, result.output)
            assert f"{option.opts[0]}" in result.stderr
            assert "is given 2 times, but holds one value" in result.stderr, result.stderr


def test_the_text_says_which_option_and_what_to_do() -> None:
    words = ["replay", "--model", "twin", "r0/0", "--model=log"]
    refused = CliRunner().invoke(build("replay"), words, prog_name="redrive")
    assert refused.exit_code == USAGE
    assert "--model is given 2 times, but holds one value: give it once." in refused.stderr
    assert "redrive replay" in refused.stderr


def test_what_takes_several_values_takes_several_and_a_flag_may_be_said_again() -> None:
    words = ["replay", "--lateral", "0", "--lateral", "1", "--tag", "a", "--tag", "b"]
    result = CliRunner().invoke(build("replay"), [*words, "--json", "--json", "--help"])
    assert result.exit_code == 0, result.output
