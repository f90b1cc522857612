"""Suites: the list, and one version with its must-pass cases, its gates and who was released against it."""

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from server.api.bank.suites import Promotion
from server.api.common import Cursor, Database
from server.pages.forms import Form, asked, needed, see
from server.pages.rendering import page
from server.services.audit import EventView, list_events
from server.services.bank.register_suite import SuiteView, VersionView, list_suites, list_versions
from server.services.failures.must_pass import MustPass, read_must_pass
from server.services.failures.promotion import promote

router = APIRouter(include_in_schema=False)

LINES = 100
TRAIL, VERSIONS = 20, 20


class SuitesPage(BaseModel):
    """Suites by name."""

    suites: list[SuiteView]
    next: str | None


class SuitePage(BaseModel):
    """One version of a suite."""

    suite: MustPass
    newest: bool
    versions: list[VersionView]
    """The newest of the line."""
    trail: list[EventView]


def suites_page(session: Database, cursor: Cursor = None) -> SuitesPage:
    """Suites by name, each with its newest version."""
    found = list_suites(session, cursor=cursor, limit=LINES)
    return SuitesPage(suites=found.items, next=found.next)


def suite_page(reference: str, session: Database) -> SuitePage:
    """One version, by name (the newest), `name@digest`, or digest."""
    suite = read_must_pass(session, reference)
    versions = list_versions(session, suite.version.suite, cursor=None, limit=VERSIONS).items
    numbers = [version.number for version in versions if version.number is not None]
    trail = [
        event
        for subject in (suite.version.suite, suite.version.digest)
        for event in list_events(
            session, subject_kind="suite", subject_id=subject, cursor=None, limit=TRAIL
        ).items
    ]
    return SuitePage(
        suite=suite,
        newest=suite.version.number is not None
        and suite.version.number == max(numbers, default=None),
        versions=versions,
        trail=sorted(trail, key=lambda event: event.id, reverse=True),
    )


def release(name: str, form: Form, session: Database) -> RedirectResponse:
    """Promote a model."""
    promoted = asked(Promotion, {"model": needed(form, "model"), "actor": needed(form, "actor")})
    promote(session, name, promoted.model, actor=promoted.actor)
    return see(f"/suites/{name}")


page(router, "/suites", "bank/suites.html", suites_page)
page(router, "/suites/{reference}", "bank/suite.html", suite_page)
router.add_api_route("/suites/{name}/promote", release, methods=["POST"])
