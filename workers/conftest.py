"""A worker's process on a real database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from server.db.bank_tables import ModelRow
from server.db.engine import make_engine, make_sessions
from server.settings import Settings
from server.storage import BlobStore
from workers import process as process_module
from workers.process import Process
from workers.tests.shards import ME, Sessions


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    engine: Engine = make_engine(database_url, pool_size=2)
    with make_sessions(engine).begin() as session:
        session.add(ModelRow(digest="m" * 64, name="m", kind="camera", manifest={}))
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path)


@pytest.fixture
def here(
    sessions: Sessions, blobs: BlobStore, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Process:
    process = Process(
        worker="me/1",
        runtimes=ME.runtimes,
        settings=Settings(database_url=database_url),
        sessions=sessions,
        blobs=blobs,
    )
    monkeypatch.setattr(process_module._Here, "process", process)
    return process
