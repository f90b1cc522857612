"""`redrive up`: the service on this machine until Ctrl-C."""

import contextlib
from typing import Annotated

import typer

from cli.exit_codes import EXIT_OURS
from cli.options import HERE, Data, Port, option
from cli.supervision.supervisor import running_service, say

app = typer.Typer()


@app.callback(invoke_without_command=True)
def up(
    data: Data = HERE,
    host: Annotated[str, option("Address to listen on.", "REDRIVE_HOST")] = "127.0.0.1",
    port: Port = None,
    workers: Annotated[int, option("Workers that drive rollouts.", "REDRIVE_WORKERS", min=0)] = 2,
    database_url: Annotated[
        str, option("Use this Postgres instead of an own one.", "DATABASE_URL")
    ] = "",
    broker_url: Annotated[
        str, option("Use this Redis or Valkey instead of an own one.", "BROKER_URL")
    ] = "",
) -> None:
    """Start the service and keep it running until Ctrl-C.

    It is Postgres, Valkey, the API, the coordinator and the workers.
    """
    started = running_service(
        data,
        host=host,
        port=port,
        workers=workers,
        database_url=database_url,
        broker_url=broker_url,
    )
    with contextlib.suppress(KeyboardInterrupt), started as service:
        where = f"data in {data.resolve()}, logs in its logs/"
        say(f"Redrive is at {service.url} ({where}). Ctrl-C stops it.")
        service.children.wait()
        raise typer.Exit(EXIT_OURS)
