"""Tasks: claim a shard, drive it, measure it, store it. Messages carry no work; the database does."""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from celery import Celery
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from server.broker import DRIVE, PROBE, REMEASURE, RENDER
from server.db.bank_tables import ModelRow
from server.db.health_tables import ProbeRow
from server.db.queue_tables import DriveKeyRow, RolloutRow
from suites.conditions import Judgement, judge, load_condition, result_name
from suites.errors import DataError, MachineError, RedriveError, SubmitterError
from suites.identity import canonical_json
from suites.manifest import Manifest, load_manifest
from suites.metrics import measure
from suites.metrics.steps import invalid
from suites.rollout import DriveKey, Rollout, Trace
from workers.batches import drive_keys
from workers.leases import Claim, LeaseLostError, claim, finish, read_key, release
from workers.pictures import make_sheet, write_comparison
from workers.process import Process, this_process
from workers.stored_results import probed, store, store_artifact, store_conditions, store_results

log = logging.getLogger(__name__)

TRIES, PAUSE_S = 6, 0.2
"""A transaction that the database cut is repeated, with pauses that double: for about 6 s."""

T = TypeVar("T")


def register(app: Celery) -> None:
    """Make the tasks known to the app of a worker."""
    app.task(name=DRIVE)(drive)
    app.task(name=REMEASURE)(remeasure)
    app.task(name=RENDER)(render)
    app.task(name=PROBE)(probe)


def drive(device: str) -> None:
    """Drive one shard, if one is queued for this kind of device."""
    here = this_process()
    work = partial(
        claim,
        worker=here.worker,
        device=device,
        runtimes=here.runtimes,
        lease_s=here.settings.lease_s,
    )
    held = _transaction(here, work)
    if held is None:
        here.kept.close()  # a worker without work holds no model
        return
    try:
        _drive(here, held)
    except LeaseLostError as error:
        log.warning("%s", error)
    except Exception as error:
        log.exception("shard %d failed", held.shard)
        _give_back(here, held, error)


def _drive(here: Process, held: Claim) -> None:
    for rollout in _rollouts(here, held.keys):
        measured = measure(rollout.trace, rollout.outcome)
        _transaction(
            here, partial(store, held=held, rollout=rollout, measured=measured, blobs=here.blobs)
        )
    _transaction(here, partial(finish, held=held))


def _rollouts(here: Process, keys: Sequence[DriveKey]) -> Iterator[Rollout]:
    """Drive keys of one simulator."""
    if keys:
        auxiliary = {
            role: here.blobs.path(sha256) for role, sha256 in keys[0].simulator.auxiliary.items()
        }
        yield from drive_keys(
            keys,
            segments_root=here.settings.segments,
            find_model=partial(_find_model, here),
            auxiliary=auxiliary,
            kept=here.kept,
        )


def _give_back(here: Process, held: Claim, error: Exception) -> None:
    """Say what went wrong with the shard. A process that can't even do that ends: then its parent says so."""
    reason = f"{type(error).__name__}: {error}"
    try:
        _transaction(here, partial(release, held=held, owner=_who_must_act(error), error=reason))
    except OperationalError:
        log.exception("shard %d can't be given back", held.shard)
        os._exit(70)  # EX_SOFTWARE of sysexits.h


def _who_must_act(error: Exception) -> str:
    if isinstance(error, SubmitterError):
        return "submitter"
    if isinstance(error, DataError):
        return "data"
    return (
        "machine"
        if isinstance(error, MachineError | MemoryError | OSError | OperationalError)
        else "us"
    )


def remeasure(
    drive_keys: Sequence[str], metrics: Sequence[str], conditions: Sequence[dict[str, Any]]
) -> None:
    """Measure stored rollouts again from their traces, at the metrics' current versions; nothing is driven."""
    here = this_process()
    with here.sessions() as session:
        rows = session.execute(
            select(RolloutRow.drive_key, RolloutRow.outcome, RolloutRow.trace_sha256).where(
                RolloutRow.drive_key.in_(drive_keys)
            )
        ).all()
    wanted = {result_name(document): load_condition(document) for document in conditions}
    for row in rows:
        try:
            trace = (
                Trace.from_bytes(here.blobs.get(row.trace_sha256))
                if row.trace_sha256 is not None
                else None
            )
            measured = measure(trace, row.outcome, metrics)
            judged = {
                name: judge(condition, trace, row.outcome) for name, condition in wanted.items()
            }
        except DataError as error:
            log.error("rollout %s lost its trace: %s", row.drive_key[:12], error)
            lost = f"its trace is lost: {error}"
            measured = {metric: invalid(lost) for metric in metrics}
            judged = {
                name: Judgement(condition=str(c), held=None, reason=lost)
                for name, c in wanted.items()
            }
        _transaction(here, partial(store_results, drive_key=row.drive_key, measured=measured))
        _transaction(here, partial(store_conditions, drive_key=row.drive_key, judged=judged))


