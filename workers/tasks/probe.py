"""Probe determinism: drive stored rollouts again and compare the bits."""

import logging
from collections.abc import Sequence

from sqlalchemy import select

from server.db.health_tables import ProbeRow
from server.db.queue_tables import DriveKeyRow
from suites.errors import RedriveError
from workers.process import this_process
from workers.stored_inputs import read_drive_key
from workers.stored_results import store_probe
from workers.tasks.drive_shard import driven

log = logging.getLogger(__name__)


def probe(numbers: Sequence[int]) -> None:
    """Drive each rollout again, alone: in other company than the first time."""
    here = this_process()
    undriven = (
        select(ProbeRow.id, DriveKeyRow.digest, DriveKeyRow.key)
        .join(DriveKeyRow, DriveKeyRow.digest == ProbeRow.drive_key)
        .where(ProbeRow.id.in_(numbers), ProbeRow.driven.is_(None))
        .order_by(ProbeRow.id)
    )
    with here.sessions() as session:
        rows = session.execute(undriven)
        keys = {row.id: read_drive_key(row.digest, row.key) for row in rows}
    for number, key in keys.items():
        rollout = None
        failed = ""
        try:
            (rollout,) = driven(here, [key])
        except RedriveError as error:
            log.warning("probe %d can't be driven: %s", number, error)
            failed = str(error)
        here.write(store_probe, number, here.worker, rollout, failed)
