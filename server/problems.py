"""RFC 9457 problems: every error of the API says what it is, whose it is and what to do next.

    exception ──_SLUGS──▶ slug ──PROBLEMS──▶ status, title, owner, general remedy
        └── message and findings ──────────▶ detail, errors

The tree of the exceptions is drawn in suites.errors.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DataError as SqlDataError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from server.storage import DigestMismatchError, TooLargeError
from suites.errors import DataError, Finding, MachineError, RedriveError, SubmitterError

Owner = Literal["submitter", "data", "machine", "us"]

REQUEST_ID = re.compile(r"^[A-Za-z0-9_.:-]{1,80}$")
"""What a client may send as `X-Request-ID`; anything else is replaced."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One documented kind of problem; its slug is the anchor on the problems page."""

    status: int
    title: str
    remedy: str
    """What to do next, in general; `detail` and `errors` of an instance are specific."""
    owner: Owner = "submitter"


_KINDS = {
    "invalid-request": (422, "The request is malformed"),
    "invalid-submission": (422, "The submission is wrong"),
    "not-json": (400, "The body is not JSON"),
    "bad-request": (400, "The request can't be understood"),
    "digest-mismatch": (422, "The bytes are not the ones announced"),
    "too-large": (413, "The upload is too large"),
    "not-found": (404, "There is no such thing here"),
    "ambiguous": (409, "More than one thing has that name"),
    "method-not-allowed": (405, "This address doesn't do that"),
    "graphs-missing": (409, "The manifest's graphs aren't here yet"),
    "no-baseline": (422, "There is nothing to compare with"),
    "idempotency-key-missing": (400, "The Idempotency-Key header is missing"),
    "idempotency-key-reused": (422, "This Idempotency-Key was used for another request"),
    "idempotency-in-progress": (409, "A request with this Idempotency-Key is in progress"),
    "run-over": (409, "The run is over"),
    "parent-moved": (409, "The suite has a newer version than the one you built on"),
    "draft-moved": (409, "Somebody changed this since you read it"),
    "not-now": (409, "It is not in a state in which that can be done"),
    "ratchet": (409, "A case that is enforced may not be dropped or changed"),
    "no-complete-pass": (409, "Only a complete pass promotes"),
    "held-cases": (409, "The model does not pass cases that are held"),
    "different-suites": (409, "These runs were made on different suites"),
    "different-runtimes": (409, "These runs were driven on different runtimes"),
    "data-unusable": (409, "Stored data can't be used"),
    "unavailable": (503, "The service can't do that now"),
    "internal": (500, "We failed"),
}
"""Slug to status and title."""
_REMEDIES = {
    "invalid-request": "Correct the fields named in `errors`.",
    "invalid-submission": "Correct what `errors` names and send it again; nothing was stored.",
    "not-json": "Send valid JSON in UTF-8.",
    "bad-request": "See `detail`.",
    "digest-mismatch": "Send it under the digest that `errors` names.",
    "too-large": "Send less, or have the installation's limit raised.",
    "not-found": "Check the identifier; lists show what exists.",
    "ambiguous": "Use one of the digests in `errors`.",
    "method-not-allowed": "Use a method of the `Allow` header.",
    "graphs-missing": "PUT each to /v1/blobs/{sha256}, then the manifest again.",
    "no-baseline": "Name a baseline, or promote a model of the suite.",
    "idempotency-key-missing": "Send any unique string, and the same one when you retry.",
    "idempotency-key-reused": "Use a fresh key for a new request.",
    "idempotency-in-progress": "Retry in a second, with the same key.",
    "run-over": "Nothing to do: its status is final.",
    "parent-moved": "Rebuild on the newest version.",
    "draft-moved": "Read it again: it may be decided already.",
    "not-now": "`detail` says what comes first.",
    "ratchet": "Keep it as it is, or waive it for a time.",
    "no-complete-pass": "Drive the whole set: `redrive runs complete` or `redrive submit --full`.",
    "held-cases": "Run the suite with it, or waive each case with owner, reason and expiry.",
    "different-suites": "Submit both on one digest; `errors` lists what differs.",
    "different-runtimes": "Submit both with one `execution`; `errors` lists what differs.",
    "data-unusable": "The owner of the data imports it again; `errors` names file and channel.",
    "unavailable": "Retry with a pause; operators see the log.",
    "internal": "Report the request_id; the submission is not to blame.",
}
_OWNERS: dict[str, Owner] = {"data-unusable": "data", "unavailable": "machine", "internal": "us"}
"""Who must act, where it is not the submitter."""

