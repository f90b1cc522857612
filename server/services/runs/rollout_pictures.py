"""Pictures of stored rollouts: ask a worker for them, and say whether they are there."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.db.queue_tables import ArtifactRow
from server.problems import Refused
from server.services.runs.stored_rollouts import find_rollout
from server.storage import BlobStore
from suites.errors import Finding

ASK_AGAIN = timedelta(seconds=60)
"""A request without an answer for that long was lost; and what failed then may work now."""


class ArtifactKind(StrEnum):
    LOG = "log"
    """A sheet of the logged frames over the driven stretch."""
    VIEW = "view"
    """A sheet of what the model's camera saw."""
    VIDEO = "video"
    """Both side by side, as mp4."""


MEDIA = dict.fromkeys(ArtifactKind, "image/jpeg") | {ArtifactKind.VIDEO: "video/mp4"}


class ArtifactView(BaseModel):
    """Where one artifact stands."""

    drive_key: str
    kind: ArtifactKind
    status: Literal["rendering", "ready", "failed"]
    url: str | None
    """Its bytes; null until it is ready."""
    detail: dict[str, Any]
    """Of a sheet: rate_hz, count, columns, tile_width, tile_height; frame i is at i / rate_hz s
    from the window's start."""
    error: str


def request_artifact(
    session: Session, blobs: BlobStore, drive_key: str, kind: ArtifactKind
) -> tuple[ArtifactView, bool]:
    """The artifact, and whether a worker must be asked for it now. Raises Refused (404)."""
    find_rollout(session, drive_key)
    identity = {"drive_key": drive_key, "kind": kind.value}
    asked = insert(ArtifactRow).values(identity).on_conflict_do_nothing()
    new = session.execute(asked.returning(ArtifactRow.kind)).first()
    row = session.scalars(select(ArtifactRow).filter_by(**identity).with_for_update()).one()
    lost = row.sha256 is not None and not blobs.has(row.sha256)
    again = lost or (row.sha256 is None and datetime.now(UTC) - row.requested > ASK_AGAIN)
    if again:
        row.sha256 = None
        row.error = ""
        row.requested = datetime.now(UTC)
    return _view(row, kind), new is not None or again


def artifact_blob(session: Session, drive_key: str, kind: ArtifactKind) -> str:
    """sha256 of an artifact that is ready. Raises Refused (404)."""
    row = session.get(ArtifactRow, (drive_key, kind.value))
    if row is None or row.sha256 is None:
        problem = "nobody asked for it yet" if row is None else row.error or "a worker is at it"
        finding = Finding(kind.value, problem, f"PUT /v1/rollouts/{drive_key}/artifacts/{kind}")
        raise Refused("not-found", "this artifact is not there", finding)
    return row.sha256


def _view(row: ArtifactRow, kind: ArtifactKind) -> ArtifactView:
    status: Literal["rendering", "ready", "failed"] = (
        "ready" if row.sha256 else "failed" if row.error else "rendering"
    )
    url = f"/v1/rollouts/{row.drive_key}/artifacts/{kind}?{row.sha256[:12]}" if row.sha256 else None
    own: dict[str, Any] = {name: getattr(row, name) for name in ("drive_key", "detail", "error")}
    return ArtifactView(**own, kind=kind, status=status, url=url)
