"""What the commands that talk to a service share: a client, models by name."""

from pathlib import Path

from cli.model_folders import local_model
from server.client import Client


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
