"""Every setting of an installation, from the environment; its docstring documents each."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from suites.errors import Finding, MachineError


class Settings(BaseSettings):
    """From `REDRIVE_<NAME>`; `DATABASE_URL` and `BROKER_URL` have the names that hosters set."""

    model_config = SettingsConfigDict(
        env_prefix="REDRIVE_", use_attribute_docstrings=True, frozen=True, populate_by_name=True
    )

    database_url: Annotated[str, Field(validation_alias="DATABASE_URL")] = ""
    """`postgresql://user@host/name`: the queue of record, the index of everything.
    Empty: `redrive up` starts its own."""
    broker_url: Annotated[str, Field(validation_alias="BROKER_URL")] = ""
    """`redis://host:6379/0` or `redis+socket:///path`: wakes the workers up.
    Empty: `redrive up` starts its own."""
    data: Path = Path(".redrive")
    """Folder of the installation: blobs, segments, embedded services, logs."""
    public_url: str = "http://127.0.0.1:8700"
    """Where people and CI reach the dashboard: the start of every link that is printed."""
    max_graph_bytes: Annotated[int, Field(gt=0)] = 256 * 1024 * 1024
    """Largest ONNX graph that may be uploaded; refused while it streams."""
    max_document_bytes: Annotated[int, Field(gt=0)] = 16 * 1024 * 1024
    """Largest JSON or TOML body (manifest, suite, run)."""
    max_wait_s: Annotated[float, Field(ge=0, le=300)] = 60.0
    """Longest `?wait=` that a request may hold its connection, s."""
    max_events_s: Annotated[float, Field(gt=0)] = 3600.0
    """Longest that one stream of server-sent events lives, s; clients reconnect."""
    watch_interval_s: Annotated[float, Field(gt=0)] = 0.5
    """How often a waiting request or event stream looks at the database, s."""
    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Items of a list when the request doesn't say."""
    database_pool: Annotated[int, Field(ge=1)] = 10
    """Connections that one process keeps; as many again are opened under load."""
    lease_s: Annotated[float, Field(gt=0)] = 30.0
    """How long a worker holds a shard without a sign of life, s; it gives three in that time."""
    shard_limit_s: Annotated[float, Field(gt=0)] = 900.0
    """Longest that one shard may be driven, s; then its process is killed: a failed attempt."""
    shard_attempts: Annotated[int, Field(ge=1)] = 3
    """Failed attempts before a shard is split into single rollouts, and a rollout given up."""
    shard_rollouts: Annotated[int, Field(ge=1)] = 4
    """Rollouts of each camera model in one shard."""
    shard_rollouts_controls: Annotated[int, Field(ge=1)] = 64
    """Rollouts of each controller (tinyphysics) in one shard."""
    worker_shards: Annotated[int, Field(ge=1)] = 200
    """Shards that one process of a worker drives before a fresh one takes its place."""
    nightly_hour: Annotated[int, Field(ge=-1, le=23)] = 3
    """Hour (UTC) from which the coordinator has the day's standing checks made; -1: never."""
    log_level: str = "info"
    """debug, info, warning or error."""
    log_format: Annotated[str, Field(pattern="^(json|text)$")] = "json"
    """`json` for machines, `text` for people."""

    @property
    def blobs(self) -> Path:
        """Graphs, traces and artifacts by sha256."""
        return self.data / "blobs"

    @property
    def segments(self) -> Path:
        """Stored segments, one folder each."""
        return self.data / "segments"

    @property
    def sqlalchemy_url(self) -> str:
        """The database's address for SQLAlchemy with psycopg 3. Raises MachineError without one."""
        if not self.database_url:
            remedy = "start everything with `redrive up`, or name your Postgres"
            finding = Finding("DATABASE_URL", "not set", remedy)
            raise MachineError("no database is configured", finding)
        for scheme in ("postgresql://", "postgres://"):
            if self.database_url.startswith(scheme):
                return "postgresql+psycopg://" + self.database_url.removeprefix(scheme)
        return self.database_url


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
