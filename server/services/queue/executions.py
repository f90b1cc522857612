"""Which execution class a submission that names one gets: one that a running worker offers."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.db.queue_tables import WorkerRow
from suites.errors import Finding, SubmitterError
from suites.execution_classes import RUNTIMES, installed_runtimes, parse_execution
from suites.rollout import ExecutionClass


def find_execution(session: Session, text: str, lease_s: float) -> ExecutionClass:
    """The execution class that `text` (RUNTIME[/PRECISION[/DEVICE]]) names.

    Its version is the one that most places of running workers offer; a worker runs if it was heard
    of within a lease. Where none runs, it is the version installed here, as when nobody chose.

    Raises SubmitterError for a name that means nothing, a runtime that can't be sandboxed, or one
    that nobody offers."""
    runtime, precision, device = parse_execution(text)
    if not RUNTIMES[runtime].sandboxed:
        sandboxed = ", ".join(name for name, kind in RUNTIMES.items() if kind.sandboxed)
        finding = Finding(
            "execution",
            f"{runtime} compiles code while it runs, which the sandbox of the workers forbids",
            f"one of {sandboxed}; or `redrive replay --no-sandbox`, which trusts the model",
        )
        raise SubmitterError(f"{runtime} is not for runs", finding)
    alive = WorkerRow.seen > func.now() - timedelta(seconds=lease_s)
    workers = session.scalars(select(WorkerRow).where(alive)).all()
    offers: Counter[str] = Counter()
    for worker in workers:
        if worker.device == device and f"{runtime}/{precision}" in worker.runtimes:
            offers[worker.runtimes[f"{runtime}/{precision}"]] += worker.concurrency
    if not workers and runtime in installed_runtimes():
        offers[installed_runtimes()[runtime]] += 1
    if not offers:
        finding = _not_offered(workers, runtime, precision, device)
        raise SubmitterError(f"no worker offers {runtime} in {precision} on {device}", finding)
    version = max(offers, key=lambda offered: (offers[offered], offered))
    return ExecutionClass(runtime=runtime, version=version, precision=precision, device=device)


def _not_offered(
    workers: Sequence[WorkerRow], runtime: str, precision: str, device: str
) -> Finding:
    """What the workers offer instead, and which worker to start."""
    offers = [(w.device, name, version) for w in workers for name, version in w.runtimes.items()]
    there = sorted({f"{name} {version} on {where}" for where, name, version in offers})
    problem = "no worker is up that says what it offers"
    if there:
        problem = f"the workers that are up offer {', '.join(there)}"
    package = RUNTIMES[runtime].packages[-1 if device == "cuda" else 0]
    remedy = (
        f"install {package} beside `redrive worker --device {device}` and start it, "
        "or submit without execution"
    )
    if any(where == device and name.startswith(f"{runtime}/") for where, name, _ in offers):
        remedy = (
            f"start `redrive worker` on a machine whose {device} computes in {precision}, "
            "or submit in another precision"
        )
    return Finding("execution", problem, remedy)
