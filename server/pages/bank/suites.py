"""Suites: the list, and one version with its must-pass cases, gates and released model."""

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from server.api.bank.suites import Promotion
from server.api.common import Cursor, Database
from server.pages.forms import Form, see, signed
from server.pages.rendering import page
from server.pages.trail import trail
from server.services.audit import EventView
from server.services.bank.register_suite import SuiteView, VersionView, list_suites, list_versions
from server.services.failures.must_pass import MustPass, read_must_pass
from server.services.failures.promotion import promote
from server.services.runs.suite_power import SuiteTells, read_power

router = APIRouter(include_in_schema=False)

LINES = 100
VERSIONS = 20


class SuitesPage(BaseModel):
    """Suites by name."""

    suites: list[SuiteView]
    next: str | None


class SuitePage(BaseModel):
    """One version of a suite."""

    suite: MustPass
    tells: SuiteTells
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
    events = [
        event
        for subject in (suite.version.suite, suite.version.digest)
        for event in trail(session, "suite", subject, most=20)
    ]
    return SuitePage(
        suite=suite,
        tells=read_power(session, suite.version.digest),
        newest=suite.version.number in numbers and suite.version.number == max(numbers),
        versions=versions,
        trail=sorted(events, key=lambda event: event.id, reverse=True),
    )


def release(name: str, form: Form, session: Database) -> RedirectResponse:
    """Promote a model."""
    promoted = signed(Promotion, form, "model")
    promote(session, name, promoted.model, actor=promoted.actor)
    return see(f"/suites/{name}")


page(router, "/suites", "bank/suites.html", suites_page)
page(router, "/suites/{reference}", "bank/suite.html", suite_page)
router.add_api_route("/suites/{name}/promote", release, methods=["POST"])
