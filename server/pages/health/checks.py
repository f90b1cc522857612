"""The standing checks: nights, self-checks, workers, probes, alarms, and forms that start them."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Query, Request
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from server.api.common import Configured, Database
from server.api.health.checks import Acknowledgement, ProbeRequest, add_probes
from server.pages.forms import Form, asked, needed, see, signed
from server.pages.rendering import page
from server.services.health import checks as service
from server.services.health.worker_checks import WorkerView, compare_workers

router = APIRouter(include_in_schema=False)


class ChecksPage(BaseModel):
    """Where the standing checks stand."""

    checks: service.ChecksView
    workers: list[WorkerView]
    """As of now where that was asked for, else as of the newest night that compared them."""
    compared_now: bool
    nightly_hour: int


def checks_page(
    session: Database,
    settings: Configured,
    workers: Annotated[str | None, Query(max_length=10)] = None,
) -> ChecksPage:
    """The newest of each kind; with `?workers=now` they are compared again."""
    checks = service.read_checks(session)
    now = workers == "now"
    by_night = (night.report.workers for night in checks.nights if night.finished)
    return ChecksPage(
        checks=checks,
        workers=compare_workers(session) if now else next(by_night, []),
        compared_now=now,
        nightly_hour=settings.nightly_hour,
    )


def probe(
    form: Form, request: Request, tasks: BackgroundTasks, session: Database, settings: Configured
) -> RedirectResponse:
    """Have stored rollouts driven again."""
    wanted = asked(ProbeRequest, {"count": needed(form, "count")})
    add_probes(wanted, request, tasks, session, settings)
    return see("/checks#probes")


def close(alarm_id: int, form: Form, session: Database) -> RedirectResponse:
    """Somebody has looked at an alarm."""
    service.acknowledge(session, alarm_id, actor=signed(Acknowledgement, form).actor)
    return see("/checks#alarms")


page(router, "/checks", "health/checks.html", checks_page)
router.add_api_route("/checks/probes", probe, methods=["POST"])
router.add_api_route("/checks/alarms/{alarm_id}/acknowledge", close, methods=["POST"])
