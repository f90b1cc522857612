"""migrate: where the schema is."""

import pytest
from typer.testing import CliRunner

from cli.main import build

pytestmark = pytest.mark.services


def test_migrate_says_where_the_schema_is(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from server.settings import get_settings

    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    get_settings.cache_clear()
    first = CliRunner().invoke(build("migrate"), ["migrate"])
    again = CliRunner().invoke(build("migrate"), ["migrate"])
    get_settings.cache_clear()
    assert "(was empty)" in first.stderr
    assert again.stderr == first.stderr.replace(" (was empty)", "")
