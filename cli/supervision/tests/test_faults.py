"""Whatever is killed, emptied or cut: each rollout is stored once and the run finishes.

All processes are real.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count, product
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest
import redis
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, delete, func, select, text
from sqlalchemy.orm import Session, sessionmaker

from cli.supervision.embedded import valkey
from cli.supervision.processes import Child, Program, launch, stop, tail, wait_ready
from server.app import create_app
from server.broker import celery_app, waiting
from server.coordinator import LOCK
from server.db.bank_tables import QuarantineRow, SegmentRow
from server.db.base import OwnerKind
from server.db.engine import make_sessions
from server.db.health_tables import AlarmRow
from server.db.queue_tables import DemandRow, RolloutRow, ShardRow, WorkerRow
from server.db.run_tables import RunRow
from server.settings import Settings
from suites.identity import canonical_json
from suites.segment import Camera, SegmentMeta, Vehicle
from suites.vocabulary import Outcome, RunVerdict, ShardStatus, Status
from workers.policy.log_policy import log_manifest
from workers.segments.store import write_segment
from workers.simulation.tests.columns import straight_columns

pytestmark = pytest.mark.services
DEADLINE_S, LEASE_S, RATE_HZ, ROWS = 180.0, 3.0, 20.0, 80
SUITE = """
name = "SUITE_NAME"
kind = "overall"
offsets = [{}, {lateral_m = 0.3}]
[select]
[[gates]]
metric = "lateral_error_mean_m"
"""
T = TypeVar("T")


def segment(root: Path, segment_id: str) -> None:
    """A human drives 4 s straight on; no frames, for the log needs none."""
    camera = Camera(
        width=64, height=32, fx=50, fy=50, cx=32, cy=16, forward_m=1.4, left_m=0, up_m=1.3
    )
    meta = SegmentMeta(
        segment_id=segment_id,
        route=segment_id.split("/")[0],
        source="test/1",
        kind="camera",
        frame_count=ROWS,
        rate_hz=RATE_HZ,
        duration_s=(ROWS - 1) / RATE_HZ,
        camera=camera,
        vehicle=Vehicle(),
        depth_source=None,
    )
    write_segment(root, meta, straight_columns(ROWS, RATE_HZ), None, None)


class Service:
    """A coordinator, a worker of two processes and an own broker, on the session's Postgres."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder, self.numbers = folder, count()
        self.broker = valkey(folder / "data", durable=False)
        self.settings = Settings(
            database_url=database_url,
            broker_url=self.broker.address,
            data=folder / "data",
            lease_s=LEASE_S,
            shard_rollouts=2,
            shard_attempts=2,
        )
        self.engine: Engine = create_engine(self.settings.sqlalchemy_url)
        self.sessions: sessionmaker[Session] = make_sessions(self.engine)
        self.client = TestClient(create_app(self.settings))
        for name in ("driving", "poison"):
            (folder / name).mkdir()
        for route, number in product(("r1", "r2", "r3"), (0, 1)):
            segment(self.settings.segments, f"{route}/{number}")
        self.children: dict[str, Child] = {}

    def start(self, name: str, program: Program | None = None) -> None:
        """`coordinator...`, `worker...` or a given program, under that name."""
        words = (
            ["-m", "server.coordinator"]
            if "coordinator" in name
            else [str(Path(__file__).with_name("held_worker.py")), str(self.folder)]
        )
        program = program or Program(name, (sys.executable, *words), environment=self.environment())
        self.children[name] = launch(program, self.folder)
        wait_ready(self.children[name], DEADLINE_S)

    def eventually(self, what: str, look: Callable[[], T]) -> T:
        """The first answer of `look` that is true, within the deadline.

        Meanwhile a worker that ended itself is started again, as the supervisor does: a worker ends
        itself when its broker has forgotten it.
        """
        deadline = time.monotonic() + DEADLINE_S
        while not (answer := look()):
            assert time.monotonic() < deadline, f"{what} did not happen\n{self.logs()}"
            if self.children["worker"].process.poll() is not None:
                self.stop("worker")
                self.start("worker")
            time.sleep(0.02)
        return answer

    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.settings.database_url,
            "BROKER_URL": self.settings.broker_url,
            "REDRIVE_DATA": str(self.settings.data),
            "REDRIVE_LEASE_S": str(LEASE_S),
            "REDRIVE_SHARD_ROLLOUTS": "2",
            "REDRIVE_SHARD_ATTEMPTS": "2",
            "REDRIVE_LOG_FORMAT": "text",
            "REMAP_SIGTERM": "SIGQUIT",
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "TMPDIR": str(self.folder),  # what the killed leave goes with it
        }

    def workers(self) -> set[str]:
        """Names of the workers that are up, less what makes them unique."""
        with self.sessions() as session:
            return {name.rpartition("-")[0] for name in session.scalars(select(WorkerRow.name))}

    def stop(self, name: str) -> None:
        stop([self.children.pop(name)])

    def logs(self) -> str:
        with self.sessions() as session:
            shards = session.execute(
                select(
                    ShardRow.id, ShardRow.status, ShardRow.attempt, ShardRow.worker, ShardRow.error
                )
            ).all()
        wake_ups = waiting(celery_app(self.settings), "cpu")
        last = [tuple(row) for row in shards[-12:]]
        state = f"{wake_ups} wake-ups wait; shards: {last}"
        return "\n".join(
            [
                state,
                *(f"--- {name}\n{tail(child.log, 25)}" for name, child in self.children.items()),
            ]
        )

    def submit(self) -> str:
        """A run of two models that were never driven: 12 pairs, 24 rollouts."""
        number = next(self.numbers)
        names = [f"{role}-{number}" for role in ("candidate", "baseline")]
        for name in names:
            model = replace_name(name)
            put = self.client.put(
                f"/v1/models/{model[0]}",
                content=model[1],
                headers={"Content-Type": "application/json"},
            )
            assert put.is_success, put.text
        suite = self.client.post(
            "/v1/suites", json={"toml": SUITE.replace("SUITE_NAME", f"straight_{number}")}
        )
        assert suite.is_success, suite.text
        body = {"candidate": names[0], "baseline": names[1], "suite": f"straight_{number}"}
        run = self.client.post(
            "/v1/runs", json=body, headers={"Idempotency-Key": f"fault-{number}"}
        )
        assert run.status_code == 201, run.text
        return str(run.json()["id"])

    def status(self, run_id: str) -> Status:
        with self.sessions() as session:
            return session.get_one(RunRow, run_id).status

    def driving(self) -> list[int]:
        """Processes that hold a rollout, waited for."""
        return self.eventually(
            "driving", lambda: [int(p.name) for p in (self.folder / "driving").iterdir()]
        )

    def hold(self) -> None:
        for marker in (self.folder / "driving").iterdir():
            marker.unlink()
        (self.folder / "hold").touch()

    def let_go(self) -> None:
        (self.folder / "hold").unlink(missing_ok=True)

    def shards(self, status: ShardStatus) -> int:
        with self.sessions() as session:
            return (
                session.scalar(
                    select(func.count()).select_from(ShardRow).where(ShardRow.status == status)
                )
                or 0
            )

    def flush_broker(self) -> None:
        with redis.Redis(
            unix_socket_path=self.broker.address.removeprefix("redis+socket://").partition("?")[0]
        ) as client:
            client.flushall()

    def cut_connections(self) -> None:
        with self.engine.connect() as connection:
            others = (
                "FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute(text(f"SELECT pg_terminate_backend(pid) {others}"))

    def holders_of_the_lock(self) -> int:
        with self.sessions() as session:
            held = (
                "SELECT count(*) FROM pg_locks "
                "WHERE locktype = 'advisory' AND granted AND objid = :key AND database = "
            )
            here = "(SELECT oid FROM pg_database WHERE datname = current_database())"
            return int(session.scalar(text(held + here), {"key": LOCK}) or 0)

    def finishes(self, run_id: str) -> None:
        """The run passes and has every rollout once; nobody saw other bits."""
        over = (Status.FINISHED, Status.ERRORED, Status.CANCELLED)
        self.eventually("the end of the run", lambda: self.status(run_id) in over)
        with self.sessions() as session:
            run = session.get_one(RunRow, run_id)
            mine = select(DemandRow.drive_key).where(
                DemandRow.owner_kind == OwnerKind.RUN, DemandRow.owner_id == run_id
            )
            assert (run.status, run.verdict, run.error) == (Status.FINISHED, RunVerdict.PASS, "")
            stored = session.scalars(
                select(RolloutRow.drive_key).where(RolloutRow.drive_key.in_(mine))
            ).all()
            assert len(stored) == 24
            assert session.scalar(select(func.count()).select_from(AlarmRow)) == 0


def replace_name(name: str) -> tuple[str, bytes]:
    """Digest and bytes of the log's manifest under another name: another model."""
    manifest = replace(log_manifest(), name=name)
    return manifest.digest, canonical_json(manifest)


@pytest.fixture(scope="module")
def service(
    administrator: Engine, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    # pytest-xdist may give parts of this module to several workers
    name = f"test_faults_{uuid4().hex}"
    with ExitStack() as stack:
        connection = stack.enter_context(administrator.connect())
        connection.execute(
            text(f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY file_copy")
        )
        stack.callback(lambda: connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)")))
        url = administrator.url.set(database=name).render_as_string(hide_password=False)
        service = Service(tmp_path_factory.mktemp("f"), url)
        stack.callback(service.engine.dispose)
        stack.callback(lambda: stop(list(service.children.values())))
        stack.enter_context(service.client)
        service.start("valkey", service.broker)
        service.start("coordinator")
        service.start("worker")
        yield service


@pytest.fixture(autouse=True)
def released(service: Service) -> Iterator[None]:
    yield
    service.let_go()


def test_a_killed_process_of_a_worker(service: Service) -> None:
    service.hold()
    run = service.submit()
    os.kill(service.driving()[0], signal.SIGKILL)
    service.let_go()
    service.finishes(run)


def test_a_killed_worker(service: Service) -> None:
    service.hold()
    run = service.submit()
    service.driving()
    os.killpg(service.children["worker"].process.pid, signal.SIGKILL)
    service.stop("worker")
    service.start("worker")
    service.let_go()
    service.finishes(run)


def test_an_emptied_broker(service: Service) -> None:
    service.hold()
    run = service.submit()
    service.driving()
    service.flush_broker()
    service.let_go()
    service.finishes(run)


def test_a_broker_that_is_down_when_a_run_is_submitted(service: Service) -> None:
    service.stop("valkey")
    run = service.submit()
    service.eventually("shards in the database", lambda: service.shards(ShardStatus.QUEUED))
    service.start("valkey", service.broker)
    service.finishes(run)


def test_cut_database_connections(service: Service) -> None:
    service.hold()
    run = service.submit()
    service.driving()
    service.cut_connections()
    service.let_go()
    service.finishes(run)


def test_of_two_coordinators_one_acts_and_the_other_takes_over(service: Service) -> None:
    service.start("coordinator-2")
    service.hold()
    run = service.submit()
    service.driving()
    assert service.holders_of_the_lock() == 1
    os.kill(service.children["coordinator"].process.pid, signal.SIGKILL)
    service.let_go()
    service.finishes(run)
    assert service.holders_of_the_lock() == 1
    service.stop("coordinator-2")
    service.stop("coordinator")
    service.start("coordinator")


def test_a_rollout_that_kills_whoever_drives_it_ends_its_run_and_nothing_else(
    service: Service,
) -> None:
    (service.folder / "poison" / "r2").touch()
    run = service.submit()
    service.eventually("the end of the run", lambda: service.status(run) is Status.ERRORED)
    (service.folder / "poison" / "r2").unlink()
    with service.sessions() as session:
        error = session.get_one(RunRow, run).error
    assert "r2/" in error
    assert "infra_failed" in error
    assert "its process died" in error or "its worker was lost" in error  # whoever noticed first
    service.finishes(service.submit())


def test_damaged_data_is_said_and_the_segment_is_quarantined(service: Service) -> None:
    columns = next((service.settings.segments / "r3" / "1").glob("columns*"))
    whole = columns.read_bytes()
    worker = service.children["worker"].process.pid
    os.killpg(worker, signal.SIGSTOP)  # until the suite is resolved against whole segments
    run = service.submit()
    columns.write_bytes(whole[:-100])
    os.killpg(worker, signal.SIGCONT)
    service.eventually("the end of the run", lambda: service.status(run) is Status.FINISHED)
    columns.write_bytes(whole)
    with service.sessions.begin() as session:
        outcomes = dict(
            session.execute(
                select(RolloutRow.outcome, func.count())
                .join(DemandRow, DemandRow.drive_key == RolloutRow.drive_key)
                .where(DemandRow.owner_id == run)
                .group_by(RolloutRow.outcome)
            ).all()
        )
        quarantined = session.scalars(
            select(SegmentRow).where(SegmentRow.quarantined.is_not(None))
        ).all()
        assert outcomes == {Outcome.COMPLETED: 20, Outcome.DATA_INVALID: 4}
        assert [segment.segment_id for segment in quarantined] == ["r3/1"]
        session.execute(delete(QuarantineRow))


def test_the_command_runs_quietly_and_ends_at_once_when_told_to(service: Service) -> None:
    command = (
        sys.executable,
        "-P",
        "-m",
        "cli.main",
        "worker",
        "--name",
        "quiet",
        "--concurrency",
        "1",
    )
    service.start(
        "quiet", Program("quiet", command, environment=service.environment(), grace_s=DEADLINE_S)
    )
    log = service.children["quiet"].log
    service.eventually("the first heartbeat", lambda: "quiet" in service.workers())
    service.stop("quiet")
    assert "quiet" not in service.workers(), "it said that it goes"
    said = log.read_text().lower()
    assert [
        word for word in ("warning", "error", "deprecat", "superuser", "traceback") if word in said
    ] == []
    assert len(said.splitlines()) < 10
