"""Rollouts and their traces."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from server.api.common import Blobs, Database
from server.problems import declares
from server.services.runs import stored_rollouts as service

router = APIRouter(prefix="/v1", tags=["rollouts"])

DriveKeyPath = Annotated[
    str, Path(pattern="^[0-9a-f]{64}$", description="Digest of the rollout's drive_key.")
]


@router.get("/rollouts/{drive_key}", responses=declares("not-found"))
def rollout(drive_key: DriveKeyPath, session: Database) -> service.RolloutView:
    """One rollout with all its results and the command that reproduces it."""
    return service.read_rollout(session, drive_key)


@router.get("/rollouts/{drive_key}/trace", responses=declares("not-found", "data-unusable"))
def trace(drive_key: DriveKeyPath, session: Database, blobs: Blobs) -> service.TraceView:
    """The time series of a rollout, as JSON."""
    return service.read_trace(session, blobs, drive_key)


@router.get(
    "/rollouts/{drive_key}/trace.npz",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}}, **declares("not-found", "data-unusable")},
)
def trace_npz(drive_key: DriveKeyPath, session: Database, blobs: Blobs) -> Response:
    """The same as a NumPy archive: the bytes that were stored."""
    name = f'attachment; filename="{drive_key[:12]}.npz"'
    data = service.read_trace_bytes(session, blobs, drive_key)
    return Response(data, media_type="application/zip", headers={"Content-Disposition": name})
