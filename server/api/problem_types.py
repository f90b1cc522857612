"""What the `type` of a problem points at: one anchor for each kind."""

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from server.markup import code
from server.problems import PROBLEMS, Owner

router = APIRouter(include_in_schema=False)

OWNERS: dict[Owner, str] = {
    "submitter": "whoever sent the request",
    "data": "the owner of the data",
    "machine": "whoever runs this installation",
    "us": "the makers of Redrive",
}
HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Problems · Redrive</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui; max-width: 45rem; margin: 2rem auto; padding: 0 1rem }
</style>
"""


@router.get("/problems")
def problems() -> HTMLResponse:
    """Every kind of problem, with who must act and how."""
    entries = "".join(
        f'<h2 id="{slug}">{escape(kind.title)}</h2><p><code>{slug}</code>, status {kind.status}. '
        f"To act: {OWNERS[kind.owner]}.</p><p>{code(kind.remedy)}</p>"
        for slug, kind in PROBLEMS.items()
    )
    return HTMLResponse(f"{HEAD}<h1>Problems that the API answers with</h1>{entries}</html>")
