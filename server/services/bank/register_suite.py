"""Register a suite: resolved against the stored segments, it becomes the next of its versions."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session, aliased, defer

from server.db.bank_tables import ModelRow, SegmentRow, SuiteRow, SuiteVersionRow
from server.problems import Refused, not_found
from server.services.audit import record
from server.services.bank.ratchet import check_ratchet
from server.services.bank.register_model import SHORTEST_DIGEST
from server.services.bank.register_segments import usable_metas
from server.services.paging import Page, read_page
from suites.definition.resolving import on_routes, resolve
from suites.definition.selector import left_out
from suites.definition.suite_schema import Suite, SuiteVersion, suite_version
from suites.errors import Finding, SubmitterError
from suites.simulators import simulator_spec


class VersionView(BaseModel):
    """One version of a suite."""

    digest: str
    suite: str
    number: int | None
    """Its place in the line; null for a cut to fewer routes."""
    parent: str | None
    planned: int
    """Rollouts of one model that it asks for."""
    created: datetime


class VersionDetail(VersionView):
    """A version with the suite as it was written."""

    definition: dict[str, Any]
    """suites.definition.suite_schema.Suite: selectors, offsets, cases, gates, alpha ..."""
    metric_versions: dict[str, int]
    left_out: list[Finding]
    """How many segments of now each rule of its selector leaves out, unknown ones told apart."""


class SuiteView(BaseModel):
    """A suite by name, with its newest version."""

    name: str
    promoted: str | None
    """Digest of the model that candidates meet when no baseline is named."""
    promoted_name: str | None
    newest: VersionView | None


def _as_view(row: SuiteVersionRow) -> VersionView:
    return VersionView.model_validate(row, from_attributes=True)


def stored_version(row: SuiteVersionRow) -> SuiteVersion:
    """The version as frozen data."""
    return suite_version(row.document)


def _lock(session: Session, name: str) -> SuiteRow:
    session.execute(insert(SuiteRow).values(name=name).on_conflict_do_nothing())
    return session.get_one(SuiteRow, name, with_for_update=True)


def newest_version(session: Session, name: str) -> SuiteVersionRow | None:
    """The head of a suite's line; None: nobody has registered it."""
    line = select(SuiteVersionRow).where(
        SuiteVersionRow.suite == name, SuiteVersionRow.number.is_not(None)
    )
    return session.scalars(line.order_by(SuiteVersionRow.number.desc()).limit(1)).first()


def _store(session: Session, version: SuiteVersion, number: int | None) -> SuiteVersionRow:
    digest = version.digest
    values = {
        "digest": digest,
        "suite": version.suite.name,
        "number": number,
        "parent": version.parent,
        "document": version,
        "planned": len(version.planned),
    }
    statement = insert(SuiteVersionRow).values(values)
    session.execute(statement.on_conflict_do_nothing(index_elements=["digest"]))
    return session.get_one(SuiteVersionRow, digest)


def register_suite(
    session: Session, suite: Suite, *, parent: str | None, actor: str
) -> tuple[VersionView, bool]:
    """Resolve and store; returns the version and whether it is new. The newest again is not.
    `parent` is the version that was edited. It must still be the newest, or somebody's change would
    be lost: Refused (409). Raises SubmitterError naming the field, and the remedy."""
    simulator_spec(suite.simulator.name, suite.simulator.parameters)
    _check_quarantine(session, suite)
    metas = usable_metas(session)
    _lock(session, suite.name)
    newest = newest_version(session, suite.name)
    head = newest.digest if newest is not None else None
    if newest is not None and resolve(suite, metas, newest.parent).digest == head:
        return _as_view(newest), False
    if parent is not None and parent != head:
        problem = f"the newest version is {head}"
        finding = Finding("parent", problem, "apply the edit to that version and send it again")
        raise Refused("parent-moved", f"{suite.name} has moved on from {parent[:12]}", finding)
    if newest is not None:
        check_ratchet(session, stored_version(newest).suite, suite)
    version = resolve(suite, metas, head)
    row = _store(session, version, (newest.number or 0) + 1 if newest is not None else 1)
    detail = {"suite": row.suite, "number": row.number, "planned": row.planned}
    record(session, "suite.registered", ("suite", row.digest), actor=actor, detail=detail)
    return _as_view(row), True


def _check_quarantine(session: Session, suite: Suite) -> None:
    """Raises SubmitterError naming the cases whose segment is stored, but quarantined."""
    asked = SegmentRow.segment_id.in_({case.segment for case in suite.cases})
    columns = select(SegmentRow.segment_id, SegmentRow.quarantined)
    kept_out = session.execute(columns.where(asked, SegmentRow.quarantined.is_not(None)))
    why = {row.segment_id: row.quarantined for row in kept_out}
    findings = []
    for case in suite.cases:
        if case.segment in why:
            problem = f"{case.segment} is quarantined: {why[case.segment]}"
            remedy = "import it again without the fault, or let it back in: "
            remedy += f"PUT /v1/quarantine/{case.segment} with null as reason"
            findings.append(Finding(f"cases.{case.name}.segment", problem, remedy))
    if findings:
        message = f"suite {suite.name} has cases whose segment is quarantined"
        raise SubmitterError(message, tuple(findings))


