"""Postgres and Valkey from wheels: real servers in a folder of the test's own."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from cli.supervision import embedded
from cli.supervision.embedded import postgres, postgres_binaries, services, socket_folder, valkey
from cli.supervision.processes import Child, end_leftover, launch, stop, wait_ready
from suites.errors import MachineError


def connect(child_or_url: str) -> psycopg.Connection:
    return psycopg.connect(child_or_url.replace("+psycopg", ""))


def killed(child: Child) -> None:
    """Death without any chance to tidy up."""
    child.process.kill()
    child.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Child]:
    child = launch(postgres(tmp_path, durable=False), tmp_path / "logs")
    wait_ready(child, timeout_s=60)
    yield child
    stop([child])


def test_both_serve_and_stop_without_a_trace(tmp_path: Path) -> None:
    with services(tmp_path, durable=False) as addresses:
        with connect(addresses.database_url) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
            assert connection.execute("SHOW fsync").fetchone() == ("off",)
        path = addresses.broker_url.removeprefix("redis+socket://").partition("?")[0]
        with redis.Redis(unix_socket_path=path) as broker:
            assert broker.ping()
            assert broker.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert list(socket_folder(tmp_path).iterdir()) == []
    assert [
        process
        for process in psutil.process_iter(["cwd"])
        if str(tmp_path) in (process.info["cwd"] or "")
    ] == []


def test_data_survives_a_restart_and_queued_messages_too(tmp_path: Path) -> None:
    for expected in (None, (7,)):
        with services(tmp_path) as addresses:
            path = addresses.broker_url.removeprefix("redis+socket://").partition("?")[0]
            with (
                redis.Redis(unix_socket_path=path) as broker,
                connect(addresses.database_url) as connection,
            ):
                assert broker.lpop("queue") == (b"task" if expected else None)
                broker.rpush("queue", "task")
                connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 7 AS x")
                assert expected in (None, connection.execute("SELECT x FROM kept").fetchone())


def test_a_still_running_orphan_of_the_same_folder_is_ended(server: Child, tmp_path: Path) -> None:
    successor = launch(server.program, tmp_path / "logs")
    try:
        assert server.process.wait(60) == 0, "the orphan got the signal for a clean shutdown"
        wait_ready(successor, timeout_s=60)
    finally:
        stop([successor])


def test_starts_again_after_sigkill(server: Child, tmp_path: Path) -> None:
    with contextlib.ExitStack() as sessions:  # that outlive it for a moment
        for _ in range(16):
            sessions.callback(connect(server.program.address).close)
        killed(server)
    successor = launch(server.program, tmp_path / "logs")
    try:
        wait_ready(successor, timeout_s=60)
    finally:
        stop([successor])


def test_pid_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "600"], cwd=tmp_path)
    pid_file = tmp_path / "postmaster.pid"
    pid_file.write_text(f"{bystander.pid}\n{tmp_path}\n")
    try:
        end_leftover(pid_file, "postgres", tmp_path, signal.SIGINT)
        assert bystander.poll() is None
        assert not pid_file.exists()
    finally:
        bystander.kill()
        bystander.wait()


def test_interrupted_set_up_leaves_no_half_cluster(tmp_path: Path) -> None:
    half = tmp_path / "postgres/partial"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    child = launch(postgres(tmp_path, durable=False), tmp_path / "logs")
    try:
        wait_ready(child, timeout_s=60)
    finally:
        stop([child])
    assert not half.exists()


def test_damaged_cluster_is_an_error_with_the_log(tmp_path: Path) -> None:
    (tmp_path / "postgres/cluster").mkdir(parents=True, mode=0o700)
    (tmp_path / "postgres/cluster/PG_VERSION").write_text("9.6\n")
    (tmp_path / "postgres/cluster/postgresql.conf").touch()
    child = launch(postgres(tmp_path), tmp_path / "logs")
    with pytest.raises(MachineError, match="postgres ended with exit status") as caught:
        wait_ready(child, timeout_s=60)
    assert "incompatible with server" in caught.value.findings[0].problem


def test_long_folder_gets_a_short_private_one_for_its_sockets(tmp_path: Path) -> None:
    data = tmp_path / ("x" * 100)
    folder = socket_folder(data)
    try:
        assert len(os.fsencode(folder / embedded.POSTGRES_SOCKET)) < embedded.SOCKET_PATH_LIMIT
        assert folder == socket_folder(data)
        assert folder != socket_folder(tmp_path / ("y" * 100))
        folder.chmod(0o755)
        with pytest.raises(MachineError, match="not a private folder"):
            socket_folder(data)
    finally:
        folder.rmdir()
        socket_folder(tmp_path / ("y" * 100)).rmdir()


def test_valkey_that_was_killed_starts_again(tmp_path: Path) -> None:
    first = launch(valkey(tmp_path), tmp_path / "logs")
    wait_ready(first, timeout_s=60)
    killed(first)
    second = launch(valkey(tmp_path), tmp_path / "logs")
    try:
        wait_ready(second, timeout_s=60)
    finally:
        stop([second])


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_root_without_user_namespaces_runs_postgres_as_nobody() -> None:
    reach = [*embedded.OTHER_USER, "test", "-x", str(postgres_binaries() / "postgres")]
    if subprocess.run(reach).returncode:
        pytest.skip("the environment stands in a folder that nobody else may enter")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o711)
        data = Path(name)
        child = launch(postgres(data, durable=False, namespaces=False), data / "logs")
        try:
            wait_ready(child, timeout_s=60)
            assert psutil.Process(child.process.pid).uids().real == embedded.OTHER_UID
            with connect(child.program.address) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        finally:
            stop([child])


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_folder_that_nobody_else_may_enter_is_a_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(MachineError, match="Postgres cannot run as root"):
        postgres(tmp_path / "data", namespaces=False)
