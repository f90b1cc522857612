"""`redrive up`: the service on this machine until Ctrl-C."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from cli.supervision.supervisor import running_service, say

app = typer.Typer()


@app.callback(invoke_without_command=True)
def up(
    data: Annotated[
        Path, typer.Option(envvar="REDRIVE_DATA", help="Folder of the installation.")
    ] = Path(".redrive"),
    host: Annotated[
        str, typer.Option(envvar="REDRIVE_HOST", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            envvar="REDRIVE_PORT",
            help="Port to listen on.",
            show_default="8700, or the next free one",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(envvar="REDRIVE_WORKERS", min=0, help="Workers that drive rollouts.")
    ] = 2,
    database_url: Annotated[
        str, typer.Option(envvar="DATABASE_URL", help="Use this Postgres instead of an own one.")
    ] = "",
    broker_url: Annotated[
        str,
        typer.Option(envvar="BROKER_URL", help="Use this Redis or Valkey instead of an own one."),
    ] = "",
) -> None:
    """Start Postgres, Valkey, the API, the coordinator and the workers, and keep them running until Ctrl-C."""
    with (
        contextlib.suppress(KeyboardInterrupt),
        running_service(
            data,
            host=host,
            port=port,
            workers=workers,
            database_url=database_url,
            broker_url=broker_url,
        ) as service,
    ):
        say(
            f"Redrive is at {service.url} (data in {data.resolve()}, logs in its logs/). Ctrl-C stops it."
        )
        service.children.wait()
        raise typer.Exit(4)
