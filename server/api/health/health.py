"""Whether the service works, for probes and for people; its numbers, for Prometheus."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from server.api.common import Configured
from server.db.upgrade import pending
from server.services.queue.gauges import queue_metrics

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """What works."""

    status: Literal["ok", "degraded"]
    database: Literal["ok", "down", "behind"]
    """`behind`: `redrive migrate` has to be run."""
    storage: Literal["ok", "read-only"]


@router.get("/v1/health", responses={503: {"model": Health, "description": "Degraded"}})
@router.get("/healthz", include_in_schema=False)
def health(request: Request, response: Response, settings: Configured) -> Health:
    """Ask database and disk."""
    database: Literal["ok", "down", "behind"]
    try:
        with request.app.state.sessions() as session:
            session.execute(select(text("1")))
        database = "behind" if pending(request.app.state.engine) else "ok"
    except SQLAlchemyError:
        database = "down"
    storage: Literal["ok", "read-only"] = "ok" if _writable(settings) else "read-only"
    ok = database == "ok" and storage == "ok"
    response.status_code = 200 if ok else 503
    return Health(status="ok" if ok else "degraded", database=database, storage=storage)


def _writable(settings: Configured) -> bool:
    try:
        settings.blobs.mkdir(parents=True, exist_ok=True)
        probe = settings.blobs / ".probe"
        probe.touch()
    except OSError:
        return False
    return True


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """Numbers in Prometheus' text format: of this process, and of the queue."""
    with request.app.state.sessions() as session:
        return Response(generate_latest() + queue_metrics(session), media_type=CONTENT_TYPE_LATEST)
