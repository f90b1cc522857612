"""What the service answers to each exception: a problem (server.problems), whoever raised it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError as SqlDataError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from server.problems import ProblemError, problem, problem_of, respond
from suites.errors import RedriveError
from suites.manifest import explained

EXPLAINED = (
    RedriveError,
    OperationalError,
    InterfaceError,
    PoolTimeoutError,
    SqlDataError,
    UnicodeEncodeError,
)
"""Exceptions that `problem_of` has words for; all others end in server.middleware."""


class _Malformed(NamedTuple):
    """The last three arguments of server.problems.problem."""

    slug: str
    detail: str
    errors: list[ProblemError] | None = None


def install_problems(app: FastAPI, public_url: str) -> None:
    """Answer every error of `app` with a problem."""

    def explain(request: Request, error: Exception) -> JSONResponse:
        body = problem_of(public_url, request.url.path, error)
        if body.status >= 500:
            structlog.get_logger(__name__).error("request_failed", owner=body.owner, exc_info=error)
        return respond(body)

    def malformed(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        wrong = _malformed(error.errors(), request.headers.get("content-type", "nothing"))
        return respond(problem(public_url, request.url.path, *wrong))

    def of_starlette(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        slug = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "bad-request")
        headers = dict(error.headers) if error.headers else None
        return respond(problem(public_url, request.url.path, slug, str(error.detail)), headers)

    for kind in EXPLAINED:
        app.add_exception_handler(kind, explain)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, of_starlette)


def _malformed(details: Sequence[dict[str, Any]], sent_as: str) -> _Malformed:
    """What is wrong with a request that FastAPI could not read; `sent_as` is its content type."""
    if any(e["type"] == "json_invalid" for e in details):
        return _Malformed("not-json", "the body could not be parsed")
    absent = [e["loc"][:2] for e in details if e["type"] == "missing"]
    if ("header", "Idempotency-Key") in absent:
        return _Malformed("idempotency-key-missing", "the header was not sent")
    no_object = any(e["loc"] == ("body",) and e["type"] != "missing" for e in details)
    if no_object and "json" not in sent_as:
        found = f"is {sent_as:.100}"
        remedy = "send application/json"
        wrong = ProblemError(where="header.Content-Type", problem=found, remedy=remedy)
        return _Malformed("not-json", "the body was not sent as JSON", [wrong])
    errors = [_field_error(e) for e in details]
    count = f"{len(errors)} field{'s are' if len(errors) > 1 else ' is'}"
    return _Malformed("invalid-request", f"{count} wrong", errors)


def _field_error(detail: dict[str, Any]) -> ProblemError:
    what, remedy = explained(detail["type"], detail["msg"], detail["input"])
    where = ".".join(str(part) for part in detail["loc"])
    return ProblemError(where=where, problem=what, remedy=remedy)
