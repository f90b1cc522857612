"""Child processes that end with their parent, and ending what a killed predecessor left."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from suites.errors import Finding, MachineError

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when the thread that started it ends."""
OWNER_VARIABLE = "REDRIVE_SUPERVISED_DATA"
"""Set to the data directory in every supervised child: a successor finds orphans by it."""
LOG_LIMIT_BYTES = 10_000_000
POLL_S = 0.05
Pause = Callable[[float], object]
"""Waits for a number of seconds."""

_libc = ctypes.CDLL(None, use_errno=True)


def _nothing() -> None:
    """No preparation is needed."""


def _always() -> bool:
    """Ready as soon as it runs."""
    return True


@dataclass(frozen=True, slots=True)
class Program:
    """A long-running child: how to start it, how to know that it answers, how to stop it."""

    name: str
    """Also the name of its log file."""
    command: Sequence[str]
    address: str = ""
    """Where clients reach it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the parent's environment."""
    prepare: Callable[[], None] = _nothing
    """Called before every start: creates what is missing, removes what a predecessor left."""
    once: bool = False
    """Runs to its end, like a migration; the programs after it start when it succeeded."""
    ready: Callable[[], bool] = _always
    stop_signal: signal.Signals = signal.SIGTERM
    """Asks it to finish; also sent by the kernel when its parent dies."""
    grace_s: float = 10.0
    """How long it may take to finish before it is killed with its process group."""


@dataclass(frozen=True, slots=True)
class Child:
    """A program that was started."""

    program: Program
    process: subprocess.Popen[bytes]
    log: Path


def launch(program: Program, logs: Path) -> Child:
    """Start a program in a session of its own, with its output in `logs/NAME.log`. It ends when the
    calling thread ends."""
    program.prepare()
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{program.name}.log"
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    parent = os.getpid()

    def bind_to_parent() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, int(program.stop_signal))
        if os.getppid() != parent:  # the parent died before the line above
            os._exit(1)

    with log.open("ab") as output:
        process = subprocess.Popen(
            list(program.command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **program.environment},
            start_new_session=True,
            preexec_fn=bind_to_parent,
        )
    return Child(program, process, log)


def wait_ready(child: Child, timeout_s: float, pause: Pause = time.sleep) -> None:
    """Return when the program answers. MachineError with the end of its log if it ends first or
    takes too long."""
    deadline = time.monotonic() + timeout_s
    while not child.program.ready():
        ended = child.process.poll() is not None
        if ended:
            raise _failure(child, f"ended with exit status {child.process.returncode}")
        if time.monotonic() > deadline:
            raise _failure(child, f"did not answer within {timeout_s:g} s")
        pause(POLL_S)


def wait_done(child: Child, timeout_s: float, pause: Pause = time.sleep) -> None:
    """Return when the program has done its work. MachineError with the end of its log if it failed
    or takes too long."""
    deadline = time.monotonic() + timeout_s
    while child.process.poll() is None:
        if time.monotonic() > deadline:
            raise _failure(child, f"was not done within {timeout_s:g} s")
        pause(POLL_S)
    if child.process.returncode:
        raise _failure(child, f"ended with exit status {child.process.returncode}")


def _failure(child: Child, reason: str) -> MachineError:
    finding = Finding(str(child.log), tail(child.log), "read the log for more")
    return MachineError(f"{child.program.name} {reason}", finding)


def stop(children: Sequence[Child]) -> None:
    """Ask all to finish, kill each after its grace, then what is left of their process groups."""
    for child in children:
        if child.process.poll() is None:
            child.process.send_signal(child.program.stop_signal)
    for child in children:
        try:
            child.process.wait(child.program.grace_s)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        end_group(child)


def end_group(child: Child) -> None:
    """Kill the processes that an ended program started and left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.process.pid, signal.SIGKILL)


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log, or a note that it is empty."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:]) or "its log is empty"


def end_leftover(
    pid_file: Path,
    executable: str,
    folder: Path,
    stop_signal: signal.Signals,
    grace_s: float = 10.0,
) -> None:
    """End the server that a killed predecessor left running, and remove its pid file.

    Then end what a server leaves that was killed itself: Postgres does not start while a session of
    the one before holds its shared memory. Only processes of that name and of that working folder
    are touched: a pid may have been given to somebody else.
    """

    def is_its(process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            return process.name() == executable and Path(process.cwd()) == folder.resolve()
        return False

    try:
        pid = int(pid_file.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        pid = 0
    if pid > 0:
        with contextlib.suppress(psutil.NoSuchProcess):
            server = psutil.Process(pid)
            _end([server] if is_its(server) else [], stop_signal, grace_s)
    _end([process for process in psutil.process_iter() if is_its(process)], signal.SIGKILL, grace_s)
    pid_file.unlink(missing_ok=True)


def end_orphans(data: Path, grace_s: float = 10.0) -> int:
    """End every process of an earlier supervisor of this data directory; how many there were."""
    mine = str(data.resolve())
    orphans = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            if process.pid != os.getpid() and process.environ().get(OWNER_VARIABLE) == mine:
                orphans.append(process)
    _end(orphans, signal.SIGTERM, grace_s)
    return len(orphans)


def _end(processes: Sequence[psutil.Process], stop_signal: signal.Signals, grace_s: float) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(stop_signal)
    _, stubborn = psutil.wait_procs(list(processes), timeout=grace_s)
    for process in stubborn:
        print(f"killing leftover process {process.pid}", file=sys.stderr)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=grace_s)
