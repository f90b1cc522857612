"""Do the workers drive alike? Their rollouts of the same runs are compared; a bad one is named."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from server.db.bank_tables import SuiteVersionRow
from server.db.health_tables import AlarmRow
from server.db.run_tables import RunRow
from server.services.queue.demands import run_owner
from server.services.queue.paired_demands import PairedDemands
from suites.statistics.contrasts import sign_of
from suites.statistics.worker_residuals import DrivenPair, worker_residuals
from suites.vocabulary import Outcome, Status

ALPHA_WORKERS = 0.01
"""Adjusted p-value below which a worker is called bad."""

LOOK_BACK = timedelta(days=14)
"""Runs that were made in this time say how the workers are."""


class WorkerView(BaseModel):
    """How differently one worker's rollouts lie among those of all."""

    worker: str
    population: str
    rollouts: int
    chi_square: float
    p: float
    """Adjusted for all workers and populations."""
    shift: float
    """Median relative difference of its rollouts: positive is worse."""
    bad: bool


def check_workers(session: Session) -> list[WorkerView]:
    """The residual of every worker over recent runs, worst first. A bad worker raises an alarm,
    once until it is acknowledged."""
    views = compare_workers(session)
    alarmed = select(AlarmRow.detail["worker"].astext).where(
        AlarmRow.kind == "bad_worker", AlarmRow.acknowledged.is_(None)
    )
    known = set(session.scalars(alarmed))
    for view in views:
        if view.bad and view.worker not in known:
            known.add(view.worker)
            session.add(AlarmRow(kind="bad_worker", detail=view.model_dump()))
    return views


def compare_workers(session: Session) -> list[WorkerView]:
    """The same, but nobody is alarmed."""
    residuals = worker_residuals(list(_driven_pairs(session)))
    return [WorkerView(**asdict(one), bad=one.p < ALPHA_WORKERS) for one in residuals]


def _driven_pairs(session: Session) -> Iterator[DrivenPair]:
    """Pairs of recent runs by the metrics of their gates, each once, with who drove them."""
    document = SuiteVersionRow.document
    driven = RunRow.status.in_((Status.RUNNING, Status.FINISHED))
    runs = session.execute(
        select(RunRow, document["suite"]["gates"], document["metric_versions"])
        .join(SuiteVersionRow, SuiteVersionRow.digest == RunRow.suite_digest)
        .where(RunRow.created > datetime.now(UTC) - LOOK_BACK, driven)
        .order_by(RunRow.created)
    ).all()
    seen = set()
    for run, gates, versions in runs:
        models = f"{run.candidate[:12]} and {run.baseline[:12]}"
        for metric in dict.fromkeys(gate["metric"] for gate in gates):
            rows = session.execute(_measured_pairs(run.id, metric, versions[metric]))
            for key, worker, value, baseline_key, baseline_worker, baseline in rows:
                pair = key, baseline_key, metric
                if pair in seen or value + baseline <= 0:
                    continue
                seen.add(pair)
                change = 2 * sign_of(metric) * (value - baseline) / (value + baseline)
                hosts = _host(worker), _host(baseline_worker)
                yield DrivenPair(f"{models}, {metric}", change, *hosts)


def _host(worker: str) -> str:
    """The worker of a process: a worker's processes come and go, its machine stays."""
    return worker.rpartition("/")[0] or worker


def _measured_pairs(run_id: str, metric: str, version: int) -> Select[*tuple[Any, ...]]:
    """Query: drive_key, worker and value of both sides, where both completed and are valid."""
    pairs = PairedDemands(run_owner(run_id), (metric, version))
    return (
        pairs.select(*pairs.both(lambda s: (s.demand.drive_key, s.rollout.worker, s.result.value)))
        .where(*pairs.both(lambda s: (s.rollout.outcome == Outcome.COMPLETED, s.result.valid)))
        .order_by(pairs.candidate.demand.position)
    )
