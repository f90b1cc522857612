"""Drafts of cases: one with its proof, and the forms that register a failure and decide on it."""

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from server.api.common import Database
from server.api.failures.drafts import Decision, Rejection
from server.pages.forms import Form, asked, number, see, signed
from server.pages.rendering import page
from server.pages.trail import trail
from server.services.audit import EventView
from server.services.failures import drafts as service
from server.services.failures.acceptance import accept_draft
from server.services.runs.suggested_bound import SIGNALS, condition

router = APIRouter(include_in_schema=False)


class DraftPage(BaseModel):
    """One draft."""

    draft: service.DraftDetail
    trail: list[EventView]


def draft_page(draft_id: str, session: Database) -> DraftPage:
    """One draft with its proof, the patch for the suite's file and its trail."""
    return DraftPage(
        draft=service.read_draft(session, draft_id), trail=trail(session, "draft", draft_id)
    )


def register(form: Form, session: Database) -> RedirectResponse:
    """Register a failure as a test. With a bound the rule is that bound on the signal of the form;
    without one it is proposed."""
    fields: dict[str, object] = dict(form)
    signal = str(fields.pop("signal", ""))
    window = {name: number(form, name) for name in ("start_s", "end_s") if name in form}
    for name in (*window, "bound"):
        fields.pop(name, None)
    if "bound" in form and signal in SIGNALS:
        start = {name: number(form, name) for name in ("lateral_m", "heading_rad") if name in form}
        rule = condition(SIGNALS[signal][0], signal, number(form, "bound"))
        fields["case"] = window | {"offset": start, "conditions": [rule]}
    return see(f"/case-drafts/{service.add_draft(session, asked(service.DraftRequest, fields)).id}")


def decide(draft_id: str, form: Form, session: Database) -> RedirectResponse:
    """Accept a draft, or reject it with a reason."""
    if form.get("decision") == "accept":
        accepted = signed(Decision, form, "version")
        accept_draft(session, draft_id, accepted.version, actor=accepted.actor)
    else:
        rejected = signed(Rejection, form, "version", "reason")
        service.reject_draft(
            session, draft_id, rejected.version, rejected.reason, actor=rejected.actor
        )
    return see(f"/case-drafts/{draft_id}")


page(router, "/case-drafts/{draft_id}", "failures/draft.html", draft_page)
router.add_api_route("/case-drafts", register, methods=["POST"])
router.add_api_route("/case-drafts/{draft_id}/decide", decide, methods=["POST"])
