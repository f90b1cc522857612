"""The whole service on this machine, under one supervisor."""

import contextlib
import fcntl
import functools
import http.client
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from cli.supervision.children import Children
from cli.supervision.embedded import postgres, valkey
from cli.supervision.processes import OWNER_VARIABLE, Program, end_orphans
from suites.errors import Finding, MachineError

FIRST_PORT = 8700
PORTS = 50
"""Where a free port is looked for when none is asked for."""
LOCK = "supervisor.lock"


def say(text: str) -> None:
    """Tell the person at the terminal what the supervisor does."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    url: str
    """`http://HOST:PORT` of the dashboard and the API."""
    environment: Mapping[str, str]
    """What a further process needs to use the same database, broker and data directory."""
    children: Children


def serving(data: Path) -> str | None:
    """Where a supervisor already serves this data directory and answers; None where none does."""
    if not (data / LOCK).is_file():
        return None
    with (data / LOCK).open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            url = lock.read().rpartition(" at ")[2]
            return url if url and answers(url) else None
    return None  # what stands there is of one that ended


@contextlib.contextmanager
def running_service(
    data: Path,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    workers: int = 2,
    database_url: str = "",
    broker_url: str = "",
    durable: bool = True,
    tell: Callable[[str], None] = say,
) -> Iterator[Service]:
    """Start everything on `data`, yield when the API answers, stop at the end or at SIGTERM.

    Postgres and Valkey are started unless their URLs are given. `port=None` takes the first free
    one from 8700 on. MachineError when `port` is taken, the data directory is in use, or something
    does not start.
    """
    data.mkdir(parents=True, exist_ok=True)
    data = data.resolve()
    with _sole_user_of(data) as describe, _exit_on_sigterm():
        if ended := end_orphans(data):
            tell(f"ended {ended} processes that an earlier supervisor left")
        base_url = f"http://{_reachable(host)}:{free_port(host, port)}"
        describe(base_url)
        stores = [] if database_url else [postgres(data, durable=durable)]
        database_url = database_url or stores[0].address
        if not broker_url:
            stores.append(valkey(data, durable=durable))
            broker_url = stores[-1].address
        environment = {
            "DATABASE_URL": database_url,
            "BROKER_URL": broker_url,
            "REDRIVE_DATA": str(data),
            "REDRIVE_PUBLIC_URL": os.environ.get("REDRIVE_PUBLIC_URL", base_url),
            "ORT_DISABLE_TELEMETRY": "1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            OWNER_VARIABLE: str(data),
        }
        stages = service_stages(stores, environment, host, base_url, workers)
        with Children(stages, data / "logs", tell) as children:
            yield Service(base_url, environment, children)
            tell("stopping")


def service_stages(
    stores: Sequence[Program],
    environment: Mapping[str, str],
    host: str,
    base_url: str,
    workers: int,
) -> list[list[Program]]:
    """What runs, in stages: stores, migrations, then API, coordinator and workers together."""
    api = ("uvicorn", "server.app:app", "--host", host, "--port", base_url.rpartition(":")[2])

    def python(
        name: str, *words: str, once: bool = False, ready: Callable[[], bool] = lambda: True
    ) -> Program:
        # -P: a folder named `server` where the user happens to stand is not ours
        command = (sys.executable, "-P", "-m", *words)
        return Program(name, command, environment=environment, once=once, ready=ready)

    def worker(name: str) -> Program:
        return python(name, "cli.main", "worker", "--name", name, "--concurrency", "1")

    return [
        list(stores),
        [python("migrate", "cli.main", "migrate", once=True)],
        [
            python("api", *api, ready=functools.partial(answers, base_url)),
            python("coordinator", "server.coordinator"),
            *(worker(f"worker-{number}") for number in range(1, workers + 1)),
        ],
    ]


def answers(base_url: str) -> bool:
    """Whether the API there is healthy."""
    connection = http.client.HTTPConnection(base_url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port(host: str, asked: int | None) -> int:
    """The port asked for, or the first free one from 8700 on; MachineError where it is taken."""
    candidates = range(FIRST_PORT, FIRST_PORT + PORTS) if asked is None else (asked,)
    reason = ""
    for port in candidates:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                reason = str(error)
            else:
                return int(probe.getsockname()[1])
    last = f" to {candidates[-1]}" if asked is None else ""
    remedy = "choose another --port, or leave it out to get a free one"
    finding = Finding("--host, --port", reason, remedy)
    raise MachineError(f"cannot listen on {host}, port {candidates[0]}{last}", finding)


def _reachable(host: str) -> str:
    """An address of this machine under which a server on `host` answers, as in a URL."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{address}]" if ":" in address else address


@contextlib.contextmanager
def _sole_user_of(data: Path) -> Iterator[Callable[[str], None]]:
    """Hold the data directory; the kernel lets go of it when this process ends, however it ends."""
    with (data / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "another start is under way"
            finding = Finding(LOCK, holder, "stop that one, or choose another --data")
            raise MachineError(f"{data} is in use", finding) from None

        def describe(url: str) -> None:
            lock.truncate(0)
            lock.write(f"process {os.getpid()} serves it at {url}")
            lock.flush()

        yield describe


@contextlib.contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
