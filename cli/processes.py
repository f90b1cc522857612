"""Child processes that end with their parent: launch, wait until ready, stop; and ending what a killed predecessor left."""

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
"""Set to the data directory in every supervised child: by it a successor finds what a killed supervisor left."""
LOG_LIMIT_BYTES = 10_000_000
POLL_S = 0.05

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
    ready: Callable[[], bool] = _always
    stop_signal: signal.Signals = signal.SIGTERM
    """Asks it to finish; also sent by the kernel when its parent dies."""
    grace_s: float = 10.0
    """How long it may take to finish before it is killed with its process group."""


def launch(program: Program, log: Path) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, output appended to `log`, bound to the life of the calling thread."""
    program.prepare()
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    parent = os.getpid()

    def bind_to_parent() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, int(program.stop_signal))
        if os.getppid() != parent:  # the parent died before the line above
            os._exit(1)

    with log.open("ab") as output:
        return subprocess.Popen(
            list(program.command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, **program.environment}, start_new_session=True, preexec_fn=bind_to_parent,
        )  # fmt: skip


def wait_ready(program: Program, process: subprocess.Popen[bytes], log: Path, timeout_s: float) -> None:
    """Return when the program answers. MachineError with the end of its log if it ends first or takes too long."""
    deadline = time.monotonic() + timeout_s
    while not program.ready():
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            reason = f"ended with exit status {process.returncode}" if ended else f"did not answer within {timeout_s:.0f} s"
            raise MachineError(f"{program.name} {reason}", (Finding(str(log), tail(log), "read the log for more"),))
        time.sleep(POLL_S)


def stop(program: Program, process: subprocess.Popen[bytes]) -> None:
    """Ask the program to finish, kill it after its grace, then kill what is left of its process group."""
    if process.poll() is None:
        process.send_signal(program.stop_signal)
        try:
            process.wait(program.grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log, or a note that it is empty."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:]) or "its log is empty"


def end_leftover(pid_file: Path, executable: str, folder: Path, stop_signal: signal.Signals, grace_s: float = 10.0) -> None:
    """End the server that a killed predecessor left running, and remove its pid file.

    Only a process whose executable has that name and whose working folder is `folder` is touched: a pid may have been
    given to somebody else since.
    """
    try:
        pid = int(pid_file.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        pid = 0
    if pid > 0:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process = psutil.Process(pid)
            if Path(process.exe()).name == executable and Path(process.cwd()) == folder.resolve():
                _end([process], stop_signal, grace_s)
    pid_file.unlink(missing_ok=True)


def end_orphans(data: Path, grace_s: float = 10.0) -> int:
    """End every process that an earlier supervisor of this data directory started; how many there were."""
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
