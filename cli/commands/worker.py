"""`redrive worker`: drive the shards that the coordinator forms."""

import os
import secrets
import socket
import sys
from typing import Annotated

import typer

app = typer.Typer(help="Run one Celery worker.")


@app.callback(invoke_without_command=True)
def worker(
    concurrency: Annotated[
        int | None,
        typer.Option(
            envvar="REDRIVE_CONCURRENCY",
            min=1,
            help="Processes that drive; one a core if not given.",
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(envvar="REDRIVE_DEVICE", help="Kind of device that it drives on: cpu, cuda."),
    ] = "cpu",
    name: Annotated[
        str,
        typer.Option(
            envvar="REDRIVE_WORKER_NAME", help="What it is called in logs and on the dashboard."
        ),
    ] = "",
) -> None:
    """Drive shards until stopped (SIGTERM or Ctrl-C stop it at once and cost no work but the shard in hand)."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    os.environ.setdefault(
        "REMAP_SIGTERM", "SIGQUIT"
    )  # read by Celery when imported: stop at once, leases hold the rest
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(
            threads, "1"
        )  # one process for each core is faster than threads on shared ones
    from server.logs import configure_logs
    from server.settings import get_settings
    from workers.app import run_worker

    settings = get_settings()
    configure_logs(settings)
    processes = concurrency or len(os.sched_getaffinity(0))
    called = f"{name or socket.gethostname()}-{secrets.token_hex(3)}"  # unique: a successor must not keep a dead one's leases
    sys.exit(run_worker(settings, name=called, device=device, concurrency=processes))
