"""Suites, their versions, and the cases that a version plans."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from server.api.common import Configured, Cursor, Database, Limit
from server.problems import declares
from server.services.bank import register_suite as service
from server.services.bank.planned_rollouts import CaseView, list_cases
from server.services.bank.register_segments import index_segments
from server.services.failures.field_reports import locate_awaited
from server.services.failures.must_pass import MustPass, read_must_pass
from server.services.failures.promotion import Promoted, promote
from server.services.paging import Page
from server.services.runs.suite_power import SuiteTells, read_power
from suites.definition.suite_toml import load_suite
from suites.definition.toml_positions import lines_of

router = APIRouter(prefix="/v1", tags=["suites"])


class SuiteDocument(BaseModel):
    """A suite as people write it."""

    model_config = ConfigDict(extra="forbid")

    toml: Annotated[str, Field(description="The suite file's text.")]
    parent: Annotated[
        str | None,
        Field(
            pattern="^[0-9a-f]{64}$",
            description="The version that was edited: refused if it isn't the newest.",
        ),
    ] = None
    actor: Annotated[str, Field(max_length=200, description="Who registers it.")] = ""


class Promotion(BaseModel):
    """Which model candidates meet by default."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    model: Annotated[
        str, Field(min_length=1, max_length=200, description="Digest, its first digits, or name.")
    ]
    actor: Annotated[str, Field(max_length=200, description="Who releases it.")] = ""


class RegisteredSuite(service.VersionView):
    """The version, and what it can tell."""

    tells: SuiteTells


@router.post(
    "/suites",
    responses={
        201: {"model": RegisteredSuite, "description": "A new version"},
        **declares("not-json", "invalid-submission", "parent-moved", "ratchet", "too-large"),
    },
)
def add_suite(
    body: SuiteDocument, response: Response, session: Database, settings: Configured
) -> RegisteredSuite:
    """Resolve a suite against the stored segments and make it the newest version, if it changed.

    New segments are indexed first, and field reports that waited for them are located."""
    index_segments(session, settings.segments)
    locate_awaited(session)
    with lines_of(body.toml):
        suite = load_suite(body.toml)
        version, new = service.register_suite(session, suite, parent=body.parent, actor=body.actor)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/suite-versions/{version.digest}"
    tells = read_power(session, version.digest)
    return RegisteredSuite(**version.model_dump(), tells=tells)


@router.get("/suites", responses=declares("bad-request"))
def suites(session: Database, limit: Limit, cursor: Cursor = None) -> Page[service.SuiteView]:
    """Suites by name, each with its newest version."""
    return service.list_suites(session, cursor=cursor, limit=limit)


@router.put(
    "/suites/{name}/promoted",
    responses=declares("not-found", "ambiguous", "no-complete-pass", "held-cases", "not-json"),
)
def promote_model(name: str, body: Promotion, session: Database) -> Promoted:
    """Make a model the baseline of candidates that name none.

    It has a complete pass against the one that is promoted now, and passes every held case, or its
    failures are waived."""
    return promote(session, name, body.model, actor=body.actor)


@router.get("/suites/{name}/versions", responses=declares("not-found", "bad-request"))
def versions(
    name: str, session: Database, limit: Limit, cursor: Cursor = None
) -> Page[service.VersionView]:
    """The versions of one suite, newest first."""
    return service.list_versions(session, name, cursor=cursor, limit=limit)


@router.get("/suite-versions/{reference}", responses=declares("not-found", "ambiguous"))
def suite_version(reference: str, session: Database) -> service.VersionDetail:
    """One version by digest, its first digits, `name@digest`, or name (the newest)."""
    return service.read_version(session, reference)


@router.get("/suite-versions/{reference}/power", responses=declares("not-found", "ambiguous"))
def power(reference: str, session: Database) -> SuiteTells:
    """What a version can tell at its bank's size: what is found, what a pass excludes.

    How models differ is taken from the newest finished run of two distinct models."""
    return read_power(session, reference)


@router.get(
    "/suite-versions/{reference}/cases",
    tags=["cases"],
    responses=declares("not-found", "ambiguous"),
)
def must_pass(reference: str, session: Database) -> MustPass:
    """The must-pass cases of a version: what each asks, why, since when, who passed it."""
    return read_must_pass(session, reference)


@router.get("/cases", tags=["cases"], responses=declares("not-found", "ambiguous", "bad-request"))
def cases(
    session: Database,
    limit: Limit,
    suite: Annotated[
        str, Query(max_length=200, description="A suite version: digest, `name@digest`, or name.")
    ],
    cursor: Cursor = None,
) -> Page[CaseView]:
    """The planned rollouts of a suite version, in its order; a run has its own if none is fixed."""
    return list_cases(session, suite, cursor=cursor, limit=limit)