PROBLEMS = {
    slug: ProblemType(status, title, _REMEDIES[slug], _OWNERS.get(slug, "submitter"))
    for slug, (status, title) in _KINDS.items()
}
"""Slug to kind. `/problems#<slug>` documents each."""


class ProblemError(BaseModel):
    """One thing that is wrong."""

    where: str
    problem: str
    remedy: str = ""


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    """Address of the documentation of this kind of problem."""
    title: str
    status: int
    detail: str
    """What happened here, and what to do next."""
    instance: str
    """The request's path."""
    request_id: str
    owner: Owner
    """Who must act."""
    errors: list[ProblemError] = []


class Refused(SubmitterError):
    """A SubmitterError of a documented kind."""

    def __init__(
        self, slug: str, message: str, findings: Finding | tuple[Finding, ...] = ()
    ) -> None:
        super().__init__(message, findings)
        self.slug = slug

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.slug, str(self), self.findings)


def not_found(what: str, name: str, remedy: str) -> Refused:
    """404 that says where to look."""
    return Refused("not-found", f"no {what} is {name[:120]!r}", Finding(what, "not found", remedy))


def request_id() -> str:
    """The id of the request being served; empty outside one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


_SLUGS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((TooLargeError,), "too-large"),
    ((DigestMismatchError,), "digest-mismatch"),
    ((SubmitterError,), "invalid-submission"),
    ((DataError,), "data-unusable"),
    ((MachineError, OperationalError, InterfaceError, PoolTimeoutError), "unavailable"),
    ((SqlDataError, UnicodeEncodeError), "invalid-request"),
)
"""Exceptions and the kind of problem that they are; the first match counts."""


def slug_of(error: Exception) -> str:
    """The kind of problem that an exception is."""
    if isinstance(error, Refused):
        return error.slug
    return next((slug for kinds, slug in _SLUGS if isinstance(error, kinds)), "internal")


def problem(
    public_url: str, path: str, slug: str, detail: str, errors: list[ProblemError] | None = None
) -> Problem:
    """The body for a kind of problem."""
    kind = PROBLEMS[slug]
    return Problem(
        type=f"{public_url.rstrip('/')}/problems#{slug}",
        title=kind.title,
        status=kind.status,
        detail=f"{detail.rstrip('.')}. {kind.remedy}",
        instance=path,
        request_id=request_id(),
        owner=kind.owner,
        errors=errors or [],
    )


_NOT_OURS = {
    "unavailable": "the database does not answer",
    "invalid-request": "a value can't be stored "
    "(a NUL character, half a surrogate pair, or a number out of range)",
}
"""What an exception of a library is called where its own words may not be shown."""


def problem_of(public_url: str, path: str, error: Exception) -> Problem:
    """The body for an exception. What isn't ours to show (SQL, tracebacks) stays in the log."""
    slug = slug_of(error)
    if isinstance(error, RedriveError):
        errors = [
            ProblemError(where=f.where, problem=f.problem, remedy=f.remedy) for f in error.findings
        ]
        return problem(public_url, path, slug, str(error), errors)
    detail = _NOT_OURS.get(slug, "an unexpected error was logged under this request_id")
    return problem(public_url, path, slug, detail)


def respond(body: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """The response for a problem; 503 says when to come back."""
    extra = {"Retry-After": "5"} if body.status == 503 else {}
    return JSONResponse(
        jsonable_encoder(body), body.status, extra | (headers or {}), "application/problem+json"
    )


def declares(*slugs: str) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: its own problems and those of every route (422, 500, 503)."""
    everywhere = ("invalid-request", "internal", "unavailable")
    by_status: dict[int | str, list[str]] = {}
    for slug in dict.fromkeys((*slugs, *everywhere)):
        by_status.setdefault(PROBLEMS[slug].status, []).append(slug)
    return {
        status: {
            "description": " / ".join(f"{PROBLEMS[s].title} (`{s}`)" for s in kinds),
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            },
        }
        for status, kinds in by_status.items()
    }
