"""Engine and sessions: one place that knows how Postgres is spoken to."""

from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from suites.identity import canonical_json


def _serialize(value: Any) -> str:
    return canonical_json(value).decode()


def make_engine(url: str, pool_size: int = 10) -> Engine:
    """Engine on `url` (`postgresql+psycopg://...`). Connections are checked before use, so that a
    restarted Postgres costs no request. JSON columns hold canonical JSON, so that an identity can
    be computed again from what is stored."""
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        json_serializer=_serialize,
        connect_args={"connect_timeout": 10, "application_name": "redrive"},
    )


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions whose objects stay readable after the one commit at the edge."""
    return sessionmaker(engine, expire_on_commit=False)
