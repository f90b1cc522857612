"""Index the stored segments: `meta.json` on disk is the truth, the table follows it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy import Row, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.db.bank_tables import QuarantineRow, SegmentRow
from server.problems import not_found
from server.services.audit import record
from server.services.paging import Page, given, read_page
from suites.segment import SegmentMeta

_META = TypeAdapter(SegmentMeta)


class SegmentView(BaseModel):
    """An indexed segment."""

    segment_id: str
    digest: str
    route: str
    kind: str
    tags: list[str]
    duration_s: float
    quarantined: str | None
    """Why it is kept out of new suite versions; null: it isn't."""
    indexed: datetime
    meta: dict[str, Any]
    """Its meta.json with every field; its digest leaves out what is null or empty."""


class IndexReport(BaseModel):
    """What a scan of the segments folder found."""

    total: int
    added: list[str]
    changed: list[str]
    """Imported again with other bytes: suite versions keep the digests they were made with."""
    no_longer_quarantined: list[str]
    """Of those that changed: a quarantine is of bytes, and still holds for those from before."""
    unchanged: int
    unreadable: dict[str, str]
    """Folder to what is wrong with its meta.json."""


def _scan(root: Path) -> tuple[dict[str, SegmentMeta], dict[str, str]]:
    metas: dict[str, SegmentMeta] = {}
    unreadable: dict[str, str] = {}
    for path in sorted([*root.glob("*/meta.json"), *root.glob("*/*/meta.json")]):
        folder = path.parent.relative_to(root).as_posix()
        if any(part.startswith(".") for part in Path(folder).parts):
            continue  # still being written
        try:
            meta = _META.validate_json(path.read_bytes())
        except (ValidationError, OSError) as error:
            unreadable[folder] = str(error).splitlines()[0]
            continue
        if meta.segment_id != folder:
            unreadable[folder] = f"its meta.json says that it is {meta.segment_id}"
            continue
        metas[folder] = meta
    return metas, unreadable


def index_segments(session: Session, root: Path) -> IndexReport:
    """Make the table agree with the folder; what is gone from disk stays, for old runs name it."""
    metas, unreadable = _scan(root)
    known = _stored(session)
    added = [name for name in metas if name not in known]
    digests = {name: meta.digest for name, meta in metas.items()}
    changed = [name for name in metas if name in known and known[name].digest != digests[name]]
    if added or changed:
        _upsert(session, [metas[name] for name in added + changed])
        detail = {"added": len(added), "changed": len(changed)}
        record(session, "segments.indexed", ("segments", str(root.name)), detail=detail)
    return IndexReport(
        total=len(metas),
        added=added,
        changed=changed,
        no_longer_quarantined=_quarantines_of_changed(session, [known[name] for name in changed]),
        unchanged=len(metas) - len(added) - len(changed),
        unreadable=unreadable,
    )


def _stored(session: Session) -> dict[str, Row[str, str, str | None]]:
    columns = select(SegmentRow.segment_id, SegmentRow.digest, SegmentRow.quarantined)
    return {row.segment_id: row for row in session.execute(columns)}


def _upsert(session: Session, metas: Sequence[SegmentMeta]) -> None:
    columns = ("digest", "route", "kind", "duration_s")
    rows = [
        {name: getattr(meta, name) for name in columns}
        | {"segment_id": meta.segment_id, "tags": list(meta.tags), "meta": meta}
        for meta in metas
    ]
    statement = insert(SegmentRow)
    fresh = {name: statement.excluded[name] for name in (*columns, "tags", "meta")}
    update = statement.on_conflict_do_update(
        index_elements=["segment_id"], set_=fresh | {"indexed": datetime.now(UTC)}
    )
    session.execute(update, rows)


def _quarantines_of_changed(
    session: Session, before: Sequence[Row[str, str, str | None]]
) -> list[str]:
    """Segments whose quarantine ends with their new bytes; trails say where one begins or ends."""
    now = _stored(session) if before else {}
    ended = []
    for row in before:
        after = now[row.segment_id]
        imported = f"{after.digest[:12]} was imported"
        if after.quarantined is not None:
            kind = "segment.quarantined"
            reason = f"{imported} again, which is quarantined: {after.quarantined}"
        elif row.quarantined is not None:
            kind = "segment.released"
            reason = f"{imported}; what stays quarantined is {row.digest[:12]}: {row.quarantined}"
            ended.append(row.segment_id)
        else:
            continue
        record(session, kind, ("segment", row.segment_id), detail={"reason": reason})
    return ended


def usable_metas(session: Session) -> list[SegmentMeta]:
    """The indexed segments that suites may take: not quarantined, by id."""
    usable = select(SegmentRow.meta).where(SegmentRow.quarantined.is_(None))
    metas = session.scalars(usable.order_by(SegmentRow.segment_id))
    return [_META.validate_python(meta) for meta in metas]


def _view(segment: SegmentRow) -> SegmentView:
    view = SegmentView.model_validate(segment, from_attributes=True)
    # What an older version indexed lacks the fields that came since: they have their defaults.
    meta = _META.dump_python(_META.validate_python(segment.meta), mode="json")
    return view.model_copy(update={"meta": meta})


def list_segments(
    session: Session,
    *,
    route: str | None,
    tag: str | None,
    kind: str | None,
    cursor: str | None,
    limit: int,
) -> Page[SegmentView]:
    """By segment id."""
    query = select(SegmentRow).filter_by(**given(route=route, kind=kind))
    if tag is not None:
        query = query.where(SegmentRow.tags.contains([tag]))
    return read_page(
        session,
        query,
        (SegmentRow.segment_id,),
        cursor=cursor,
        limit=limit,
        view=lambda row: _view(row[0]),
        descending=False,
    )


def read_segment(session: Session, segment_id: str) -> SegmentView:
    """One segment. Raises Refused (404)."""
    segment = session.get(SegmentRow, segment_id)
    if segment is None:
        remedy = "import it with `redrive segments import`, or see GET /v1/segments"
        raise not_found("segment", segment_id, remedy)
    return _view(segment)


def set_quarantine(
    session: Session, segment_id: str, reason: str | None, *, actor: str
) -> SegmentView:
    """Keep a segment's bytes of now out of new suite versions; no reason: let them back in. Raises
    Refused (404)."""
    read_segment(session, segment_id)
    segment = session.get_one(SegmentRow, segment_id)
    session.execute(delete(QuarantineRow).where(QuarantineRow.segment_digest == segment.digest))
    detail = {"digest": segment.digest}
    if reason is not None:
        session.add(QuarantineRow(segment_digest=segment.digest, reason=reason))
        detail["reason"] = reason
    kind = "segment.quarantined" if reason is not None else "segment.released"
    record(session, kind, ("segment", segment_id), actor=actor, detail=detail)
    session.flush()
    session.refresh(segment)
    return _view(segment)
