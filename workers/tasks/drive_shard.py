"""Drive one shard: claim it, drive its keys, measure and store each rollout."""

import logging
import os
from collections.abc import Iterator, Sequence
from functools import partial

from sqlalchemy.exc import OperationalError

from suites.errors import DataError, MachineError, SubmitterError
from suites.metrics import measure
from suites.rollout import DriveKey, Rollout
from workers.batches import drive_keys
from workers.leases import Claim, LeaseLostError, claim, finish, release
from workers.process import Process, this_process
from workers.stored_inputs import read_model
from workers.stored_results import store

log = logging.getLogger(__name__)


def drive(device: str) -> None:
    """Drive one shard, if one is queued for this kind of device."""
    here = this_process()
    held = here.write(claim, here.worker, device, here.runtimes, here.settings.lease_s)
    if held is None:
        here.kept.close()  # a worker without work holds no model
        return
    try:
        for rollout in driven(here, held.keys):
            measured = measure(rollout.trace, rollout.outcome)
            here.write(store, held, rollout, measured, here.blobs)
        here.write(finish, held)
    except LeaseLostError as error:
        log.warning("%s", error)
    except Exception as error:
        log.exception("shard %d failed", held.shard)
        _give_back(here, held, error)


def driven(here: Process, keys: Sequence[DriveKey]) -> Iterator[Rollout]:
    """Rollouts of keys of one simulator, as they end."""
    if not keys:
        return
    auxiliary = keys[0].simulator.auxiliary
    yield from drive_keys(
        keys,
        segments_root=here.settings.segments,
        find_model=partial(read_model, here),
        auxiliary={role: here.blobs.path(sha256) for role, sha256 in auxiliary.items()},
        kept=here.kept,
    )


def _give_back(here: Process, held: Claim, error: Exception) -> None:
    """Say what went wrong. A process that can't even do that ends: then its parent says so."""
    try:
        here.write(release, held, _who_must_act(error), f"{type(error).__name__}: {error}")
    except OperationalError:
        log.exception("shard %d can't be given back", held.shard)
        os._exit(70)  # EX_SOFTWARE of sysexits.h


def _who_must_act(error: Exception) -> str:
    if isinstance(error, SubmitterError):
        return "submitter"
    if isinstance(error, DataError):
        return "data"
    if isinstance(error, MachineError | MemoryError | OSError | OperationalError):
        return "machine"
    return "us"
