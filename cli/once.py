"""An option that holds one value is given once: of two, one would be lost without a word."""

from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


def once(app: typer.Typer) -> "type[OnceGroup]":
    """Make every command below the app refuse a repeated option; returns the class for the app."""
    for command in app.registered_commands:
        command.cls = OnceCommand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.cls = once(group.typer_instance)
    return OnceGroup


def _holds_one_value(parameter: Any) -> bool:
    if parameter.param_type_name != "option" or parameter.multiple or parameter.count:
        return False
    # a flag without an opposite says the same thing again
    return bool(parameter.secondary_opts) or not parameter.is_flag


def _refuse_repeated(command: Any, context: Any, words: list[str]) -> None:
    _, _, given = command.make_parser(context).parse_args(args=list(words))
    for parameter, times in Counter(given).items():
        if times > 1 and _holds_one_value(parameter) and not context.resilient_parsing:
            name = "/".join([*parameter.opts, *parameter.secondary_opts])
            context.fail(f"{name} is given {times} times, but holds one value: give it once.")


class OnceCommand(TyperCommand):
    """A command that refuses a repeated option, but for options that take several values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As of any command, after the check."""
        _refuse_repeated(self, ctx, args)
        return super().parse_args(ctx, args)


class OnceGroup(TyperGroup):
    """`OnceCommand` for a command with subcommands, and for one that is an app by itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As of any group, after the check."""
        _refuse_repeated(self, ctx, args)
        return super().parse_args(ctx, args)
