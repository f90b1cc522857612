"""What the `type` of a problem points at: one anchor for each kind."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

import web
from server.markup import code
from server.problems import PROBLEMS, Owner

router = APIRouter(include_in_schema=False)

OWNERS: dict[Owner, str] = {
    "submitter": "whoever sent the request",
    "data": "the owner of the data",
    "machine": "whoever runs this installation",
    "us": "the makers of Redrive",
}


@router.get("/problems")
def problems() -> HTMLResponse:
    """Every kind of problem, with who must act and how."""
    environment = web.environment()
    environment.filters["code"] = code
    template = environment.get_template("problem_types.html")
    return HTMLResponse(template.render(problems=PROBLEMS, owners=OWNERS))
