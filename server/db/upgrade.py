"""Bring a database to the current schema. Safe to call from several processes at once."""

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

_SCRIPTS = "migrations:."
"""The folder of the package `migrations`, for Alembic to find. Nothing here imports it: the
migrations know these tables, and not the reverse."""
_LOCK = 0x7EC0_0001
"""Advisory lock held while migrating."""


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    config.attributes["connection"] = connection
    return config


def migrate(engine: Engine, revision: str = "head") -> tuple[str | None, str | None]:
    """Upgrade to `revision` once no other process migrates; the revisions before and after."""
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        before = MigrationContext.configure(connection).get_current_revision()
        command.upgrade(_config(connection), revision)
        after = MigrationContext.configure(connection).get_current_revision()
    return before, after


def pending(engine: Engine) -> bool:
    """True when the database is behind this code."""
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        return current != _head()


@cache
def _head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()
