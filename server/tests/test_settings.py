"""Settings: documented, read from the environment, and clear about what is missing."""

from pathlib import Path

import pytest

from server.settings import Settings
from suites.errors import MachineError


def test_every_setting_is_documented() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_environment_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://somebody@db/redrive")
    monkeypatch.setenv("BROKER_URL", "redis://broker/0")
    monkeypatch.setenv("REDRIVE_DATA", "/srv/redrive")
    settings = Settings()
    assert settings.sqlalchemy_url == "postgresql+psycopg://somebody@db/redrive"
    assert settings.broker_url == "redis://broker/0"
    assert settings.segments == Path("/srv/redrive/segments")


def test_no_database_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(MachineError) as raised:
        _ = Settings().sqlalchemy_url
    assert "redrive up" in raised.value.findings[0].remedy
