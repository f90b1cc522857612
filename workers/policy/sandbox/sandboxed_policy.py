"""A policy whose graph runs in one locked-down child process (child.py, lockdown.py).

    SandboxedPolicy                       child
      START, KEEP, STEP  --- pipe --->    locked down, graph loaded
      LOCKED, DONE, ...  <-- pipe ----
      observation        --- memory -->   act
      action             <-- memory ---

The child is a fresh interpreter with an empty environment, not a fork: it inherits no socket and no
secret. The shared memory has a fixed layout; nothing is pickled.

What the model does to its process (crash, time-out, memory) is a PolicyError that says what the
submitter must change. What the machine does to it (not started, killed from outside, starved of
CPU) is a MachineError, which is retried elsewhere and never scored.

The kernel kills the child when the *thread* that started it ends: open and drive a policy in one
thread.
"""

import fcntl
import json
import mmap
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suites.errors import Finding, MachineError
from suites.manifest import Manifest
from suites.rollout import ExecutionClass
from workers.policy.policy import Action, Observation, PolicyError
from workers.policy.sandbox.layout import HEADER, Command, Layout, Reply, read_some

ROOT = Path(__file__).parents[3]
BOOT = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from workers.policy.sandbox.child import main; main(int(sys.argv[1]))"
)
ENVIRONMENT = {
    "ORT_DISABLE_TELEMETRY": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "LC_ALL": "C.UTF-8",
}
DEVICE_ENVIRONMENT = ("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
"""Of ours, for a child that works on a GPU: which one, and where its libraries are."""
LEAST_ROWS = 16
STARVED = 10
"""After this many time-outs without the CPU time to match, the machine is to blame."""
LONGEST_REPLY = 65536


Graphs = Mapping[str, Path]
"""Role to file of the ONNX graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a model may use. Times count only while it really has the CPU."""

    start_s: float = 30.0
    """To start the process and load the graphs."""
    step_s: float = 5.0
    """For one step of a batch ..."""
    row_s: float = 0.5
    """... and in addition for each of its rows."""
    address_space_bytes: int = 4 << 30
    cpu_s: int = 4 * 3600
    """CPU time of the child's whole life."""


class SandboxedPolicy:
    """`Policy` over a locked-down child.

    The first `start` starts the child, which loads while the simulator prepares: a graph that does
    not load raises at the first `act`. The child then serves any number of `start`s, also of later
    batches (kept.py). A model that never answered one step is not tried again.
    """

    def __init__(
        self, manifest: Manifest, graphs: Graphs, execution: ExecutionClass, limits: Limits
    ) -> None:
        self.manifest = manifest
        self.execution = execution
        self.provenance: dict[str, Any] = {}
        """`sandbox`: the steps of the lock-down that this kernel let the child take.

        Known after the first step; an empty list where a model ran unsandboxed."""
        self._graphs = graphs
        self._limits = limits
        self._child: _Child | None = None
        self._layout = Layout(manifest, LEAST_ROWS)
        self._batch = 0
        self._answered = False
        self._broken: PolicyError | None = None

    def start(self, batch: int) -> None:
        self._batch = batch
        if self._broken:
            return
        if batch > self._layout.rows:
            self.close()
            self._layout = Layout(self.manifest, 1 << (batch - 1).bit_length())
        if self._child is None:
            mine = (self.manifest, self._graphs, self.execution, self._limits, self._layout)
            self._child = _Child(*mine)
        self._child.send(HEADER.pack(Command.START, batch))

    def act(self, observation: Observation) -> Action:
        if self._broken:
            raise self._broken
        if self._child is None:
            raise PolicyError("the model failed in an earlier step of this batch")
        try:
            if not self._child.ready:
                self.provenance["sandbox"] = self._child.wait_until_ready()
            self._layout.write_observation(self._child.region, observation, self._batch)
            self._child.step(self._batch)
        except PolicyError as error:
            self.close()
            if not self._answered:
                self._broken = error
            raise
        except MachineError:
            self.close()
            raise
        self._answered = True
        return self._layout.action(self._child.region, self._batch)

    def keep(self, rows: NDArray[np.int64]) -> None:
        self._batch = len(rows)
        if self._child is not None:
            numbers = np.ascontiguousarray(rows, np.int64).tobytes()
            self._child.send(HEADER.pack(Command.KEEP, len(rows)) + numbers)

    def worked_s(self) -> float | None:
        """CPU time of the child so far; None where none lives that has answered."""
        return self._child.worked_s() if self._child is not None and self._answered else None

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None


class _Child:
    """One process: started, spoken to, and killed."""

    def __init__(
        self,
        manifest: Manifest,
        graphs: Graphs,
        execution: ExecutionClass,
        limits: Limits,
        layout: Layout,
    ) -> None:
        self.ready = False
        self._limits = limits
        self._stderr = os.memfd_create("redrive-policy-stderr")
        device = execution.device != "cpu"
        addresses = None if device else limits.address_space_bytes + layout.size
        with ExitStack() as opened:  # the child has its own descriptors of all this
            region_fd = _sealed_memory(layout.size, opened)
            self.region = mmap.mmap(region_fd, layout.size)
            graph_fds = {
                role: opened.enter_context(path.open("rb")).fileno()
                for role, path in graphs.items()
            }
            config = {
                "manifest": asdict(manifest),
                "execution": asdict(execution),
                "rows": layout.rows,
                "region_fd": region_fd,
                "graph_fds": graph_fds,
                "bounds": {"address_space_bytes": addresses, "cpu_s": limits.cpu_s},
                "parent_pid": os.getpid(),
            }
            config_fd = _memory("redrive-policy-config", 0, opened)
            os.pwrite(config_fd, json.dumps(config).encode(), 0)
            arguments = [str(config_fd), str(ROOT), *filter(None, sys.path)]
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", BOOT, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                cwd="/",
                env=_environment(device),
                bufsize=0,
                pass_fds=(region_fd, config_fd, *graph_fds.values()),
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands = self._process.stdin
        self._replies = self._process.stdout
        self._poll = select.poll()
        self._poll.register(self._replies, select.POLLIN)

    def send(self, command: bytes) -> None:
        """Dead or not: its death is told by the reply that does not come."""
        try:
            self._commands.write(command)
        except BrokenPipeError:
            return

    def wait_until_ready(self) -> list[str]:
        """The steps of the lock-down that were taken, once the graphs are loaded."""
        until = time.monotonic() + self._limits.start_s
        what = f"did not load within {self._limits.start_s:g} s"
        taken = self._receive(until - time.monotonic(), what, untrusted=False)
        self._receive(until - time.monotonic(), what)
        self.ready = True
        return [str(step) for step in taken]

    def step(self, batch: int) -> None:
        self.send(HEADER.pack(Command.STEP, batch))
        allowed_s = self._limits.step_s + self._limits.row_s * batch
        self._receive(allowed_s, f"did not answer a step of {batch} row(s) within {allowed_s:g} s")

    def worked_s(self) -> float | None:
        """Its CPU time so far; None where it is dead."""
        return self._cpu_s() if self._process.poll() is None else None

    def kill(self) -> None:
        """End the process group and everything that was shared with it."""
        with suppress(ProcessLookupError):  # already dead and reaped
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._commands.close()
        self._replies.close()
        os.close(self._stderr)

    def _receive(self, allowed_s: float, late: str, untrusted: bool = True) -> Any:
        """The document of one reply. `untrusted`: the graph ran, so a death is the model's."""
        try:
            code, length = HEADER.unpack(self._read(HEADER.size, allowed_s, late))
            said = self._read(min(length, LONGEST_REPLY), allowed_s, late)
            document = json.loads(said or b"null")
            if code in (Reply.LOCKED, Reply.DONE):
                return document
            failed = MachineError if code == Reply.MACHINE_FAILED else PolicyError
            findings = tuple(Finding(**finding) for finding in document["findings"])
            error: PolicyError | MachineError = failed(str(document["message"]), findings)
        except EOFError:
            error = self._death(untrusted)
        except (ValueError, TypeError, KeyError):
            odd = "the model's process answered with something that no adapter of ours says"
            error = PolicyError(odd)
        raise error

    def _read(self, count: int, allowed_s: float, late: str) -> bytes:
        data = b""
        while len(data) < count:
            self._wait(max(allowed_s, 0.001), late)
            data += read_some(self._replies.fileno(), count - len(data))
        return data

    def _wait(self, allowed_s: float, late: str) -> None:
        began, cpu_began = time.monotonic(), self._cpu_s()
        while not self._poll.poll(allowed_s * 1000):
            waited_s, cpu_s = time.monotonic() - began, self._cpu_s() - cpu_began
            if cpu_s >= 0.8 * allowed_s:
                remedy = "bound every Loop and Scan of the graph, or make a step cheaper"
                raise PolicyError(f"the model {late}: {remedy}", (Finding("graph", late, remedy),))
            if waited_s >= STARVED * allowed_s:
                had = f"but had the CPU for only {cpu_s:.1f} of {waited_s:.1f} s"
                raise MachineError(f"the model {late}, {had}")

    def _cpu_s(self) -> float:
        """CPU time of the child so far: the process clock of clock_getcpuclockid(3)."""
        try:
            return time.clock_gettime((~self._process.pid << 3) | 2)
        except OSError:
            return 0.0

    def _death(self, untrusted: bool) -> PolicyError | MachineError:
        """Who ended it: the machine from outside, or the model. Then its last words tell how."""
        status = self._process.wait()
        said = os.pread(self._stderr, LONGEST_REPLY, 0).decode(errors="replace").strip()
        last_words = said[-600:]
        if not untrusted or status >= 0 or status == -signal.SIGKILL:
            ended = f"the model's process ended ({_status(status)})"
            return MachineError(f"{ended}: {last_words or 'it said nothing'}")
        if status == -signal.SIGXCPU:
            problem = f"used up its {self._limits.cpu_s} s of CPU time"
            remedy = "make a step cheaper"
        elif "bad_alloc" in said or "MemoryError" in said:
            gib = self._limits.address_space_bytes / (1 << 30)
            problem = f"needs more than the {gib:g} GiB it may use"
            remedy = "make constants and tensors of the graph smaller"
        else:
            problem = f"crashed its process ({_status(status)})"
            remedy = "run it with `replay --no-sandbox` to see where"
        finding = Finding("graph", last_words or problem, remedy)
        return PolicyError(f"the model {problem}: {remedy}", (finding,))


def _memory(name: str, flags: int, opened: ExitStack) -> int:
    """The descriptor of a file that lies in memory only."""
    fd = os.memfd_create(name, flags)
    opened.callback(os.close, fd)
    return fd


def _sealed_memory(size: int, opened: ExitStack) -> int:
    """Memory that neither side can make smaller under the other, or larger."""
    fd = _memory("redrive-policy", os.MFD_ALLOW_SEALING, opened)
    os.ftruncate(fd, size)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def _environment(device: bool) -> dict[str, str]:
    ours = {name: os.environ[name] for name in DEVICE_ENVIRONMENT if name in os.environ}
    return ENVIRONMENT | (ours if device else {})


def _status(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
