"""What every route shares: the session with its one commit, limits, and who signs."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from server.settings import Settings
from server.storage import BlobStore


def _session(request: Request) -> Iterator[Session]:
    with request.app.state.sessions() as session:
        yield session
        session.commit()


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _blobs(request: Request) -> BlobStore:
    blobs: BlobStore = request.app.state.blobs
    return blobs


Database = Annotated[Session, Depends(_session, scope="function")]
"""Committed once, after the handler and before the response; not at all when the handler raises."""
Configured = Annotated[Settings, Depends(_settings)]
Blobs = Annotated[BlobStore, Depends(_blobs)]
Named = Annotated[str | None, Query(max_length=200)]
"""What a list is narrowed by."""
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before.")]
PAGE_SIZE = "Items of this page; the installation's page size by default."


def _limit(
    settings: Configured,
    limit: Annotated[int | None, Query(ge=1, le=1000, description=PAGE_SIZE)] = None,
) -> int:
    return limit or settings.page_size


Limit = Annotated[int, Depends(_limit)]
Reason = Annotated[str, Field(min_length=5, max_length=2000)]


class Signed(BaseModel):
    """What somebody does in their own name."""

    model_config = ConfigDict(
        extra="forbid", str_strip_whitespace=True, use_attribute_docstrings=True
    )

    actor: Annotated[str, Field(min_length=1, max_length=200)]
