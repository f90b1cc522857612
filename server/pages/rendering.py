"""From a view to a page: the templates, what they may call, and the JSON twin of every page."""

from collections.abc import Callable
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment
from pydantic import BaseModel, BeforeValidator

import web
from server.pages.assets import address_of
from server.pages.filters import FILTERS, offset
from server.pages.intervals import draw_axis, draw_interval, scale_of
from server.services.documents.phrases import TYPICAL_DRIVE, line_text
from suites.vocabulary import FAILING

POLICY = (
    "default-src 'self'",
    "img-src 'self' data: blob:",
    "style-src 'self' 'unsafe-inline'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'self'",
)
SAFE = {
    "Content-Security-Policy": "; ".join(POLICY),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Names and reasons on these pages come from strangers: nothing that they say is ever run."""

BLANK_IS_ANY = BeforeValidator(lambda value: value or None)
"""An empty field of a form filters nothing."""


@cache
def templates() -> Environment:
    """The templates with what pages may call."""
    environment = web.environment()
    environment.globals.update(
        asset=address_of,
        offset=offset,
        draw_interval=draw_interval,
        draw_axis=draw_axis,
        scale_of=scale_of,
        line_text=line_text,
        FAILING=FAILING,
        TYPICAL_DRIVE=TYPICAL_DRIVE,
        zip=zip,
    )
    environment.filters.update(FILTERS)
    return environment


def render(template: str, **context: Any) -> HTMLResponse:
    """A page."""
    return HTMLResponse(templates().get_template(template).render(**context), headers=SAFE)


def page(router: APIRouter, path: str, template: str, view: Callable[..., BaseModel]) -> None:
    """Serve what the dependency `view` returns as HTML at `path` and as JSON at `path`.json."""

    def html(request: Request, built: BaseModel = Depends(view, scope="function")) -> HTMLResponse:
        twin = f"{request.url.path}.json"
        return render(template, view=built, twin=twin, query=request.url.query)

    router.add_api_route(f"{path}.json", view, methods=["GET"])
    router.add_api_route(path, html, methods=["GET"], response_class=HTMLResponse)
