"""`redrive migrate`: bring the database to the current schema."""

import sys

import typer

app = typer.Typer()


@app.callback(invoke_without_command=True)
def migrate() -> None:
    """Bring the database that DATABASE_URL names to the current schema.

    Safe to call again, and from several machines at once.
    """
    from server.db.engine import make_engine  # SQLAlchemy and Alembic, only here
    from server.db.upgrade import migrate as upgrade
    from server.settings import get_settings

    engine = make_engine(get_settings().sqlalchemy_url, pool_size=1)
    before, after = upgrade(engine)
    engine.dispose()
    was = "" if before == after else f" (was {before or 'empty'})"
    print(f"the schema is at {after}{was}", file=sys.stderr)
