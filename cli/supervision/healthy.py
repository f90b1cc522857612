"""`python -m cli.supervision.healthy server|worker`: the health check of a container.

Its exit status is 0 when that part works here.
"""

import socket
import sys
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import func, select

from cli.supervision.supervisor import FIRST_PORT, answers
from server.db.engine import make_engine, make_sessions
from server.db.queue_tables import WorkerRow
from server.settings import get_settings


def server_works() -> bool:
    """The API in this container answers, and its database and disk work."""
    return answers(f"http://127.0.0.1:{FIRST_PORT}")


def worker_works() -> bool:
    """A worker of this host gave a sign of life within a lease."""
    settings = get_settings()
    engine = make_engine(settings.sqlalchemy_url, pool_size=1)
    with make_sessions(engine)() as session:
        lately = func.now() - timedelta(seconds=settings.lease_s)
        found = session.scalar(
            select(WorkerRow.name)
            .where(WorkerRow.host == socket.gethostname(), WorkerRow.seen > lately)
            .limit(1)
        )
    engine.dispose()
    return found is not None


PARTS: dict[str, Callable[[], bool]] = {"server": server_works, "worker": worker_works}


if __name__ == "__main__":
    sys.exit(0 if PARTS[sys.argv[1]]() else 1)
