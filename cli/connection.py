"""What the commands that talk to a service share: a client, models by name, exit codes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.model_folders import local_model
from server.client import Client

EXIT_PASS = 0
EXIT_REGRESSION = 1
EXIT_INCONCLUSIVE = 3
EXIT_OURS = 4
EXIT_TIMED_OUT = 5


def connect(url: str) -> Client:
    """A client that retries for a few seconds."""
    return Client(url)


def push_local(client: Client, model: str) -> str:
    """Upload a folder, a shipped model or `log`; its digest."""
    return str(client.push_model(*local_model(model))["digest"])


def model_reference(client: Client, model: str) -> str:
    """The digest of a model folder or of `log`, uploaded now; any other reference as it is."""
    is_local = model == "log" or (Path(model) / "manifest.json").is_file()
    return push_local(client, model) if is_local else model


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
