"""Alembic's environment: on the caller's connection (`redrive migrate`, tests) or the settings'."""

from alembic import context
from sqlalchemy import Connection

from server.db.base import Base
from server.db.engine import make_engine
from server.settings import get_settings


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        compare_server_default=False,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if isinstance(given, Connection):
    _migrate(given)
else:
    engine = given if given is not None else make_engine(get_settings().sqlalchemy_url)
    with engine.connect() as connection:
        _migrate(connection)
    engine.dispose()
