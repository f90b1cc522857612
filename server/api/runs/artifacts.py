"""Pictures of stored rollouts, made on demand by workers."""

import structlog
from fastapi import APIRouter, BackgroundTasks, Request, Response
from fastapi.responses import FileResponse

from server.api.common import Blobs, Database
from server.api.runs.rollouts import DriveKeyPath
from server.broker import BROKER_ERRORS, render
from server.problems import declares
from server.services.runs import rollout_pictures as service

router = APIRouter(prefix="/v1", tags=["rollouts"])


def _ask(request: Request, drive_key: str, kind: service.ArtifactKind) -> None:
    """After the commit. A lost message is sent again while somebody still waits for it."""
    try:
        render(request.app.state.celery, drive_key, kind)
    except BROKER_ERRORS as error:
        log = structlog.get_logger(__name__)
        log.warning("artifact_not_asked_for", drive_key=drive_key, kind=kind, error=str(error))


@router.put(
    "/rollouts/{drive_key}/artifacts/{kind}",
    responses={
        202: {"model": service.ArtifactView, "description": "A worker is asked for it"},
        **declares("not-found"),
    },
)
def request(
    drive_key: DriveKeyPath,
    kind: service.ArtifactKind,
    request: Request,
    response: Response,
    tasks: BackgroundTasks,
    session: Database,
    blobs: Blobs,
) -> service.ArtifactView:
    """Have frames (`log`, `view`) or the video of a rollout made.

    Repeat the request until its status is `ready`."""
    view, ask = service.request_artifact(session, blobs, drive_key, kind)
    if ask:
        tasks.add_task(_ask, request, drive_key, kind)
    if view.status == "rendering":
        response.status_code = 202
    return view


@router.get(
    "/rollouts/{drive_key}/artifacts/{kind}",
    response_class=FileResponse,
    responses={
        200: {"content": {"image/jpeg": {}, "video/mp4": {}}},
        **declares("not-found", "data-unusable"),
    },
)
def content(
    drive_key: DriveKeyPath, kind: service.ArtifactKind, session: Database, blobs: Blobs
) -> FileResponse:
    """The picture or video, once it is ready."""
    path = blobs.path(service.artifact_blob(session, drive_key, kind))
    headers = {"Cache-Control": "private, max-age=86400"}
    return FileResponse(path, media_type=service.MEDIA[kind], headers=headers)
