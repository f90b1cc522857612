"""Supervised programs: order, restarts, orderly stop, and nothing left after SIGKILL."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cli.supervision import children
from cli.supervision.children import Children
from cli.supervision.processes import OWNER_VARIABLE, Program, end_orphans
from suites.errors import MachineError
from workers.tests.gone import WAIT_S, gone


def script(name: str, code: str, **more: object) -> Program:
    return Program(name, (sys.executable, "-c", code), **more)  # type: ignore[arg-type]


def written(mark: Path) -> Callable[[], bool]:
    return lambda: mark.exists() and mark.read_text().endswith("\n")


def sleeper(name: str, mark: Path, first: str = "", **more: object) -> Program:
    """Writes its pid, then runs until it is stopped."""
    return script(
        name,
        f"{first}import os, time; "
        f"open({str(mark)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(600)",
        ready=written(mark),
        **more,
    )


def pids(mark: Path) -> list[int]:
    return [int(line) for line in mark.read_text().split()]


class Heard:
    """What the supervisor says, and a way to wait for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._more = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._more:
            self.lines.append(line)
            self._more.notify_all()

    def wait_for(self, predicate: Callable[[], bool]) -> None:
        with self._more:
            assert self._more.wait_for(predicate, WAIT_S), self.lines


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(children, "LOOK_S", 0.01)


def test_stage_waits_for_the_one_before_it(tmp_path: Path, heard: Heard) -> None:
    order = tmp_path / "order"
    first = script("first", f"open({str(order)!r}, 'a').write('migrated ')", once=True)
    second = script(
        "second",
        f"open({str(order)!r}, 'a').write('served'); import time; time.sleep(600)",
        ready=lambda: order.exists() and "served" in order.read_text(),
    )
    with Children([[first], [second]], tmp_path, heard):
        assert order.read_text() == "migrated served"
    assert heard.lines == [], "a program that runs once is not restarted"


def test_dead_child_is_started_again(tmp_path: Path, heard: Heard) -> None:
    mark = tmp_path / "pids"
    seen = threading.Semaphore(0)
    program = sleeper("worker", mark, prepare=seen.release)
    with Children([[program]], tmp_path, heard):
        assert seen.acquire(timeout=WAIT_S)
        os.kill(pids(mark)[0], signal.SIGKILL)
        assert seen.acquire(timeout=WAIT_S), "prepared for another start"
        assert heard.lines == [
            f"worker ended (-9); starting it again in 0.01 s, see {tmp_path / 'worker.log'}"
        ]


def test_restarts_are_ever_further_apart(tmp_path: Path, heard: Heard) -> None:
    with Children([[script("broken", "raise SystemExit(3)")]], tmp_path, heard):
        heard.wait_for(lambda: len(heard.lines) == 3)
    assert [
        "in 0.01 s" in heard.lines[0],
        "in 0.02 s" in heard.lines[1],
        "in 0.04 s" in heard.lines[2],
    ] == [True] * 3


def test_failed_start_stops_the_rest_and_shows_the_log(tmp_path: Path, heard: Heard) -> None:
    mark = tmp_path / "pids"
    stages = [
        [sleeper("store", mark)],
        [script("migrate", "raise SystemExit('no such table')", once=True)],
    ]
    with (
        pytest.raises(MachineError, match="migrate ended with exit status 1") as caught,
        Children(stages, tmp_path, heard),
    ):
        pass
    assert caught.value.findings[0].problem == "no such table"
    assert not psutil.pid_exists(pids(mark)[0])


def test_stop_takes_along_what_a_child_started(tmp_path: Path, heard: Heard) -> None:
    mark = tmp_path / "grandchild"
    code = (
        "import subprocess; p = subprocess.Popen(['sleep', '600']); "
        f"open({str(mark)!r}, 'w').write(f'{{p.pid}}\\n'); p.wait()"
    )
    program = script("parent", code, ready=written(mark))
    with Children([[program]], tmp_path, heard):
        grandchild = pids(mark)[0]
        assert psutil.pid_exists(grandchild)
    assert gone(grandchild)


def test_child_that_ignores_the_signal_is_killed(tmp_path: Path, heard: Heard) -> None:
    mark = tmp_path / "pids"
    deafen = "import signal; signal.signal(15, signal.SIG_IGN); "
    program = sleeper("deaf", mark, deafen, grace_s=0.2)
    with Children([[program]], tmp_path, heard):
        deaf = psutil.Process(pids(mark)[0])
    assert not deaf.is_running()


PARENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from cli.supervision.children import Children
from cli.supervision.processes import Program
mark = Path({mark!r})
code = "import os, time; open({mark!r}, 'w').write(f'{{os.getpid()}}\\\\n'); time.sleep(600)"
def written():
    return mark.exists() and mark.read_text().endswith("\\n")
child = Program("child", (sys.executable, "-c", code), ready=written)
with Children([[child]], mark.parent, print):
    print("ready", flush=True)
    time.sleep(600)
"""


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = PARENT.format(root=str(Path(__file__).parents[3]), mark=str(mark))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "ready\n"
        child = pids(mark)[0]
        assert psutil.pid_exists(child)
        supervisor.kill()
    assert gone(child)


def test_orphans_of_the_same_data_directory_only_are_ended(tmp_path: Path) -> None:
    def start(data: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "600"], env={OWNER_VARIABLE: str(data)})

    mine, other = start(tmp_path / "mine"), start(tmp_path / "other")
    try:
        assert end_orphans(tmp_path / "mine") == 1
        assert mine.poll() is not None
        assert other.poll() is None
    finally:
        for process in (mine, other):
            process.kill()
            process.wait()
