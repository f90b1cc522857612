"""The fixtures of commands that talk to a service, for every test of a command."""

from cli.commands.tests.commands_at_a_service import app, models, redrive, registered

__all__ = ["app", "models", "redrive", "registered"]
