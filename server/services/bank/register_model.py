"""Register a model: a manifest is checked against the graphs that it names, stored already."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import select
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

SHORTEST_DIGEST = 6
"""Digits of a digest that may stand for all of it, where nothing else begins so."""


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
    Raises Refused when `announced` is not the manifest's digest or a graph isn't uploaded. Raises
    SubmitterError with every finding when a graph contradicts the manifest."""
    try:
        digest = manifest.digest
    except ValueError as error:
        finding = Finding("manifest", str(error), "leave out NaN and infinities")
        raise SubmitterError("the manifest can't be written canonically", finding) from None
    if digest != announced:
        problem = f"the manifest's digest is {digest}"
        finding = Finding("path.sha256", problem, "PUT it to /v1/models/{that digest}")
        raise Refused("digest-mismatch", "the address is not the digest of the manifest", finding)
    known = session.get(ModelRow, digest)
    if known is not None:
        return known, False
    _check_uploaded(blobs, manifest)
    check_graphs(manifest, {graph.sha256: blobs.path(graph.sha256) for graph in manifest.graphs})
    values = {"digest": digest, "name": manifest.name, "kind": manifest.kind, "manifest": manifest}
    statement = insert(ModelRow).values(values).on_conflict_do_nothing()
    added = session.execute(statement.returning(ModelRow.digest)).first() is not None
    if added:
        detail = {"name": manifest.name}
        record(session, "model.registered", ("model", digest), actor=actor, detail=detail)
    return session.get_one(ModelRow, digest), added


def _check_uploaded(blobs: BlobStore, manifest: Manifest) -> None:
    findings = []
    for i, graph in enumerate(manifest.graphs):
        if not blobs.has(graph.sha256):
            problem = f"blob {graph.sha256} is not here"
            remedy = f"PUT the file to /v1/blobs/{graph.sha256}"
            findings.append(Finding(f"graphs.{i}.sha256", problem, remedy))
    if findings:
        message = f"{len(findings)} of {len(manifest.graphs)} graphs are not uploaded"
        raise Refused("graphs-missing", message, tuple(findings))


def find_model(session: Session, reference: str) -> ModelRow:
    """A model by digest, its first 6 or more digits, or name (the newest). Raises Refused."""
    exact = session.get(ModelRow, reference)
    if exact is not None:
        return exact
    named = session.scalars(
        select(ModelRow)
        .where(ModelRow.name == reference)
        .order_by(ModelRow.created.desc(), ModelRow.digest)
        .limit(1)
    ).first()
    if named is not None:
        return named
    begins = select(ModelRow).where(ModelRow.digest.startswith(reference, autoescape=True))
    found = session.scalars(begins.limit(9)).all() if len(reference) >= SHORTEST_DIGEST else []
    if not found:
        remedy = "see GET /v1/models or `redrive models list`; "
        remedy += "push it with `redrive models push DIR`"
        raise not_found("model", reference, remedy)
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
        by_name = ModelRow.name.icontains(name, autoescape=True)
        query = query.where(by_name | ModelRow.digest.startswith(name, autoescape=True))
    return read_page(
        session,
        query,
        (ModelRow.created, ModelRow.digest),
        cursor=cursor,
        limit=limit,
        view=lambda row: ModelView.model_validate(row[0], from_attributes=True),
    )
