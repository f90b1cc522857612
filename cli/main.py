"""The `redrive` command.

A subcommand is imported only when it is used: `redrive submit` never loads a simulator.
"""

import importlib
import inspect
import sys

import typer

from cli.exit_codes import EXIT_OURS, EXIT_USAGE
from cli.once import OnceGroup, once
from suites.errors import DataError, RedriveError, SubmitterError

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("cli.demo.demo", "From nothing to three verdicts on this machine."),
    "up": ("cli.commands.up", "Start the service: Postgres, Valkey, API, coordinator, workers."),
    "segments": ("cli.commands.segments", "Import, list and show logged segments."),
    "world": ("cli.commands.world", "Make procedural segments with exact ground truth."),
    "models": ("cli.commands.models", "Upload, list and check models."),
    "suites": ("cli.commands.suites", "Check, register and list suites."),
    "submit": ("cli.commands.submit", "Submit a candidate and wait for its verdict (CI)."),
    "runs": ("cli.commands.runs", "List, watch and cancel runs."),
    "replay": ("cli.commands.replay", "Re-simulate segments here, without the service."),
    "verdict": ("cli.commands.verdict", "Judge a CSV of paired costs by hand."),
    "plan": ("cli.commands.plan", "How many segments a margin needs, and what a budget can see."),
    "selfcheck": (
        "cli.commands.selfcheck",
        "Null comparisons and planted regressions through the whole pipeline.",
    ),
    "simulator": ("cli.commands.simulator", "Reports on the simulator's own fidelity."),
    "cases": ("cli.commands.cases", "Register failures as tests and review them."),
    "reports": ("cli.commands.reports", "Field reports: what the fleet complained of."),
    "worker": ("cli.commands.worker", "Run one Celery worker."),
    "migrate": ("cli.commands.migrate", "Bring the database to the current schema."),
    "doctor": ("cli.commands.doctor", "Check this machine and say what is missing."),
}
"""Name to (module with a typer `app`, one-line help)."""

OWNERS = {SubmitterError: "the submission", DataError: "the data"}
"""What an error of the user's lies in; every other error lies in `OURS`."""
OURS = "this machine"
WRONG_PATH = (
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
"""What another path in the command would cure; a full or broken disk is another matter."""


def _never_called() -> None:
    """Stands for a command that this invocation does not use."""


def build(chosen: str | None) -> typer.Typer:
    """The command line: the chosen subcommand imported, the others by name and one-line help."""
    root = typer.Typer(
        name="redrive",
        cls=OnceGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # what stands in brackets is said, not markup
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Submit a driving model; learn in minutes whether it drives worse than the last one, "
        "where, and how sure we are.",
    )
    for name, (module, text) in COMMANDS.items():
        if name == chosen:
            app = importlib.import_module(module).app
            # a command without subcommands is explained by its own docstring
            alone = app.registered_callback
            told = inspect.getdoc(alone.callback) if alone else text
            root.add_typer(app, name=name, cls=once(app), help=told, short_help=text)
        else:
            root.command(name, help=text)(_never_called)
    return root


def main() -> None:
    """Entry point: errors that a user can act on are shown as text, with what to do next."""
    try:
        build(sys.argv[1] if len(sys.argv) > 1 else None)(prog_name="redrive")
    except RedriveError as error:
        owner = next((who for kind, who in OWNERS.items() if isinstance(error, kind)), OURS)
        print(f"error ({owner}): {error}", file=sys.stderr)
        for finding in error.findings:
            remedy = f"; {finding.remedy}" if finding.remedy else ""
            print(f"  {finding.where}: {finding.problem}{remedy}", file=sys.stderr)
        sys.exit(EXIT_OURS if owner == OURS else EXIT_USAGE)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error ({OURS}): {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(EXIT_USAGE if isinstance(error, WRONG_PATH) else EXIT_OURS)


if __name__ == "__main__":
    main()
