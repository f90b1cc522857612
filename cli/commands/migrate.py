"""`redrive migrate`: bring the database to the current schema."""

import sys

import typer

app = typer.Typer(help="Bring the database to the current schema.")


@app.callback(invoke_without_command=True)
def migrate() -> None:
    """Upgrade the database that DATABASE_URL names. Safe to call again, and from several machines at once."""
    from server.db.engine import make_engine  # SQLAlchemy and Alembic, only here
    from server.db.upgrade import migrate as upgrade
    from server.settings import get_settings

    engine = make_engine(get_settings().sqlalchemy_url, pool_size=1)
    before, after = upgrade(engine)
    engine.dispose()
    print(
        f"the schema is at {after}" + ("" if before == after else f" (was {before or 'empty'})"),
        file=sys.stderr,
    )
