"""What a locked-down process can still do, tried from inside it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ATTEMPTS = """
import ctypes, fcntl, json, mmap, os, resource, signal, socket, sys, termios, threading
from workers.policy.sandbox.lockdown import Bounds, lock_down

libc = ctypes.CDLL(None, use_errno=True)
read_end, write_end = os.pipe()

def call(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")

ATTEMPTS = {
    "open a file": lambda: open("/proc/self/status"),
    "write a file": lambda: open("/tmp/redrive-escape", "w"),
    "list a folder": lambda: os.listdir("/"),
    "open a TCP socket": lambda: socket.socket(),
    "open a Unix socket": lambda: socket.socket(socket.AF_UNIX),
    "make a pair of sockets": lambda: socket.socketpair(),
    "fork": lambda: os.fork(),
    "execute": lambda: os.execv("/bin/true", ["/bin/true"]),
    "start a thread": lambda: threading.Thread(target=int).start(),
    "kill the parent": lambda: os.kill(os.getppid(), 0),
    "trace the parent": lambda: call(101, 16, os.getppid(), 0, 0),
    "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_CPU, (1000, 1000)),
    "become root": lambda: os.setuid(0),
    "duplicate a descriptor": lambda: os.dup(0),
    "make a shared file": lambda: os.memfd_create("x"),
    "allocate beyond the limit": lambda: bytearray(3 << 30),
    "drive a device": lambda: fcntl.ioctl(read_end, termios.FIONREAD, b"1234"),
}
ALLOWED = {
    "allocate": lambda: bytearray(64 << 20),
    "map memory": lambda: mmap.mmap(-1, 1 << 20).close(),
    "answer through an open pipe": lambda: os.write(write_end, b"x") and os.read(read_end, 1),
    "draw random bytes": lambda: os.urandom(8),
}
mode = sys.argv[1]
bounds = Bounds(None if mode == "device" else 2 << 30, 60)
taken = lock_down(bounds, os.getppid(), threads=mode != "alone", device=mode == "device")

def outcome(attempt):
    try:
        attempt()
    except (OSError, MemoryError, RuntimeError, ValueError) as error:
        return type(error).__name__
    return "done"

outcomes = {name: outcome(f) for name, f in (ATTEMPTS | ALLOWED).items()}
print(json.dumps({"taken": taken, **outcomes}))
"""


def attempt_all(mode: str) -> dict[str, object]:
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", ATTEMPTS, mode],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def outcomes() -> dict[str, object]:
    return attempt_all("alone")


REFUSED = {
    "open a file": "PermissionError",
    "write a file": "PermissionError",
    "list a folder": "PermissionError",
    "open a TCP socket": "PermissionError",
    "open a Unix socket": "PermissionError",
    "make a pair of sockets": "PermissionError",
    "fork": "PermissionError",
    "execute": "PermissionError",
    "start a thread": "RuntimeError",
    "kill the parent": "PermissionError",
    "trace the parent": "PermissionError",
    "raise a limit": "ValueError",
    "become root": "PermissionError",
    "duplicate a descriptor": "PermissionError",
    "make a shared file": "PermissionError",
    "allocate beyond the limit": "MemoryError",
    "drive a device": "PermissionError",
}


@pytest.mark.parametrize("attempt", REFUSED)
def test_is_refused(outcomes: dict[str, object], attempt: str) -> None:
    assert outcomes[attempt] == REFUSED[attempt], outcomes["taken"]


@pytest.mark.parametrize(
    "attempt", ["allocate", "map memory", "answer through an open pipe", "draw random bytes"]
)
def test_still_works(outcomes: dict[str, object], attempt: str) -> None:
    assert outcomes[attempt] == "done"


def test_a_runtime_that_needs_threads_gets_them_and_nothing_else(
    outcomes: dict[str, object],
) -> None:
    assert attempt_all("threads") == outcomes | {"start a thread": "done"}


def test_a_gpu_s_driver_gets_addresses_and_ioctl_and_the_record_says_so(
    outcomes: dict[str, object],
) -> None:
    found = attempt_all("device")
    taken, other = (
        found.pop("taken"),
        {name: value for name, value in outcomes.items() if name != "taken"},
    )
    assert found == other | {
        "start a thread": "done",
        "allocate beyond the limit": "done",
        "drive a device": "done",
    }
    assert isinstance(taken, list)
    assert {"rlimits_but_address_space", "seccomp_but_ioctl"} <= set(taken)


def test_landlock_alone_already_hides_every_file() -> None:
    code = """
from workers.policy.sandbox import lockdown
lockdown._no_new_privs()
try:
    lockdown._landlock()
except OSError as error:
    print("none", error)
else:
    try:
        open("/proc/self/status")
    except PermissionError:
        print("hidden")
"""
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    if done.stdout.startswith("none"):
        pytest.skip(f"this kernel has no Landlock: {done.stdout}")
    assert done.stdout == "hidden\n"
