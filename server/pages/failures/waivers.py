"""Waivers: who answers for which failing case until when, and the forms that give and end one."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from server.api.common import Cursor, Database, Named
from server.api.failures.waivers import Revocation
from server.pages.forms import Form, asked, number, see, signed
from server.pages.rendering import BLANK_IS_ANY, page
from server.pages.trail import trail
from server.problems import Refused
from server.services.audit import EventView
from server.services.failures import waivers as service
from suites.errors import Finding

router = APIRouter(include_in_schema=False)

LINES = 50


class WaiversPage(BaseModel):
    """Waivers, newest first, of all suites or of one case."""

    waivers: list[service.WaiverView]
    next: str | None
    suite: str | None
    case: str | None
    state: service.WaiverState | None
    states: list[service.WaiverState]
    most_days: int
    trail: list[EventView]


def waivers_page(
    session: Database,
    cursor: Cursor = None,
    suite: Named = None,
    case: Annotated[str | None, Query(max_length=120)] = None,
    state: Annotated[service.WaiverState | None, BLANK_IS_ANY] = None,
) -> WaiversPage:
    """Who answers for what, and what happened to it."""
    suite = suite or None
    case = case or None
    found = service.list_waivers(
        session, suite=suite, case=case, state=state, cursor=cursor, limit=LINES
    )
    return WaiversPage(
        waivers=found.items,
        next=found.next,
        suite=suite,
        case=case,
        state=state,
        states=list(service.WaiverState),
        most_days=service.LONGEST.days,
        trail=trail(session, "case", f"{suite}/{case}" if suite and case else None),
    )


def give(form: Form, session: Database) -> RedirectResponse:
    """Answer for a failing case, for some days."""
    days = number(form, "days")
    if not 0 < days <= service.LONGEST.days:
        finding = Finding("days", f"{days:g}", f"above 0 and at most {service.LONGEST.days}")
        detail = "a waiver ends in the future, and within 90 days"
        raise Refused("invalid-submission", detail, finding)
    fields: dict[str, object] = {**form, "expires": datetime.now(UTC) + timedelta(days=days)}
    del fields["days"]
    return _see_case(service.add_waiver(session, asked(service.WaiverRequest, fields)))


def revoke(waiver_id: str, form: Form, session: Database) -> RedirectResponse:
    """End a waiver."""
    return _see_case(
        service.revoke_waiver(session, waiver_id, actor=signed(Revocation, form).actor)
    )


def _see_case(waiver: service.WaiverView) -> RedirectResponse:
    return see(f"/waivers?{urlencode({'suite': waiver.suite, 'case': waiver.case})}")


page(router, "/waivers", "failures/waivers.html", waivers_page)
router.add_api_route("/waivers", give, methods=["POST"])
router.add_api_route("/waivers/{waiver_id}/revoke", revoke, methods=["POST"])
