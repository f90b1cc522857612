"""Keeps programs running: started in stages, restarted when they die, stopped in reverse order."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from cli.supervision.processes import Child, Program, end_group, launch, stop, wait_done, wait_ready
from suites.errors import MachineError

START_TIMEOUT_S = 120.0
"""For one program; a first start on a busy machine compiles and imports for tens of seconds."""
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
"""Before a restart: doubled each time, forgotten once the program ran for `LONGEST_DELAY_S`."""
LOOK_S = 0.2


@dataclass(slots=True)
class _Kept:
    """A program that must be running."""

    child: Child
    started: float
    """time.monotonic() of its last start, s."""
    failures: int = 0
    """How often it ended in a row."""
    due: float | None = None
    """time.monotonic() of its next start while it is down, s."""


class _Stopping(Exception):
    """Ends a start that is still waiting."""


class Children:
    """Programs in stages; a stage starts when the one before it answers. One thread starts, watches
    and stops all of them. The kernel ends a child when the thread that started it ends: nothing
    outlives this process, however it is killed."""

    def __init__(
        self, stages: Sequence[Sequence[Program]], logs: Path, say: Callable[[str], None]
    ) -> None:
        self._stages = stages
        self._logs = logs
        self._say = say
        self._kept: list[list[_Kept]] = []
        self._stopping = threading.Event()
        # not Thread.join: interrupted by a signal, it takes the thread for ended (CPython < 3.13)
        self._ended = threading.Event()
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="children", daemon=True)

    def __enter__(self) -> "Children":
        """Start everything and return when all of it answers.

        MachineError with the end of a log when something does not.
        """
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything, last stage first."""
        self._stopping.set()
        self._ended.wait()

    def wait(self) -> None:
        """Return when the supervision has ended by itself, which it does only when it fails."""
        self._ended.wait()

    def _run(self) -> None:
        try:
            for stage in self._stages:
                self._start(stage)
            self._ready.set_result(None)
            while not self._stopping.wait(LOOK_S):
                for kept in (kept for stage in self._kept for kept in stage):
                    self._look_after(kept)
        except BaseException as error:  # every way out reaches the caller, who waits for it
            if not self._ready.done():
                self._ready.set_exception(error)
            else:
                self._say(f"the supervisor itself failed: {error}")
        finally:
            try:
                for running in reversed(self._kept):
                    stop([kept.child for kept in running])
            finally:
                self._ended.set()

    def _start(self, stage: Sequence[Program]) -> None:
        kept: list[_Kept] = []
        self._kept.append(kept)
        for program in stage:
            kept.append(_Kept(launch(program, self._logs), time.monotonic()))
        for each in kept:
            wait = wait_done if each.child.program.once else wait_ready
            wait(each.child, START_TIMEOUT_S, self._pause)

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise _Stopping

    def _look_after(self, kept: _Kept) -> None:
        program = kept.child.program
        now = time.monotonic()
        if program.once or kept.child.process.poll() is None:
            return
        if kept.due is None:
            end_group(kept.child)
            if now - kept.started > LONGEST_DELAY_S:
                kept.failures = 0
            delay = min(FIRST_DELAY_S * 2**kept.failures, LONGEST_DELAY_S)
            kept.failures += 1
            kept.due = now + delay
            ended = f"{program.name} ended ({kept.child.process.returncode})"
            self._say(f"{ended}; starting it again in {delay:g} s, see {kept.child.log}")
        elif now >= kept.due:
            kept.started = now
            kept.due = None
            # where it fails it is tried again: the process of before still counts as ended
            with contextlib.suppress(MachineError, OSError):
                kept.child = launch(program, self._logs)
