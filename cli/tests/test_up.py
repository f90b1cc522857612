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

from cli.supervisor import LOCK, answers, free_port, running_service
from suites.errors import MachineError

ROOT = Path(__file__).parents[2]
CHILDREN = {"postgres", "valkey-server", "uvicorn", "server.coordinator", "cli.main"}


class Up:
    """`redrive up` on a data directory, as a process of its own."""

    def __init__(self, data: Path) -> None:
        words = [sys.executable, "-m", "cli.main", "up", "--port", "0", "--workers", "1", "--data", str(data)]
        environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "BROKER_URL")}
        self.process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment)
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
        return self.process.wait(60)


@pytest.fixture
def ups() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; one that its new parent has not buried yet does not."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def start(ups: ExitStack, data: Path) -> Up:
    up = Up(data)
    ups.enter_context(up.process)  # closes its pipe
    ups.callback(up.process.kill)
    return up


def test_service_starts_again_after_sigkill_and_stops_without_a_trace(tmp_path: Path, ups: ExitStack) -> None:
    first = start(ups, tmp_path)
    assert answers(first.url())
    left = first.children()
    names = {word for process in left for word in [*process.cmdline(), process.name()] if word in CHILDREN}
    assert names == CHILDREN
    assert first.end(signal.SIGKILL) == -signal.SIGKILL

    second = start(ups, tmp_path)
    assert answers(second.url())
    assert alive(left) == [], "the first one's processes are gone"
    started = second.children()
    assert second.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert alive(started) == []


def test_data_directory_has_one_user(tmp_path: Path) -> None:
    with (tmp_path / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("process 1 serves it at http://here")
        lock.flush()
        with pytest.raises(MachineError, match="is in use") as caught, running_service(tmp_path):
            pass
    assert caught.value.findings[0].problem == "process 1 serves it at http://here"


def test_taken_port_is_an_error_when_asked_for_and_passed_over_when_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MachineError, match=f"cannot listen on 127.0.0.1, port {port}"):
            free_port("127.0.0.1", port)
    with ExitStack() as stack:
        first = free_port("127.0.0.1", None)
        stack.enter_context(socket.create_server(("127.0.0.1", first)))
        assert free_port("127.0.0.1", None) > first
