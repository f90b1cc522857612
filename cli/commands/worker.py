"""`redrive worker`: drive the shards that the coordinator forms."""

import os
import secrets
import socket
import sys
from typing import Annotated

import typer

from cli.options import option

app = typer.Typer()

ENVIRONMENT = {
    "ORT_DISABLE_TELEMETRY": "1",
    "REMAP_SIGTERM": "SIGQUIT",  # read by Celery when imported: stop at once, leases hold the rest
    # one process for each core is faster than threads on shared ones
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}


@app.callback(invoke_without_command=True)
def worker(
    concurrency: Annotated[
        int | None,
        option("Processes that drive; one a core if not given.", "REDRIVE_CONCURRENCY", min=1),
    ] = None,
    device: Annotated[
        str, option("Kind of device that it drives on: cpu, cuda.", "REDRIVE_DEVICE")
    ] = "cpu",
    name: Annotated[
        str, option("What it is called in logs and on the dashboard.", "REDRIVE_WORKER_NAME")
    ] = "",
) -> None:
    """Drive shards until stopped.

    SIGTERM or Ctrl-C stop it at once and cost no work but the shard in hand.
    """
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    from server.logs import configure_logs
    from server.settings import get_settings
    from workers.worker_app import run_worker

    settings = get_settings()
    configure_logs(settings)
    processes = concurrency or len(os.sched_getaffinity(0))
    # unique: a successor must not keep a dead one's leases
    called = f"{name or socket.gethostname()}-{secrets.token_hex(3)}"
    sys.exit(run_worker(settings, name=called, device=device, concurrency=processes))
