"""A real worker whose rollouts wait for the test: `python held_worker.py FOLDER`.

While FOLDER/hold exists, no rollout is handed over; FOLDER/driving lists the processes that hold
one. A segment of a route that FOLDER/poison names kills the process that drives it.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from server.logs import configure_logs
from server.settings import get_settings
from suites.rollout import DriveKey, Rollout
from workers.batches import drive_keys
from workers.worker_app import run_worker

folder = Path(sys.argv[1])


def held(keys: Sequence[DriveKey], **named: Any) -> Iterator[Rollout]:
    for rollout in drive_keys(keys, **named):
        if (folder / "poison" / rollout.key.scenario.segment_id.split("/")[0]).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / "driving" / str(os.getpid())).touch()
        while (folder / "hold").exists():
            time.sleep(0.005)
        yield rollout


if __name__ == "__main__":
    configure_logs(get_settings())
    with patch("workers.tasks.drive_shard.drive_keys", held):
        sys.exit(
            run_worker(get_settings(), name=f"held-{os.getpid()}", device="cpu", concurrency=2)
        )
