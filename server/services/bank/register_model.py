"""Register a model: its graphs are blobs already, the manifest names them, and the two are checked against each other."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.db.bank_tables import ModelRow
from server.graphs.static_checks import check_graphs
from server.problems import Refused, not_found
from server.services.audit import record
from server.services.paging import Page, read_page
from server.storage import BlobStore
from suites.errors import Finding, SubmitterError
from suites.manifest import Manifest


class ModelView(BaseModel):
    """A registered model."""

    digest: str
    name: str
    kind: str
    created: datetime
    manifest: dict[str, Any]


def register_model(
    session: Session, blobs: BlobStore, announced: str, manifest: Manifest, *, actor: str = ""
) -> tuple[ModelRow, bool]:
    """Store a manifest under its own digest; returns the model and whether it is new. Idempotent.

    Raises Refused when `announced` is not the manifest's digest or a graph isn't uploaded, SubmitterError with every
    finding when a graph contradicts the manifest.
    """
    try:
        digest = manifest.digest
    except ValueError as error:
        raise SubmitterError(
            "the manifest can't be written canonically",
            Finding("manifest", str(error), "leave out NaN and infinities"),
        ) from None
    if digest != announced:
        problem = f"the manifest's digest is {digest}"
        finding = Finding("path.sha256", problem, "PUT it to /v1/models/{that digest}")
        raise Refused("digest-mismatch", "the address is not the digest of the manifest", finding)
    known = session.get(ModelRow, digest)
    if known is not None:
        return known, False
    missing = tuple(
        Finding(
            f"graphs.{i}.sha256",
            f"blob {graph.sha256} is not here",
            f"PUT the file to /v1/blobs/{graph.sha256}",
        )
        for i, graph in enumerate(manifest.graphs)
        if not blobs.has(graph.sha256)
    )
    if missing:
        raise Refused(
            "graphs-missing",
            f"{len(missing)} of {len(manifest.graphs)} graphs are not uploaded",
            missing,
        )
    check_graphs(manifest, {graph.sha256: blobs.path(graph.sha256) for graph in manifest.graphs})
    values = {"digest": digest, "name": manifest.name, "kind": manifest.kind, "manifest": manifest}
    added = (
        session.execute(
            insert(ModelRow).values(values).on_conflict_do_nothing().returning(ModelRow.digest)
        ).first()
        is not None
    )
    if added:
        detail = {"name": manifest.name}
        record(session, "model.registered", ("model", digest), actor=actor, detail=detail)
    return session.get_one(ModelRow, digest), added


def find_model(session: Session, reference: str) -> ModelRow:
    """A model by digest, a digest's first 6 or more digits, or its name (the newest of that name). Raises Refused."""
    exact = session.get(ModelRow, reference)
    if exact is not None:
        return exact
    by_digest = (
        ModelRow.digest.startswith(reference, autoescape=True) if len(reference) >= 6 else None
    )
    named = session.scalars(
        select(ModelRow)
        .where(ModelRow.name == reference)
        .order_by(ModelRow.created.desc(), ModelRow.digest)
        .limit(1)
    ).first()
    if named is not None:
        return named
    found = (
        list(session.scalars(select(ModelRow).where(by_digest).limit(9)))
        if by_digest is not None
        else []
    )
    if not found:
        raise not_found(
            "model",
            reference,
            "see GET /v1/models or `redrive models list`; push it with `redrive models push DIR`",
        )
    if len(found) > 1:
        findings = tuple(Finding("model", f"{m.digest} is {m.name}") for m in found)
        raise Refused("ambiguous", f"{reference!r} begins {len(found)} digests", findings)
    return found[0]


def list_models(
    session: Session, *, name: str | None, cursor: str | None, limit: int
) -> Page[ModelView]:
    """Newest first; `name` is a part of the name or the beginning of the digest."""
    query = select(ModelRow)
    if name:
        query = query.where(
            or_(
                ModelRow.name.icontains(name, autoescape=True),
                ModelRow.digest.startswith(name, autoescape=True),
            )
        )
    return read_page(
        session,
        query,
        (ModelRow.created, ModelRow.digest),
        cursor=cursor,
        limit=limit,
        descending=True,
        view=lambda row: ModelView.model_validate(row[0], from_attributes=True),
    )
