"""The standing checks of one night: `python -m server.night_process 2026-11-22`.

The coordinator starts this process once the night is claimed. It computes for minutes, so it has
the lowest priority of the machine: judging and driving go on beside it."""

import logging
import os
import subprocess
import sys
from datetime import date

from server.broker import celery_app
from server.db.engine import make_engine, make_sessions
from server.logs import configure_logs
from server.services.health.nightly import cut_short, make_checks
from server.settings import get_settings

log = logging.getLogger(__name__)

NICE = 19


def start(night: date) -> subprocess.Popen[bytes]:
    """The process at the lowest priority, in the caller's process group so that it ends with it."""
    checks = [sys.executable, "-P", "-m", "server.night_process", night.isoformat()]
    command = ["nice", "-n", str(NICE), *checks]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)


def main() -> None:
    """Make the checks of the night named; what they showed, or why they ended, is on record."""
    night = date.fromisoformat(sys.argv[1])
    settings = get_settings()
    configure_logs(settings)
    engine = make_engine(settings.sqlalchemy_url, pool_size=1)
    sessions = make_sessions(engine)
    try:
        report = make_checks(sessions, celery_app(settings), night, shard=settings.shard_rollouts)
        counts = len(report.self_checks), len(report.faults)
        log.info("night %s: %d self-checks, %d faults", night, *counts)
    except Exception as error:
        log.exception("the checks of night %s were cut short", night)
        with sessions.begin() as session:
            cut_short(session, night, f"{type(error).__name__}: {error}")
        raise SystemExit(1) from None
    finally:
        engine.dispose()


if __name__ == "__main__":
    main()
