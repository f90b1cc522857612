"""Fixtures: commands that talk to a service in this process, two models, a suite."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from cli.main import build
from server.app import create_app
from server.client import Client
from server.db.run_tables import RunRow
from server.settings import Settings
from server.tests.plain_segments import add_plain_segment
from suites.identity import canonical_json
from suites.manifest import ActionSpec, Manifest
from suites.vocabulary import RunVerdict, Status

SUITE = """
name = "highway"
kind = "overall"
[select]
[[gates]]
metric = "lateral_error_mean_m"
"""

Redrive = Callable[..., Result]


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> FastAPI:
    settings = Settings(
        database_url=database_url,
        data=tmp_path / "data",
        public_url="http://redrive.test",
        watch_interval_s=0.01,
    )
    for number in range(3):
        add_plain_segment(settings.segments, f"r{number}/0")
    return create_app(settings)


@pytest.fixture
def redrive(app: FastAPI, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Redrive]:
    """redrive("runs", "list"): the command, talking to the service in this process."""
    with TestClient(app, base_url="http://redrive.test") as http, capture_logs():
        client = Client("http://redrive.test", http=http, attempts=1)
        http.post("/v1/segments/index")
        monkeypatch.setattr(http, "close", lambda: None)
        for module in ("models", "suites", "plan", "submit", "runs", "reports", "cases"):
            build(module)
            monkeypatch.setattr(f"cli.commands.{module}.connect", lambda _: client)
        yield lambda *words: CliRunner().invoke(build(words[0]), list(words))


@pytest.fixture
def models(tmp_path: Path) -> dict[str, str]:
    """Folders of two models."""
    folders = {}
    for name in ("candidate", "baseline"):
        action = ActionSpec(kind="plan", output="log_plan", plan_times_s=(0.5, 1.0))
        manifest = Manifest(
            name=name, kind="camera", adapter="builtin", builtin="log", action=action
        )
        folder = tmp_path / name
        folder.mkdir()
        (folder / "manifest.json").write_bytes(canonical_json(manifest))
        folders[name] = str(folder)
    return folders


@pytest.fixture
def registered(redrive: Redrive, tmp_path: Path) -> str:
    file = tmp_path / "highway.toml"
    file.write_text(SUITE)
    result = redrive("suites", "push", str(file))
    assert result.exit_code == 0, result.output
    return result.stdout


def decide_at_the_first_look(
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
    verdict: RunVerdict | None,
    status: Status = Status.FINISHED,
    pairs: int | None = None,
) -> None:
    """`pairs` are those that the verdict rests on; all when not given."""
    sessions: sessionmaker[Session] = app.state.sessions
    submit = Client.submit

    def submitted(self: Client, body: Any, key: str | None = None) -> dict[str, Any]:
        run = submit(self, body, key)
        with sessions.begin() as session:
            row = session.get_one(RunRow, run["id"])
            row.status = status
            row.verdict = verdict
            row.sentence = f"{verdict}: because."
            row.error = "no worker"
            row.pairs_consumed = row.planned if pairs is None else pairs
            row.decided = row.finished = datetime.now(UTC)
        return run

    monkeypatch.setattr(Client, "submit", submitted)


def submit(redrive: Redrive, models: dict[str, str], *more: str, suite: str = "highway") -> Result:
    """The candidate against the baseline."""
    words = ("--suite", suite, "--baseline", models["baseline"])
    return redrive("submit", models["candidate"], *words, *more)


def run_of(submitted: Result) -> str:
    """Id of the run, from the address that submit says first."""
    return submitted.stderr.splitlines()[0].rpartition("/")[2]
