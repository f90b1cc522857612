"""`redrive doctor`: what this machine offers, and what to do about each thing that it lacks."""

import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import psutil
import typer

from cli.exit_codes import EXIT_OURS
from cli.options import HERE, AsJson, Data, Port
from cli.printing import print_json
from cli.supervision.embedded import (
    namespaces_work,
    postgres_binaries,
    socket_folder,
    valkey_binary,
)
from cli.supervision.supervisor import free_port
from suites.errors import RedriveError

app = typer.Typer()

Level = Literal["ok", "weak", "missing"]
"""`weak`: it runs, with less safety or speed; `missing`: `redrive up` or `demo` will not work."""
DISK_BYTES = 2 * 10**9
MEMORY_BYTES = 3 * 10**9
SHARED_BYTES = 256 * 2**20
"""What the demo needs: data, all its processes, and frames that processes share."""
LOCK_DOWN = """
import json, os
from workers.policy.sandbox.lockdown import Bounds, lock_down
steps = lock_down(Bounds(address_space_bytes=2**34, cpu_s=5), os.getppid())
os.write(1, json.dumps(steps).encode())
"""
"""Locks a child down as the evaluation of a model is; prints the steps that this kernel allows."""


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    level: Level
    found: str
    remedy: str = ""
    """What to do; empty when all is well."""


@app.callback(invoke_without_command=True)
def doctor(data: Data = HERE, port: Port = None, as_json: AsJson = False) -> None:
    """Check this machine and say what is missing.

    Exit status 4 when something is missing that Redrive cannot do without.
    """
    checks = list(examine(data, port))
    if as_json:
        print_json([dataclasses.asdict(check) for check in checks])
    else:
        for check in checks:
            remedy = f"\n{'':8}-> {check.remedy}" if check.remedy else ""
            print(f"{check.level:8}{check.name}: {check.found}{remedy}")
    raise typer.Exit(EXIT_OURS if any(check.level == "missing" for check in checks) else 0)


def examine(data: Path, port: int | None = None) -> Iterator[Check]:
    """Every check, in the order in which a first start would meet it."""
    yield Check("python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield _binary("postgres", lambda: postgres_binaries() / "postgres")
    yield _binary("valkey", valkey_binary)
    yield _postgres_user()
    yield _sandbox()
    yield from _room(data)
    yield _attempt("sockets", "missing", lambda: str(socket_folder(data)))
    yield _attempt("port", "missing", lambda: f"{free_port('127.0.0.1', port)} is free")


def _attempt(name: str, level: Level, look: Callable[[], str]) -> Check:
    """The check's outcome is what `look` finds, or the error that it raises with its remedy."""
    try:
        return Check(name, "ok", look())
    except RedriveError as error:
        details = "; ".join(f"{finding.where}: {finding.problem}" for finding in error.findings)
        remedies = "; ".join(finding.remedy for finding in error.findings)
        return Check(name, level, f"{error} ({details})", remedies)
    except OSError as error:
        return Check(name, level, str(error), f"let this user create and open {error.filename}")


def _binary(name: str, find: Callable[[], Path]) -> Check:
    def look() -> str:
        command = [str(find()), "--version"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    return _attempt(name, "missing", look)


def _postgres_user() -> Check:
    if os.getuid() != 0:
        return Check("user", "ok", f"uid {os.getuid()}, as which Postgres runs")
    if namespaces_work():
        return Check("user", "ok", "root; Postgres runs in a user namespace")
    if shutil.which("setpriv"):
        found = "root without user namespaces; Postgres runs as nobody"
        return Check("user", "weak", found, "run as an ordinary user if it fails")
    found = "root, and neither user namespaces nor setpriv"
    return Check("user", "missing", found, "run as an ordinary user, or set DATABASE_URL")


def _sandbox() -> Check:
    command = [sys.executable, "-P", "-c", LOCK_DOWN]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    taken = set(json.loads(done.stdout)) if done.returncode == 0 else set()
    lacking = {"no_new_privs", "rlimits", "seccomp", "landlock"} - taken
    found = f"models are run with {', '.join(sorted(taken)) or 'nothing'}"
    if not lacking:
        return Check("sandbox", "ok", found)
    remedy = (
        "accept models of trusted senders only, or use a kernel with Landlock (5.13) and seccomp"
    )
    return Check("sandbox", "weak", f"{found}, without {', '.join(sorted(lacking))}", remedy)


def _room(data: Path) -> Iterator[Check]:
    def enough(name: str, level: Level, free: int, needed: int, remedy: str) -> Check:
        found = f"{free / 1e9:.1f} GB free, {needed / 1e9:.1f} needed"
        return Check(name, "ok", found) if free >= needed else Check(name, level, found, remedy)

    folder = next(path for path in (data.resolve(), *data.resolve().parents) if path.is_dir())
    disk = shutil.disk_usage(folder).free
    yield enough("disk", "missing", disk, DISK_BYTES, "make room, or choose another --data")
    memory = psutil.virtual_memory().available
    remedy = "close other programs, or give --workers 1"
    yield enough("memory", "weak", memory, MEMORY_BYTES, remedy)
    shared = Path("/dev/shm")
    free = shutil.disk_usage(shared).free if shared.is_dir() else 0
    remedy = "enlarge /dev/shm (in a container: --shm-size 512m)"
    yield enough("shared memory", "weak", free, SHARED_BYTES, remedy)
    cores = len(os.sched_getaffinity(0))
    if cores > 1:
        yield Check("cores", "ok", str(cores))
    else:
        yield Check("cores", "weak", str(cores), "give --workers 1")
