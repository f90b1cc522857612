"""The words of the command line are the stored ones: scripts and CI jobs say them.

Commands, arguments, options, their defaults, choices and limits; the help may be said better at any
time. `python -m cli.tests.test_command_snapshot` stores the words of today.
"""

from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from typer.main import get_command

from cli.main import COMMANDS, build
from suites.tests.stored import check, write

STORED = Path(__file__).with_name("snapshots") / "commands.json"
SAID = (
    "envvar",
    "hidden",
    "is_flag",
    "max",
    "min",
    "multiple",
    "nargs",
    "opts",
    "required",
    "secondary_opts",
)


def words() -> dict[str, Any]:
    """By command, `redrive NAME` or `redrive NAME SUBCOMMAND`."""
    found = {"redrive": described(get_command(build(None)))}
    for name in COMMANDS:
        chosen = get_command(build(name)).commands[name]  # type: ignore[attr-defined]
        found[f"redrive {name}"] = described(chosen)
        for inner, command in getattr(chosen, "commands", {}).items():
            found[f"redrive {name} {inner}"] = described(command)
    return found


def described(command: Any) -> dict[str, Any]:
    parameters = [parameter(one) for one in command.params]
    found: dict[str, Any] = {"hidden": command.hidden, "parameters": parameters}
    if hasattr(command, "commands"):
        found["commands"] = list(command.commands)
        found["alone"] = command.invoke_without_command
    settings = command.context_settings
    return found | {"settings": settings} if settings else found


def parameter(one: Any) -> dict[str, Any]:
    """What is not said is None, False or empty, and one word for `nargs`."""
    found = {name: getattr(one, name, None) for name in SAID}
    found |= {name: " ".join(found[name] or ()) for name in ("opts", "secondary_opts")}
    if found["nargs"] == 1:
        del found["nargs"]
    found |= {"default": default(one.default), "kind": one.param_type_name}
    said = {key: value for key, value in found.items() if value not in (None, False, "")}
    return said | {"name": one.name, "type": kind(one.type_descriptor.annotation)}


def default(value: Any) -> Any:
    """Absolute paths lie wherever the program is installed: their name alone."""
    if isinstance(value, Path):
        return f".../{value.name}" if value.is_absolute() else str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [default(part) for part in value]
    return "computed" if callable(value) else value


def kind(annotation: Any) -> Any:
    """The name of a type; the words of one that has few."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [member.value for member in annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return list(inner)
    if origin in (Union, UnionType):
        return [kind(part) for part in inner]
    if origin is not None:
        return {origin.__name__: [kind(part) for part in inner]}
    return getattr(annotation, "__name__", str(annotation))


def test_commands_and_options_are_the_stored_ones() -> None:
    check(STORED, words(), "cli.tests.test_command_snapshot")


if __name__ == "__main__":
    write(STORED, words())
