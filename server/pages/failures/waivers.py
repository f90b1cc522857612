"""Waivers: who answers for which failing case until when; the forms that give and end one, and the trail."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from server.api.common import Cursor, Database
from server.api.failures.surprises import Revocation
from server.pages.forms import Form, asked, needed, number, see
from server.pages.rendering import BLANK_IS_ANY, page
from server.problems import Refused
from server.services.audit import EventView, list_events
from server.services.failures.waivers import (
    LONGEST,
    WaiverRequest,
    WaiverState,
    WaiverView,
    add_waiver,
    list_waivers,
    revoke_waiver,
)
from suites.errors import Finding

router = APIRouter(include_in_schema=False)

LINES = 50
TRAIL = 30


class WaiversPage(BaseModel):
    """Waivers, newest first, of all suites or of one case."""

    waivers: list[WaiverView]
    next: str | None
    suite: str | None
    case: str | None
    state: WaiverState | None
    states: list[WaiverState]
    most_days: int
    trail: list[EventView]


def waivers_page(
    session: Database,
    cursor: Cursor = None,
    suite: Annotated[str | None, Query(max_length=200)] = None,
    case: Annotated[str | None, Query(max_length=120)] = None,
    state: Annotated[WaiverState | None, BLANK_IS_ANY] = None,
) -> WaiversPage:
    """Who answers for what, and what happened to it."""
    suite, case = suite or None, case or None
    found = list_waivers(session, suite=suite, case=case, state=state, cursor=cursor, limit=LINES)
    subject = f"{suite}/{case}" if suite and case else None
    trail = list_events(
        session, subject_kind="case", subject_id=subject, cursor=None, limit=TRAIL
    ).items
    return WaiversPage(
        waivers=found.items,
        next=found.next,
        suite=suite,
        case=case,
        state=state,
        states=list(WaiverState),
        most_days=LONGEST.days,
        trail=trail,
    )


def give(form: Form, session: Database) -> RedirectResponse:
    """Answer for a failing case, for so many days."""
    days = number(form, "days")
    if not 0 < days <= LONGEST.days:
        finding = Finding("days", f"{days:g}", f"above 0 and at most {LONGEST.days}")
        raise Refused(
            "invalid-submission", "a waiver ends in the future, and within 90 days", (finding,)
        )
    fields = {name: value for name, value in form.items() if name != "days"}
    waiver = add_waiver(
        session,
        asked(WaiverRequest, fields | {"expires": datetime.now(UTC) + timedelta(days=days)}),
    )
    return see(f"/waivers?{urlencode({'suite': waiver.suite, 'case': waiver.case})}")


def revoke(waiver_id: str, form: Form, session: Database) -> RedirectResponse:
    """End a waiver."""
    waiver = revoke_waiver(
        session, waiver_id, actor=asked(Revocation, {"actor": needed(form, "actor")}).actor
    )
    return see(f"/waivers?{urlencode({'suite': waiver.suite, 'case': waiver.case})}")


page(router, "/waivers", "failures/waivers.html", waivers_page)
router.add_api_route("/waivers", give, methods=["POST"])
router.add_api_route("/waivers/{waiver_id}/revoke", revoke, methods=["POST"])
