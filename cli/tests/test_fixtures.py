"""The root conftest: each test gets its own database and broker on the session's real servers."""

import pytest
import redis
import sqlalchemy as sa


@pytest.fixture(params=["first", "second"])
def engine(request: pytest.FixtureRequest, database_url: str) -> sa.Engine:
    return sa.create_engine(database_url, poolclass=sa.NullPool)


def test_database_is_migrated_and_never_shared(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        assert "alembic_version" in tables
        assert "left_by_a_test" not in tables
        connection.execute(sa.text("CREATE TABLE left_by_a_test (x int)"))


@pytest.mark.parametrize("attempt", [1, 2])
def test_broker_is_empty_and_never_shared(broker_url: str, attempt: int) -> None:
    path, _, number = broker_url.removeprefix("redis+socket://").partition("?virtual_host=")
    with redis.Redis(unix_socket_path=path, db=int(number)) as broker:
        assert broker.dbsize() == 0
        broker.set("left by a test", attempt)


def test_empty_database_has_no_tables(empty_database_url: str) -> None:
    engine = sa.create_engine(empty_database_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == []
