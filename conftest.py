"""Real Postgres and Valkey for the tests.

One pair of servers serves a session; each test gets a fresh database and broker. Under pytest-xdist
the controller starts the servers and hands their addresses to its workers: they live exactly as
long as the session. Without it they start with the first test that asks.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
import redis
import sqlalchemy as sa
from hypothesis import settings

from cli.supervision.embedded import Addresses, services

os.environ["REDRIVE_NIGHTLY_HOUR"] = "-1"  # at no hour do tests differ
settings.load_profile("ci")  # nor on any machine: the same examples, however long they take

TEMPLATE_LOCK = 8700
"""The advisory lock under which the first test of a session makes the migrated template."""
BROKERS = 8000
"""Numbered Valkey databases that are handed out in turn."""

_servers = pytest.StashKey[tuple[ExitStack, Addresses]]()


def _start(config: pytest.Config) -> Addresses:
    if _servers not in config.stash:
        stack = ExitStack()
        folder = TemporaryDirectory(prefix="redrive-", ignore_cleanup_errors=True)
        servers = services(Path(stack.enter_context(folder)), durable=False)
        config.stash[_servers] = (stack, stack.enter_context(servers))
    return config.stash[_servers][1]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the addresses to a worker of pytest-xdist; called in the controller."""
    addresses = _start(node.config)
    node.workerinput["services"] = (addresses.database_url, addresses.broker_url)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers that this process started."""
    if _servers in config.stash:
        config.stash[_servers][0].close()


@pytest.fixture(scope="session")
def service_addresses(pytestconfig: pytest.Config) -> Addresses:
    """The session's Postgres and Valkey; tests want `database_url` and `broker_url`."""
    worker_input = getattr(pytestconfig, "workerinput", None)
    return Addresses(*worker_input["services"]) if worker_input else _start(pytestconfig)


@pytest.fixture(scope="session")
def administrator(service_addresses: Addresses) -> Iterator[sa.Engine]:
    """An engine that may create and drop databases: every statement commits by itself."""
    engine = sa.create_engine(
        service_addresses.database_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def template_database(administrator: sa.Engine) -> str:
    """Name of the migrated database that tests clone; the workers of one session share it."""
    # most sessions of a developer never need the whole server
    from server.db.upgrade import migrate

    name = "template_redrive"
    partial = f"{name}_partial"  # a set-up that was interrupted is no template
    lock = sa.text("SELECT pg_advisory_lock(:key)")  # held until the connection closes
    known = sa.text("SELECT count(*) FROM pg_database WHERE datname = :name")
    with administrator.connect() as connection:
        connection.execute(lock, {"key": TEMPLATE_LOCK})
        if not connection.scalar(known, {"name": name}):
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {partial}"))
            connection.execute(sa.text(f"CREATE DATABASE {partial}"))
            engine = sa.create_engine(_url(administrator, partial), poolclass=sa.NullPool)
            migrate(engine)
            with engine.begin() as migrated:  # runs of equal tests have equal orders
                migrated.execute(sa.text("INSERT INTO secrets VALUES ('order', 'of tests')"))
            engine.dispose()
            connection.execute(sa.text(f"ALTER DATABASE {partial} RENAME TO {name}"))
    return name


@pytest.fixture
def empty_database_url(administrator: sa.Engine) -> Iterator[str]:
    """SQLAlchemy's URL of a database without any table, dropped after the test."""
    with _database(administrator, "template0") as url:
        yield url


@pytest.fixture
def database_url(administrator: sa.Engine, template_database: str) -> Iterator[str]:
    """SQLAlchemy's URL of a migrated, empty database of this test alone, dropped after it."""
    with _database(administrator, template_database) as url:
        yield url


@contextmanager
def _database(administrator: sa.Engine, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    create = sa.text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    with administrator.connect() as connection:
        connection.execute(create)
    yield _url(administrator, name)
    with administrator.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


def _url(administrator: sa.Engine, database: str) -> str:
    return administrator.url.set(database=database).render_as_string(hide_password=False)


@pytest.fixture
def broker_url(service_addresses: Addresses) -> Iterator[str]:
    """Celery's URL of an empty Valkey database of this test alone.

    `redis+socket:///PATH?virtual_host=N`
    """
    path = service_addresses.broker_url.removeprefix("redis+socket://").partition("?")[0]
    with redis.Redis(unix_socket_path=path, db=0) as counter:
        number = 1 + int(counter.incr("broker")) % BROKERS
    yield f"redis+socket://{path}?virtual_host={number}"
    with redis.Redis(unix_socket_path=path, db=number) as used:
        used.flushdb()
