#!/usr/bin/env python3
"""Set up Redrive's environment in `.venv` if need be, then run it.

    python3 run.py demo                from nothing to three verdicts
    python3 run.py up                  the service on this machine
    python3 run.py test [ARGUMENTS]    the tests; arguments go to pytest
    python3 run.py COMMAND ...         any other command of `redrive`; --help lists them

Needs Python 3.11 or 3.12 and nothing else; everything is installed from requirements.lock, by hash.
"""

import fcntl
import hashlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
NEWEST = (3, 12)
MOST_TEST_PROCESSES = 4


class SetupError(Exception):
    """What went wrong, and what to do about it."""


def wanted_stamp(root: Path) -> str:
    """The place, as scripts hold absolute paths, and the digest of lock and project."""
    digest = hashlib.sha256()
    for name in ("requirements.lock", "pyproject.toml"):
        digest.update((root / name).read_bytes())
    return f"{root}\n{digest.hexdigest()}\n"


def is_ready(root: Path) -> bool:
    """Whether a complete environment of this lock and project stands there."""
    stamp = root / ".venv/stamp"
    python = root / ".venv/bin/python"
    return stamp.is_file() and python.exists() and stamp.read_text() == wanted_stamp(root)


def ensure_environment(root: Path) -> Path:
    """The environment's python, after making or updating it; one process at a time does so."""
    python = root / ".venv/bin/python"
    if is_ready(root):
        return python
    holder = os.open(str(root), os.O_RDONLY)
    try:
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another start is setting up .venv; waiting for it", file=sys.stderr, flush=True)
            # the kernel lets go of it when its holder ends, however it ends
            fcntl.flock(holder, fcntl.LOCK_EX)
        if not is_ready(root):
            _make(root, python)
    finally:
        os.close(holder)
    return python


def _make(root: Path, python: Path) -> None:
    environment = root / ".venv"
    stamp = environment / "stamp"
    whole = stamp.is_file() and python.exists()
    complete_before = whole and stamp.read_text().startswith(f"{root}\n")
    if complete_before:
        # from here on an interruption leaves no stamp, and the next start begins anew
        stamp.unlink()
    else:
        shutil.rmtree(str(environment), ignore_errors=True)
    told = "setting up .venv from requirements.lock (once, about a minute)"
    print(told, file=sys.stderr, flush=True)
    uv = _find_uv()
    if uv:
        if not complete_before:
            _call([uv, "venv", "--quiet", "--python", sys.executable, str(environment)])
        install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    else:
        if not complete_before:
            _require_ensurepip()
            _call([sys.executable, "-m", "venv", str(environment)])
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-compile"]
        install = [str(python), "-m", "pip", "install", *quiet]
    _call([*install, "--no-deps", "--require-hashes", "-r", str(root / "requirements.lock")])
    _call([*install, "--no-deps", "--no-build-isolation", "--editable", str(root)])
    partial = stamp.with_name("stamp.partial")
    partial.write_text(wanted_stamp(root))
    partial.rename(stamp)


def _find_uv() -> str:
    """uv from this Python's packages or PATH, or an empty string: it is only faster than pip."""
    if importlib.util.find_spec("uv") is not None:
        return str(importlib.import_module("uv").find_uv_bin())
    return shutil.which("uv") or ""


def _require_ensurepip() -> None:
    if importlib.util.find_spec("ensurepip") is None:
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        remedy = f"apt-get install {package} (or install uv), and start again"
        raise SetupError(f"this Python cannot make virtual environments: {remedy}")


def _call(command: "list[str]") -> None:
    """Run it, output on standard error: standard output belongs to the command that follows."""
    environment = dict(os.environ, UV_PYTHON_DOWNLOADS="never")
    done = subprocess.run(command, stdout=sys.stderr, stdin=subprocess.DEVNULL, env=environment)
    if done.returncode:
        failed = "set-up failed at: {}".format(" ".join(command))
        raise SetupError(f"{failed}\nsee the lines above; the next start begins anew")


def command(words: "list[str]") -> "list[str]":
    """What to run in place of this process. SetupError where the environment cannot be made."""
    root = Path(__file__).resolve().parent
    python = str(ensure_environment(root))
    if words[0] != "test":
        return [python, "-P", "-m", "cli.main", *words]
    os.chdir(str(root))
    processes = min(MOST_TEST_PROCESSES, os.cpu_count() or 1)
    return [python, "-m", "pytest", "-n", str(processes), *words[1:]]


def main() -> None:
    """Help without words, else the command that they name."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        found = "{}.{} ({})".format(*sys.version_info[:2], sys.executable)
        sys.exit(f"error: Redrive needs Python 3.11 or 3.12; this is {found}.")
    if len(sys.argv) == 1:
        print((__doc__ or "").strip())
        return
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        words = command(sys.argv[1:])
    except (SetupError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the next start begins the set-up anew")
    os.execv(words[0], words)


if __name__ == "__main__":
    main()
