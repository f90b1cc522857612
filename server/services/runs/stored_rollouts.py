"""Stored rollouts: their results and their traces."""

import math
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from server.db.bank_tables import ModelRow
from server.db.queue_tables import DriveKeyRow, ResultRow, RolloutRow
from server.problems import Refused, not_found
from server.services.runs.reproduce import reproduce
from server.storage import BlobStore
from suites.errors import Finding
from suites.rollout import TRACE_COLUMNS, Trace
from suites.vocabulary import Outcome


class ResultView(BaseModel):
    """One metric (or condition) of a rollout."""

    metric: str
    version: int
    valid: bool
    value: float | None
    low: float | None
    high: float | None
    reason: str


class RolloutView(BaseModel):
    """One stored rollout."""

    drive_key: str
    key: dict[str, Any]
    """suites.rollout.DriveKey: all that is needed to drive it again."""
    outcome: Outcome
    reason: str
    ended_s: float
    trusted_share: float
    trace_sha256: str | None
    trace_bits: str | None
    provenance: dict[str, Any]
    worker: str
    created: datetime
    reproduce: str
    """The shell command that drives it again, without the service."""
    results: list[ResultView]


class TraceColumn(BaseModel):
    """One column of a trace."""

    description: str
    values: list[float | None]
    """NaN and infinities are null."""


class TraceView(BaseModel):
    """The time series of one rollout."""

    drive_key: str
    simulator: str
    rate_hz: float
    planned_steps: int
    steps: int
    columns: dict[str, TraceColumn]


def find_rollout(session: Session, drive_key: str) -> RolloutRow:
    """The row of a stored rollout. Raises Refused (404)."""
    row = session.get(RolloutRow, drive_key)
    if row is None:
        remedy = "take the drive_key from GET /v1/runs/{id}/results; it may not be driven yet"
        raise not_found("rollout", drive_key, remedy)
    return row


def read_rollout(session: Session, drive_key: str) -> RolloutView:
    """One rollout with all its results. Raises Refused (404)."""
    row = find_rollout(session, drive_key)
    results = session.scalars(
        select(ResultRow)
        .where(ResultRow.drive_key == drive_key)
        .order_by(ResultRow.metric, ResultRow.version)
    )
    asked = session.get_one(DriveKeyRow, drive_key)
    own = RolloutView.model_fields.keys() - {"key", "reproduce", "results"}
    return RolloutView(
        **{name: getattr(row, name) for name in own},
        key=asked.key,
        reproduce=reproduce(asked.key, session.get_one(ModelRow, asked.model).name),
        results=[ResultView.model_validate(result, from_attributes=True) for result in results],
    )


def read_trace_bytes(session: Session, blobs: BlobStore, drive_key: str) -> bytes:
    """The trace as npz. Raises Refused (404), DataError when the blob is missing or damaged."""
    row = find_rollout(session, drive_key)
    if row.trace_sha256 is None:
        finding = Finding("trace", f"the rollout ended before its first step: {row.reason}")
        raise Refused("not-found", "this rollout has no trace", finding)
    return blobs.get(row.trace_sha256)


def read_trace(session: Session, blobs: BlobStore, drive_key: str) -> TraceView:
    """The trace as columns of numbers. Raises as read_trace_bytes."""
    trace = Trace.from_bytes(read_trace_bytes(session, blobs, drive_key))
    return TraceView(
        drive_key=drive_key,
        simulator=trace.simulator,
        rate_hz=trace.rate_hz,
        planned_steps=trace.planned_steps,
        steps=len(trace),
        columns={
            name: TraceColumn(
                description=TRACE_COLUMNS.get(name, ""),
                values=[v if math.isfinite(v) else None for v in map(float, values)],
            )
            for name, values in trace.columns.items()
        },
    )
