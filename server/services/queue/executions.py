"""Which execution class a submission that names one gets: one that a worker which is up can honour."""

from collections import Counter
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.db.queue_tables import WorkerRow
from suites.errors import Finding, SubmitterError
from suites.rollout import ExecutionClass
from suites.simulators import RUNTIMES, installed_runtimes, parse_execution


def find_execution(session: Session, text: str, lease_s: float) -> ExecutionClass:
    """The execution class that `text` (RUNTIME[/PRECISION[/DEVICE]]) names, of the version that most places of the workers
    offer which were heard of within a lease. Where none is up, of the version that is installed here, as when nobody chose.

    Raises SubmitterError for a name that means nothing, a runtime that can't be sandboxed, or one that nobody offers."""
    runtime, precision, device = parse_execution(text)
    if not RUNTIMES[runtime].sandboxed:
        finding = Finding(
            "execution",
            f"{runtime} compiles code while it runs, which the sandbox of the workers forbids",
            f"one of {', '.join(name for name, kind in RUNTIMES.items() if kind.sandboxed)}; "
            "or `redrive replay --no-sandbox`, which trusts the model",
        )
        raise SubmitterError(f"{runtime} is not for runs", (finding,))
    alive = WorkerRow.seen > func.now() - timedelta(seconds=lease_s)
    workers = session.scalars(select(WorkerRow).where(alive)).all()
    offers: Counter[str] = Counter()
    for worker in workers:
        if worker.device == device and f"{runtime}/{precision}" in worker.runtimes:
            offers[worker.runtimes[f"{runtime}/{precision}"]] += worker.concurrency
    if not workers and runtime in installed_runtimes():
        offers[installed_runtimes()[runtime]] += 1
    if not offers:
        there = sorted(
            {
                f"{name} {version} on {w.device}"
                for w in workers
                for name, version in w.runtimes.items()
            }
        )
        problem = (
            f"the workers that are up offer {', '.join(there)}"
            if there
            else "no worker is up that says what it offers"
        )
        package = RUNTIMES[runtime].packages[-1 if device == "cuda" else 0]
        remedy = f"install {package} beside `redrive worker --device {device}` and start it, or submit without execution"
        if any(
            w.device == device and name.startswith(f"{runtime}/")
            for w in workers
            for name in w.runtimes
        ):
            remedy = f"start `redrive worker` on a machine whose {device} computes in {precision}, or submit in another precision"
        raise SubmitterError(
            f"no worker offers {runtime} in {precision} on {device}",
            (Finding("execution", problem, remedy),),
        )
    version = max(offers, key=lambda offered: (offers[offered], offered))
    return ExecutionClass(runtime=runtime, version=version, precision=precision, device=device)