def probe(numbers: Sequence[int]) -> None:
    """Drive stored rollouts again, each alone so that no company is the same, and compare the bits; nothing is stored."""
    here = this_process()
    with here.sessions() as session:
        keys = {
            row.id: read_key(row.digest, row.key)
            for row in session.execute(
                select(ProbeRow.id, DriveKeyRow.digest, DriveKeyRow.key)
                .join(DriveKeyRow, DriveKeyRow.digest == ProbeRow.drive_key)
                .where(ProbeRow.id.in_(numbers), ProbeRow.driven.is_(None))
                .order_by(ProbeRow.id)
            )
        }
    for number, key in keys.items():
        try:
            (rollout,) = _rollouts(here, [key])
            seen = partial(probed, rollout=rollout)
        except RedriveError as error:
            log.warning("probe %d can't be driven: %s", number, error)
            seen = partial(probed, rollout=None, error=str(error))
        _transaction(here, partial(seen, number=number, worker=here.worker))


def render(drive_key: str, kind: str) -> None:
    """Make pictures of a stored rollout (`log`, `view`: sheets of frames; `video`), or say why there can be none."""
    here = this_process()
    try:
        sha256, detail = _render(here, _stored_rollout(here, drive_key), kind)
        made = partial(store_artifact, sha256=sha256, detail=detail)
    except RedriveError as error:
        log.warning("no %s of rollout %s: %s", kind, drive_key[:12], error)
        made = partial(store_artifact, error=str(error))
    _transaction(here, partial(made, drive_key=drive_key, kind=kind))


def _stored_rollout(here: Process, drive_key: str) -> Rollout:
    with here.sessions() as session:
        row, document = (
            session.get_one(RolloutRow, drive_key),
            session.get_one(DriveKeyRow, drive_key).key,
        )
    trace = (
        Trace.from_bytes(here.blobs.get(row.trace_sha256)) if row.trace_sha256 is not None else None
    )
    return Rollout(
        key=read_key(drive_key, document),
        outcome=row.outcome,
        reason=row.reason,
        ended_s=row.ended_s,
        trace=trace,
        trusted_share=row.trusted_share,
        provenance=row.provenance,
    )


def _render(here: Process, rollout: Rollout, kind: str) -> tuple[str, dict[str, Any]]:
    """(sha256 of the stored picture, what it says about itself)."""
    camera, segments = _find_model(here, rollout.key.model)[0].camera, here.settings.segments
    if kind == "video":
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "comparison.mp4"
            write_comparison(path, rollout, segments, camera)
            return here.blobs.put(path), {}
    sheet = make_sheet(rollout, segments, camera, "log" if kind == "log" else "view")
    detail = {
        name: getattr(sheet, name)
        for name in ("rate_hz", "count", "columns", "tile_width", "tile_height")
    }
    return here.blobs.put(sheet.jpeg), detail


def _find_model(here: Process, digest: str) -> tuple[Manifest, dict[str, Path]]:
    with here.sessions() as session:
        manifest = load_manifest(canonical_json(session.get_one(ModelRow, digest).manifest))
    return manifest, {graph.sha256: here.blobs.path(graph.sha256) for graph in manifest.graphs}


def _transaction(here: Process, work: Callable[[Session], T]) -> T:
    """Run `work` in a transaction, again where the connection was cut: everything that workers write is idempotent."""
    for attempt in range(TRIES):
        try:
            with here.sessions.begin() as session:
                return work(session)
        except OperationalError as error:
            if attempt == TRIES - 1:
                raise
            log.warning("the database went away: %s", error)
            time.sleep(PAUSE_S * 2**attempt)
    raise AssertionError("unreachable")
