"""Plain HTML forms: what every page that takes one needs. They work without script, and only from our own pages."""

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
        finding = Finding(
            "header.Origin", f"{origin} is not this site", "send the form from its own page"
        )
        raise Refused("bad-request", "the form comes from another site", (finding,))
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    return {name: values[0].strip() for name, values in fields.items() if values[0].strip()}


Form = Annotated[dict[str, str], Depends(_form)]


def needed(form: dict[str, str], name: str) -> str:
    """A field that must not be blank. Raises SubmitterError."""
    if name not in form:
        raise SubmitterError("the form is not complete", (Finding(name, "missing", "fill it in"),))
    return form[name]


def number(form: dict[str, str], name: str) -> float:
    """A field that must be a number. Raises SubmitterError."""
    try:
        return float(needed(form, name))
    except ValueError:
        finding = Finding(
            name, f"{form[name]!r} is no number", "digits, with a point for the fraction"
        )
        raise SubmitterError("the form is not complete", (finding,)) from None


def asked(kind: type[Asked], fields: dict[str, object]) -> Asked:
    """What a form asks for. Raises SubmitterError naming the fields that are wrong."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise SubmitterError("the form is not complete", validation_findings(error)) from None


def see(path: str) -> RedirectResponse:
    """Where to look after a form was taken: sending it again by reloading does nothing."""
    return RedirectResponse(path, status_code=303)
