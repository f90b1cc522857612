"""Migrations: up and down again, one line, and equal to the models."""

from typing import Any

import pytest
from pytest_alembic import MigrationContext
from pytest_alembic.config import Config
from pytest_alembic.tests import (  # noqa: F401
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)
from sqlalchemy import Engine, inspect, text

from server.db.engine import make_engine
from server.db.upgrade import migrate, pending

pytestmark = pytest.mark.services


@pytest.fixture
def alembic_config() -> Config:
    return Config.from_raw_config({"script_location": "migrations"})


@pytest.fixture
def alembic_engine(empty_database_url: str) -> Any:
    engine = make_engine(empty_database_url)
    yield engine
    engine.dispose()


def test_migrating_twice_is_migrating_once(alembic_engine: Engine) -> None:
    assert pending(alembic_engine)
    before, after = migrate(alembic_engine)
    assert (before, pending(alembic_engine)) == (None, False)
    assert migrate(alembic_engine) == (after, after)


def test_down_to_nothing_leaves_no_table(
    alembic_runner: MigrationContext, alembic_engine: Engine
) -> None:
    alembic_runner.migrate_up_to("head")
    alembic_runner.migrate_down_to("base")
    assert set(inspect(alembic_engine).get_table_names()) <= {"alembic_version"}


def test_a_failed_migration_changes_nothing(alembic_engine: Engine) -> None:
    with alembic_engine.begin() as connection:
        connection.execute(text("CREATE TABLE runs (id int)"))
    with pytest.raises(Exception, match="already exists"):
        migrate(alembic_engine)
    assert inspect(alembic_engine).get_table_names() == ["runs"]


def test_what_was_quarantined_stays_so_when_quarantines_become_their_own(
    alembic_runner: MigrationContext, alembic_engine: Engine
) -> None:
    alembic_runner.migrate_up_to("0010")
    row = (
        "INSERT INTO segments (segment_id, digest, route, kind, tags, duration_s, meta, "
        "quarantined, quarantined_at) VALUES "
    )
    values = "('{0}', '{0}', 'r', 'camera', '{{}}', 1, '{{}}', {1}, '2026-01-01')"
    with alembic_engine.begin() as connection:
        connection.execute(
            text(row + values.format("bad", "'blocked'") + ", " + values.format("good", "NULL"))
        )
    alembic_runner.migrate_up_to("0011")
    with alembic_engine.begin() as connection:
        found = connection.execute(
            text("SELECT segment_digest, reason, since::date::text FROM quarantines")
        ).all()
    assert found == [("bad", "blocked", "2026-01-01")]
    alembic_runner.migrate_down_to("0010")
    with alembic_engine.begin() as connection:
        found = connection.execute(
            text("SELECT segment_id, quarantined FROM segments ORDER BY 1")
        ).all()
    assert found == [("bad", "blocked"), ("good", None)]


def test_runs_of_before_keep_the_order_of_their_suite(
    alembic_runner: MigrationContext, alembic_engine: Engine
) -> None:
    alembic_runner.migrate_up_to("0011")
    suites = (
        "INSERT INTO suites (name) VALUES ('s'); "
        "INSERT INTO models (digest, name, kind, manifest) VALUES ('m', 'm', 'camera', '{}')"
    )
    version = (
        "INSERT INTO suite_versions (digest, suite, document, planned) VALUES (:digest, 's', "
        "CAST(:document AS json), 1)"
    )
    run = (
        "INSERT INTO runs (id, identity, candidate, baseline, suite_digest, simulator, "
        "candidate_execution, baseline_execution, planned, status) "
        "VALUES (:digest, :digest, 'm', 'm', :digest, '{}', '{}', '{}', 1, 'finished')"
    )
    documents = {"a": '{"order_seed": 20261122}', "b": '{"order_seed": null}', "c": "{}"}
    with alembic_engine.begin() as connection:
        connection.execute(text(suites))
        for digest, suite in documents.items():
            stored = {"digest": digest, "document": f'{{"suite": {suite}}}'}
            connection.execute(text(version), stored)
            connection.execute(text(run), stored)
    alembic_runner.migrate_up_to("0012")
    with alembic_engine.begin() as connection:
        found = connection.execute(
            text("SELECT id, order_seed, withdrawn_at FROM runs ORDER BY 1")
        ).all()
    assert found == [("a", 20261122, None), ("b", 0, None), ("c", 0, None)]
