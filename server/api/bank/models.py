"""Models and blobs: content-addressed, so every upload may be repeated."""

from collections.abc import Iterator
from typing import Annotated

import anyio.from_thread
import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel

from server.api.common import Blobs, Configured, Cursor, Database, Limit
from server.problems import declares, not_found
from server.services.bank.register_model import ModelView, find_model, list_models, register_model
from server.services.paging import Page
from server.storage import BlobStore
from suites.manifest import Manifest

router = APIRouter(prefix="/v1", tags=["models"])

Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="64 lower-case hex digits.")]
PartOfName = Annotated[
    str | None,
    Query(max_length=200, description="Part of the name, or the beginning of the digest."),
]
OCTETS = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class BlobView(BaseModel):
    """A stored blob."""

    sha256: str
    size_bytes: int


@router.put(
    "/blobs/{sha256}",
    status_code=201,
    responses=declares("digest-mismatch", "too-large"),
    openapi_extra=OCTETS,
)
async def upload_blob(
    sha256: Sha256, request: Request, blobs: Blobs, settings: Configured
) -> BlobView:
    """Upload a file under its own sha256. It is hashed and measured while it streams to disk."""
    stream = request.stream()

    async def following() -> bytes | None:
        return await anext(stream, None)

    # The disk is written in a thread, which asks the event loop for each chunk.
    def chunks() -> Iterator[bytes]:
        while (chunk := anyio.from_thread.run(following)) is not None:
            yield chunk

    def write() -> None:
        blobs.put_stream(chunks(), expect=sha256, max_bytes=settings.max_graph_bytes)

    await anyio.to_thread.run_sync(write, abandon_on_cancel=False)
    return BlobView(sha256=sha256, size_bytes=blobs.path(sha256).stat().st_size)


@router.get(
    "/blobs/{sha256}",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}}, **declares("not-found")},
)
def download_blob(sha256: Sha256, blobs: Blobs) -> FileResponse:
    """The bytes of a blob."""
    _demand(blobs, sha256)
    headers = {"ETag": f'"{sha256}"', "Cache-Control": "private, immutable, max-age=31536000"}
    return FileResponse(blobs.path(sha256), media_type="application/octet-stream", headers=headers)


@router.head("/blobs/{sha256}", responses=declares("not-found"))
def has_blob(sha256: Sha256, blobs: Blobs) -> Response:
    """200 when the blob is here, so that nothing is uploaded twice."""
    _demand(blobs, sha256)
    return Response(headers={"ETag": f'"{sha256}"'})


def _demand(blobs: BlobStore, sha256: str) -> None:
    if not blobs.has(sha256):
        raise not_found("blob", sha256, "upload it with PUT /v1/blobs/{sha256}")


@router.put(
    "/models/{sha256}",
    responses={
        201: {"model": ModelView, "description": "Registered now"},
        **declares(
            "digest-mismatch", "graphs-missing", "not-json", "invalid-submission", "too-large"
        ),
    },
)
def upload_model(
    sha256: Sha256, manifest: Manifest, response: Response, session: Database, blobs: Blobs
) -> ModelView:
    """Register a manifest under its digest; its graphs are checked against it at once."""
    model, new = register_model(session, blobs, sha256, manifest)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/models/{model.digest}"
    return ModelView.model_validate(model, from_attributes=True)


@router.get("/models", responses=declares("bad-request"))
def models(
    session: Database, limit: Limit, cursor: Cursor = None, name: PartOfName = None
) -> Page[ModelView]:
    """Registered models, newest first."""
    return list_models(session, name=name, cursor=cursor, limit=limit)


@router.get("/models/{reference}", responses=declares("not-found", "ambiguous"))
def model(reference: str, session: Database) -> ModelView:
    """One model by digest, its first digits, or name (the newest of that name)."""
    return ModelView.model_validate(find_model(session, reference), from_attributes=True)
