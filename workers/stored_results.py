"""What workers store of rollouts, once per drive_key: results, conditions, pictures, alarms."""

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ARRAY, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.broker import notify
from server.db.bank_tables import QuarantineRow
from server.db.health_tables import AlarmRow, EventRow, ProbeRow
from server.db.queue_tables import ArtifactRow, ResultRow, RolloutRow
from server.storage import BlobStore
from suites.conditions import Judgement
from suites.metrics.registry import METRICS
from suites.metrics.result import MetricResult
from suites.rollout import Rollout, Trace
from suites.vocabulary import Outcome
from workers.leases import Claim, hold

UNJUDGED_COLUMNS = frozenset({"policy_time_s"})
"""Wall times: they differ between equal rollouts."""

CONDITIONS_VERSION = 1
"""Of the language of conditions: a condition's own digest says the rest."""


def store(
    session: Session,
    held: Claim,
    rollout: Rollout,
    measured: Mapping[str, MetricResult],
    blobs: BlobStore,
) -> bool:
    """Store a rollout once; False: it was there (other bits: alarm). Raises LeaseLostError."""
    trace = rollout.trace
    sha256 = blobs.put(trace.to_bytes()) if trace is not None else None
    hold(session, held)
    digest = rollout.key.digest
    row = insert(RolloutRow).values(
        drive_key=digest,
        outcome=rollout.outcome,
        reason=rollout.reason,
        ended_s=rollout.ended_s,
        trusted_share=rollout.trusted_share,
        trace_sha256=sha256,
        trace_bits=_bits(rollout),
        provenance=rollout.provenance,
        worker=held.worker,
        shard_id=held.shard,
        fence=held.fence,
    )
    new = session.execute(row.on_conflict_do_nothing().returning(RolloutRow.drive_key))
    if new.one_or_none() is None:
        _same_bits(session, rollout, held.worker)
        return False
    store_results(session, digest, measured)
    if rollout.outcome is Outcome.DATA_INVALID:
        _quarantine(session, rollout, held.worker)
    return True


def _quarantine(session: Session, rollout: Rollout, worker: str) -> None:
    """Keep the bytes that can't be driven out of new suite versions, once."""
    scenario = rollout.key.scenario
    digest = scenario.segment_digest
    reason = rollout.reason
    row = insert(QuarantineRow).values(segment_digest=digest, reason=reason)
    new = row.on_conflict_do_nothing().returning(QuarantineRow.segment_digest)
    if session.execute(new).one_or_none() is not None:
        event = EventRow(
            kind="segment.quarantined",
            subject_kind="segment",
            subject_id=scenario.segment_id,
            actor=worker,
            detail={"digest": digest, "reason": reason, "drive_key": rollout.key.digest},
        )
        session.add(event)


def store_results(session: Session, drive_key: str, measured: Mapping[str, MetricResult]) -> None:
    """Results of one rollout at the metrics' current versions; those that are there stay."""
    rows = [
        {
            "metric": name,
            "version": METRICS[name].version,
            "valid": result.valid,
            "value": result.value if result.valid else None,
            "low": _number(result.low) if result.valid else None,
            "high": _number(result.high) if result.valid else None,
            "reason": result.reason,
        }
        for name, result in measured.items()
    ]
    _insert_results(session, drive_key, rows)


def store_artifact(
    session: Session,
    drive_key: str,
    kind: str,
    sha256: str | None = None,
    detail: dict[str, Any] | None = None,
    error: str = "",
) -> None:
    """A picture that was asked for, or why there can be none."""
    asked = update(ArtifactRow).where(ArtifactRow.drive_key == drive_key, ArtifactRow.kind == kind)
    session.execute(asked.values(sha256=sha256, detail=detail or {}, error=error))


def store_conditions(session: Session, drive_key: str, judged: Mapping[str, Judgement]) -> None:
    """Conditions of one rollout by result name: 1 where it held, none where it can't be told."""
    rows = [
        {
            "metric": name,
            "version": CONDITIONS_VERSION,
            "valid": judgement.held is not None,
            "value": None if judgement.held is None else float(judgement.held),
            "reason": judgement.reason,
            "instant_s": judgement.instant_s,
        }
        for name, judgement in judged.items()
    ]
    _insert_results(session, drive_key, rows)


def _insert_results(session: Session, drive_key: str, rows: list[dict[str, Any]]) -> None:
    if rows:  # one array a column: a short statement, whose text is always the same
        names = list(rows[0])
        arrays = {name: [row[name] for row in rows] for name in names}
        types = ResultRow.__table__.c
        lists = [func.unnest(literal(arrays[name], ARRAY(types[name].type))) for name in names]
        values = select(literal(drive_key), *lists)
        new = insert(ResultRow).from_select(["drive_key", *names], values)
        session.execute(new.on_conflict_do_nothing())
    notify(session)


def store_probe(
    session: Session, number: int, worker: str, rollout: Rollout | None, error: str
) -> None:
    """What became of a probe: the rollout of a second drive, or why there is none (`error`)."""
    probe = session.get_one(ProbeRow, number)
    if probe.driven is not None:
        return
    probe.driven = datetime.now(UTC)
    probe.worker = worker
    probe.error = error
    if rollout is not None:
        probe.equal = _same_bits(session, rollout, worker)


def trace_bits(trace: Trace) -> str:
    """sha256 of everything in a trace that is judged: equal keys must give equal digests."""
    head = f"{trace.simulator} {trace.rate_hz!r} {trace.feedback} {trace.planned_steps}"
    hasher = hashlib.sha256(head.encode())
    for name in sorted(trace.columns.keys() - UNJUDGED_COLUMNS):
        column = trace.columns[name]
        hasher.update(f"{name} {column.dtype.str} {column.shape}".encode())
        hasher.update(column.tobytes())
    return hasher.hexdigest()


def _bits(rollout: Rollout) -> str | None:
    return None if rollout.trace is None else trace_bits(rollout.trace)


def _same_bits(session: Session, rollout: Rollout, worker: str) -> bool:
    """Whether the rollout that was stored before is the same; an alarm says where it isn't."""
    stored = session.get_one(RolloutRow, rollout.key.digest)
    was = {"outcome": stored.outcome, "trace_bits": stored.trace_bits}
    now = {"outcome": rollout.outcome, "trace_bits": _bits(rollout)}
    if was == now:
        return True
    detail = {"stored": was | {"worker": stored.worker}, "now": now | {"worker": worker}}
    session.add(AlarmRow(kind="unequal_bits", drive_key=stored.drive_key, detail=detail))
    return False


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
