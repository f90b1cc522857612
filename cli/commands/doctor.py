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
from typing import Annotated, Literal

import psutil
import typer

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
"""`weak`: it runs, with less safety or speed; `missing`: `redrive up` or `redrive demo` will not work."""
DISK_BYTES, MEMORY_BYTES, SHARED_BYTES = 2 * 10**9, 3 * 10**9, 256 * 2**20
"""What the demo needs: data, all its processes together, and frames that are shared between processes."""
LOCK_DOWN = (
    "import json, os\nfrom workers.policy.sandbox.lockdown import Bounds, lock_down\n"
    "steps = lock_down(Bounds(address_space_bytes=2**34, cpu_s=5), os.getppid())\nos.write(1, json.dumps(steps).encode())"
)
"""Locks a child down as the evaluation of a model is, and prints the steps that this kernel let it take."""


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    level: Level
    found: str
    remedy: str = ""
    """What to do; empty when all is well."""


@app.callback(invoke_without_command=True)
def doctor(
    data: Annotated[
        Path, typer.Option(envvar="REDRIVE_DATA", help="Folder of the installation.")
    ] = Path(".redrive"),
    port: Annotated[
        int | None,
        typer.Option(
            envvar="REDRIVE_PORT",
            help="Port to listen on.",
            show_default="8700, or the next free one",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", envvar="REDRIVE_JSON", help="The checks as JSON.")
    ] = False,
) -> None:
    """Check this machine and say what is missing. Exit status 4 when something is missing that Redrive cannot do without."""
    checks = list(examine(data, port))
    if as_json:
        print(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            print(
                f"{check.level:8}{check.name}: {check.found}"
                + (f"\n{'':8}-> {check.remedy}" if check.remedy else "")
            )
    raise typer.Exit(4 if any(check.level == "missing" for check in checks) else 0)


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
        return Check(
            name,
            level,
            f"{error} ({details})",
            "; ".join(finding.remedy for finding in error.findings),
        )
    except OSError as error:
        return Check(name, level, str(error), f"let this user create and open {error.filename}")


def _binary(name: str, find: Callable[[], Path]) -> Check:
    def look() -> str:
        return subprocess.run(
            [str(find()), "--version"], capture_output=True, text=True, check=False
        ).stdout.strip()

    return _attempt(name, "missing", look)


def _postgres_user() -> Check:
    if os.getuid() != 0:
        return Check("user", "ok", f"uid {os.getuid()}, as which Postgres runs")
    if namespaces_work():
        return Check("user", "ok", "root; Postgres runs in a user namespace")
    if shutil.which("setpriv"):
        return Check(
            "user",
            "weak",
            "root without user namespaces; Postgres runs as nobody",
            "run as an ordinary user if it fails",
        )
    return Check(
        "user",
        "missing",
        "root, and neither user namespaces nor setpriv",
        "run as an ordinary user, or set DATABASE_URL",
    )


def _sandbox() -> Check:
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOCK_DOWN],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    taken = set(json.loads(done.stdout)) if done.returncode == 0 else set()
    lacking = {"no_new_privs", "rlimits", "seccomp", "landlock"} - taken
    found = f"models are run with {', '.join(sorted(taken)) or 'nothing'}" + (
        f", without {', '.join(sorted(lacking))}" if lacking else ""
    )
    remedy = (
        "accept models of trusted senders only, or use a kernel with Landlock (5.13) and seccomp"
        if lacking
        else ""
    )
    return Check("sandbox", "weak" if lacking else "ok", found, remedy)


def _room(data: Path) -> Iterator[Check]:
    def enough(name: str, level: Level, found: int, needed: int, remedy: str) -> Check:
        short = found < needed
        return Check(
            name,
            level if short else "ok",
            f"{found / 1e9:.1f} GB free, {needed / 1e9:.1f} needed",
            remedy if short else "",
        )

    folder = next(path for path in (data.resolve(), *data.resolve().parents) if path.is_dir())
    yield enough(
        "disk",
        "missing",
        shutil.disk_usage(folder).free,
        DISK_BYTES,
        "make room, or choose another --data",
    )
    memory = psutil.virtual_memory().available
    yield enough(
        "memory", "weak", memory, MEMORY_BYTES, "close other programs, or give --workers 1"
    )
    shared = Path("/dev/shm")
    free = shutil.disk_usage(shared).free if shared.is_dir() else 0
    yield enough(
        "shared memory",
        "weak",
        free,
        SHARED_BYTES,
        "enlarge /dev/shm (in a container: --shm-size 512m)",
    )
    cores = len(os.sched_getaffinity(0))
    yield Check(
        "cores", "ok" if cores > 1 else "weak", str(cores), "" if cores > 1 else "give --workers 1"
    )
