"""Plain HTML forms. They work without script, and only from our own pages."""

from collections.abc import Mapping
from typing import Annotated, TypeVar
from urllib.parse import parse_qs, urlsplit

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ValidationError

from server.problems import Refused
from suites.errors import Finding, SubmitterError
from suites.manifest import validation_findings

Asked = TypeVar("Asked", bound=BaseModel)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form of ours that are not blank. Raises Refused when another site sent it."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        problem = f"{origin} is not this site"
        finding = Finding("header.Origin", problem, "send the form from its own page")
        raise Refused("bad-request", "the form comes from another site", finding)
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    filled = {name: values[0].strip() for name, values in fields.items()}
    return {name: value for name, value in filled.items() if value}


Form = Annotated[dict[str, str], Depends(_form)]


def needed(form: dict[str, str], name: str) -> str:
    """A field that must not be blank. Raises SubmitterError."""
    if name not in form:
        raise _incomplete(Finding(name, "missing", "fill it in"))
    return form[name]


def number(form: dict[str, str], name: str) -> float:
    """A field that must be a number. Raises SubmitterError."""
    text = needed(form, name)
    try:
        return float(text)
    except ValueError:
        remedy = "digits, with a point for the fraction"
        raise _incomplete(Finding(name, f"{text!r} is no number", remedy)) from None


def asked(kind: type[Asked], fields: Mapping[str, object]) -> Asked:
    """What a form asks for. Raises SubmitterError naming the fields that are wrong."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise _incomplete(*validation_findings(error)) from None


def signed(kind: type[Asked], form: dict[str, str], *names: str) -> Asked:
    """What a form asks for by its fields `names` and by who sent it. Raises SubmitterError."""
    return asked(kind, {name: needed(form, name) for name in (*names, "actor")})


def _incomplete(*findings: Finding) -> SubmitterError:
    return SubmitterError("the form is not complete", findings)


def see(path: str) -> RedirectResponse:
    """Where to look after a form was taken: sending it again by reloading does nothing."""
    return RedirectResponse(path, status_code=303)
