"""Standing checks: is the judge sound, are the workers alike, do rollouts repeat to the bit?"""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from server.api.common import Configured, Database, Signed
from server.broker import probe
from server.problems import declares
from server.services.health import checks as service
from server.services.health.probes import ProbeView, ask_probes, read_probes
from server.services.health.worker_checks import WorkerView, check_workers
from suites.verdict.planted_effects import SelfCheck

router = APIRouter(prefix="/v1", tags=["checks"])

MOST_PROBES = 1000


class ProbeRequest(BaseModel):
    """How many stored rollouts are to be driven again."""

    model_config = ConfigDict(extra="forbid")

    count: Annotated[int, Field(ge=1, le=MOST_PROBES, description="They are chosen at random.")]


class Acknowledgement(Signed):
    """Who has looked."""


class Workers(BaseModel):
    """Every worker that drove enough to be compared, worst first.

    One row for each pair of models, metric and role."""

    workers: list[WorkerView]


class Probes(BaseModel):
    """Stored rollouts that are driven again."""

    probes: list[ProbeView]


@router.get("/checks", responses=declares())
def checks(session: Database) -> service.ChecksView:
    """The newest self-checks, how probes ended, and the alarms that are open."""
    return service.read_checks(session)


@router.post("/checks/workers", responses=declares())
def workers(session: Database) -> Workers:
    """Compare the workers over two weeks of runs, worst first; a bad one raises an alarm."""
    return Workers(workers=check_workers(session))


@router.post(
    "/runs/{run_id}/self-checks",
    status_code=201,
    responses=declares("not-found", "not-json", "too-large"),
)
def add_self_check(run_id: str, body: SelfCheck, session: Database) -> service.SelfCheckView:
    """Keep what `redrive selfcheck --nightly` found on the results of a run."""
    return service.store_self_check(session, run_id, body)


@router.post(
    "/alarms/{alarm_id}/acknowledge", responses=declares("not-found", "not-now", "not-json")
)
def acknowledge_alarm(
    alarm_id: Annotated[int, Path(ge=1, le=2**63 - 1)], body: Acknowledgement, session: Database
) -> service.AlarmView:
    """Somebody has looked at an alarm."""
    return service.acknowledge(session, alarm_id, actor=body.actor)


@router.post("/probes", status_code=202, responses=declares("not-json", "not-now"))
def add_probes(
    body: ProbeRequest,
    request: Request,
    tasks: BackgroundTasks,
    session: Database,
    settings: Configured,
) -> Probes:
    """Have a random sample of stored rollouts driven again; other bits raise an alarm."""
    views, by_device = ask_probes(session, body.count)
    # As every background task this is sent after the commit: workers must find what it names.
    tasks.add_task(probe, request.app.state.celery, by_device, settings.shard_rollouts)
    return Probes(probes=views)


@router.get("/probes", responses=declares())
def probes(
    session: Database,
    number: Annotated[
        list[int], Query(min_length=1, max_length=MOST_PROBES, description="Once for each.")
    ],
) -> Probes:
    """What became of probes."""
    return Probes(probes=read_probes(session, number))
