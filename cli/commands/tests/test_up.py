"""`redrive up` from outside: the whole service, killed and started again."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from cli.supervision import supervisor
from cli.supervision.supervisor import LOCK, answers, free_port, running_service, serving
from suites.errors import MachineError
from workers.tests.gone import WAIT_S, gone

ROOT = Path(__file__).parents[3]
CHILDREN = {"postgres", "valkey-server", "uvicorn", "server.coordinator", "cli.main"}


class Up:
    """`redrive up` on a data directory, as a process of its own."""

    def __init__(self, data: Path) -> None:
        # its own choice of port: one from the range of clients' ports may be gone when it listens
        words = [sys.executable, "-m", "cli.main", "up", "--workers", "1", "--data", str(data)]
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DATABASE_URL", "BROKER_URL")
        }
        self.process = subprocess.Popen(
            words, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.said: list[str] = []

    def url(self) -> str:
        """The address that it prints when it is ready."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if line.startswith("Redrive is at "):
                return line.split()[3]
        raise AssertionError("".join(self.said))

    def children(self) -> list[psutil.Process]:
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def end(self, number: signal.Signals) -> int:
        """Its exit status after a signal."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)


@pytest.fixture
def ups() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def words(process: psutil.Process) -> set[str]:
    """Its command line and name; empty when it has ended, as sessions of the database often do."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return {*process.cmdline(), process.name()}
    return set()


def serves(url: str) -> bool:
    """Whether it answers, be it slowly: its workers start at the same time."""
    return any(answers(url) for _ in range(12))


def start(ups: ExitStack, data: Path) -> Up:
    up = Up(data)
    ups.enter_context(up.process)  # closes its pipe
    ups.callback(up.process.kill)
    return up


def test_service_starts_again_after_sigkill_and_stops_without_a_trace(
    tmp_path: Path, ups: ExitStack
) -> None:
    first = start(ups, tmp_path)
    assert serves(first.url())
    left = first.children()
    assert CHILDREN & set[str]().union(*map(words, left)) == CHILDREN
    assert first.end(signal.SIGKILL) == -signal.SIGKILL

    second = start(ups, tmp_path)
    assert serves(second.url())
    assert all(gone(process.pid) for process in left), "the first one's processes"
    started = second.children()
    assert second.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert all(gone(process.pid) for process in started)


def test_data_directory_has_one_user(tmp_path: Path) -> None:
    with (tmp_path / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("process 1 serves it at http://here")
        lock.flush()
        with pytest.raises(MachineError, match="is in use") as caught, running_service(tmp_path):
            pass
    assert caught.value.findings[0].problem == "process 1 serves it at http://here"


def test_who_serves_a_data_directory_is_found_while_it_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervisor, "answers", lambda url: url == "http://127.0.0.1:8707")
    assert serving(tmp_path) is None
    with (tmp_path / LOCK).open("w") as lock:
        lock.write("process 7 serves it at http://127.0.0.1:8707")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert serving(tmp_path) == "http://127.0.0.1:8707"
    assert serving(tmp_path) is None, "it ended; another installation may have its port now"


def test_taken_port_is_an_error_when_asked_for_and_passed_over_when_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MachineError, match=f"cannot listen on 127.0.0.1, port {port}"):
            free_port("127.0.0.1", port)
        monkeypatch.setattr(
            supervisor, "FIRST_PORT", port
        )  # ours; whoever else listens may take the next ones
        assert port < free_port("127.0.0.1", None) < port + supervisor.PORTS
