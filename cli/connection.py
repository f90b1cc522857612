"""What the commands that talk to a service share: where it is, how things are shown, what the exit code says."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.model_folders import local_model
from server.client import Client

DEFAULT_URL = "http://127.0.0.1:8700"
Url = Annotated[str, typer.Option("--url", envvar="REDRIVE_URL", help="Where the service is.")]
AsJson = Annotated[
    bool,
    typer.Option("--json", envvar="REDRIVE_JSON", help="JSON on standard output, nothing else."),
]

EXIT_PASS, EXIT_REGRESSION, EXIT_INCONCLUSIVE, EXIT_OURS, EXIT_TIMED_OUT = 0, 1, 3, 4, 5


def connect(url: str) -> Client:
    """A client that retries for a few seconds."""
    return Client(url)


def model_reference(client: Client, model: str) -> str:
    """Digest of a model folder (or of the built-in `log`), uploaded now, or the reference as it is."""
    if model != "log" and not (Path(model) / "manifest.json").is_file():
        return model
    manifest, graphs = local_model(model)
    return str(client.push_model(manifest, graphs)["digest"])


def exit_code(run: Mapping[str, Any], allow_inconclusive: bool = False) -> int:
    """0 pass, 1 regression, 3 inconclusive (or cancelled: no verdict), 4 our failure."""
    if run["verdict"] is None:
        return EXIT_OURS if run["status"] == "errored" else EXIT_INCONCLUSIVE
    codes = {
        "pass": EXIT_PASS,
        "fail": EXIT_REGRESSION,
        "inconclusive": EXIT_PASS if allow_inconclusive else EXIT_INCONCLUSIVE,
    }
    return codes[run["verdict"]]


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """A plain table on standard output; `empty` is the command that would fill it."""
    lines = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not lines:
        print(empty, file=sys.stderr)
        return
    widths = [max(len(row[i]) for row in [list(columns), *lines]) for i in range(len(columns))]
    for row in [list(columns), *lines]:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