def check_stored(session: Session, version: SuiteVersion) -> None:
    """Raises SubmitterError when a segment is not stored with the digest that the version names."""
    rows = session.execute(select(SegmentRow.segment_id, SegmentRow.digest))
    stored = {row.segment_id: row.digest for row in rows}
    wanted = {p.scenario.segment_id: p.scenario.segment_digest for p in version.planned}
    remedy = "`redrive suites push` the suite's file again: it is resolved against what is stored; "
    remedy += "or import that digest again"
    findings = []
    for name, digest in sorted(wanted.items()):
        found = stored.get(name, "nothing")
        if found != digest:
            problem = f"digest {digest[:12]} is wanted, {found[:12]} is stored"
            findings.append(Finding(f"planned: {name}", problem, remedy))
    if findings:
        count = f"{len(findings)} segments of suite {version.suite.name}"
        raise SubmitterError(f"{count} are not stored as it names them", tuple(findings))


def cut_version(session: Session, row: SuiteVersionRow, max_routes: int) -> SuiteVersionRow:
    """The same version on the first `max_routes` of its order: another digest, beside the line."""
    version = stored_version(row)
    routes = list(dict.fromkeys(p.route for p in version.planned if p.case is None))
    if max_routes >= len(routes):
        return row
    kept = set(routes[:max_routes])
    planned = tuple(p for p in version.planned if p.case is not None or p.route in kept)
    suite = on_routes(version.suite, max_routes)
    return _store(session, replace(version, suite=suite, planned=planned, parent=row.digest), None)


def find_version(session: Session, reference: str) -> SuiteVersionRow:
    """A version by name (the newest), `name@digest`, or 6 or more digits. Raises Refused."""
    name, _, prefix = reference.rpartition("@")
    if not name:
        newest = newest_version(session, reference)
        if newest is not None:
            return newest
    digest = SuiteVersionRow.digest
    begins = select(SuiteVersionRow).where(digest.startswith(prefix, autoescape=True))
    if name:
        begins = begins.where(SuiteVersionRow.suite == name)
    found = session.scalars(begins.limit(9)).all() if len(prefix) >= SHORTEST_DIGEST else []
    if not found:
        remedy = "see GET /v1/suites or `redrive suites list`; "
        remedy += "push it with `redrive suites push FILE`"
        raise not_found("suite", reference, remedy)
    if len(found) > 1:
        lines = [f"{v.digest} is {v.suite} {v.number or 'cut'}" for v in found]
        findings = tuple(Finding("suite", line) for line in lines)
        raise Refused("ambiguous", f"{reference!r} begins {len(found)} digests", findings)
    return found[0]


def read_version(session: Session, reference: str) -> VersionDetail:
    """One version in full, but for its planned rollouts (see list_cases)."""
    row = find_version(session, reference)
    select = stored_version(row).suite.select
    return VersionDetail(
        **_as_view(row).model_dump(),
        definition=row.document["suite"],
        metric_versions=row.document["metric_versions"],
        left_out=list(left_out(select, usable_metas(session))) if select is not None else [],
    )


def list_versions(
    session: Session, name: str, *, cursor: str | None, limit: int
) -> Page[VersionView]:
    """The versions of one suite, newest first, cuts among them. Raises Refused (404)."""
    if session.get(SuiteRow, name) is None:
        raise not_found("suite", name, "see GET /v1/suites")
    return read_page(
        session,
        select(SuiteVersionRow)
        .where(SuiteVersionRow.suite == name)
        .options(defer(SuiteVersionRow.document)),
        (SuiteVersionRow.created, SuiteVersionRow.digest),
        cursor=cursor,
        limit=limit,
        view=lambda row: _as_view(row[0]),
    )


def list_suites(session: Session, *, cursor: str | None, limit: int) -> Page[SuiteView]:
    """By name."""
    line = select(SuiteVersionRow).where(SuiteVersionRow.number.is_not(None))
    latest = line.ext(distinct_on(SuiteVersionRow.suite)).order_by(
        SuiteVersionRow.suite, SuiteVersionRow.number.desc()
    )
    newest = aliased(SuiteVersionRow, latest.subquery())
    query = (
        select(SuiteRow, ModelRow.name, newest)
        .outerjoin(ModelRow, ModelRow.digest == SuiteRow.promoted)
        .outerjoin(newest, newest.suite == SuiteRow.name)
        .options(defer(newest.document))
    )

    def view(row: Row[*tuple[Any, ...]]) -> SuiteView:
        suite, model, version = row[:3]
        newest = _as_view(version) if version is not None else None
        return SuiteView(
            name=suite.name, promoted=suite.promoted, promoted_name=model, newest=newest
        )

    return read_page(
        session, query, (SuiteRow.name,), cursor=cursor, limit=limit, descending=False, view=view
    )
