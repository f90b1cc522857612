"""models, suites, submit and runs against a service: what is printed where, and what the exit codes say."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

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
from suites.errors import SubmitterError
from suites.identity import canonical_json
from suites.manifest import ActionSpec, Manifest
from suites.vocabulary import RunVerdict, Status

pytestmark = pytest.mark.services

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
        for module in ("models", "suites", "submit", "runs"):
            build(module)
            monkeypatch.setattr(
                f"cli.commands.{module}.connect",
                lambda _: Client("http://redrive.test", http=http, attempts=1),
            )
            monkeypatch.setattr(http, "close", lambda: None)
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
) -> None:
    sessions: sessionmaker[Session] = app.state.sessions
    submit = Client.submit

    def submitted(self: Client, body: Any, key: str | None = None) -> dict[str, Any]:
        run = submit(self, body, key)
        with sessions.begin() as session:
            row = session.get_one(RunRow, run["id"])
            row.status, row.verdict, row.sentence, row.error = (
                status,
                verdict,
                f"{verdict}: because.",
                "no worker",
            )
            row.decided = row.finished = datetime.now(UTC)
        return run

    monkeypatch.setattr(Client, "submit", submitted)


@pytest.mark.parametrize(
    "verdict, status, flags, code",
    [
        (RunVerdict.PASS, Status.FINISHED, [], 0),
        (RunVerdict.FAIL, Status.FINISHED, [], 1),
        (RunVerdict.INCONCLUSIVE, Status.FINISHED, [], 3),
        (RunVerdict.INCONCLUSIVE, Status.FINISHED, ["--allow-inconclusive"], 0),
        (RunVerdict.FAIL, Status.FINISHED, ["--allow-inconclusive"], 1),
        (None, Status.ERRORED, ["--allow-inconclusive"], 4),
    ],
)
def test_the_exit_code_is_the_verdict(
    redrive: Redrive,
    models: dict[str, str],
    registered: str,
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
    verdict: RunVerdict | None,
    status: Status,
    flags: list[str],
    code: int,
) -> None:
    decide_at_the_first_look(app, monkeypatch, verdict, status)
    result = redrive(
        "submit",
        models["candidate"],
        "--suite",
        "highway",
        "--baseline",
        models["baseline"],
        *flags,
    )
    assert result.exit_code == code, result.output
    assert result.stderr.splitlines()[0].startswith("http://redrive.test/runs/")
    assert result.stdout == (f"{verdict}: because.\n" if verdict else "ERRORED: no worker\n")


def test_documents_are_written_and_json_is_alone_on_standard_output(
    redrive: Redrive,
    models: dict[str, str],
    registered: str,
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    decide_at_the_first_look(app, monkeypatch, RunVerdict.PASS)
    out = tmp_path / "out"
    words = [
        "--json",
        "--junit",
        str(out / "j.xml"),
        "--comment",
        str(out / "c.md"),
        "--report",
        str(out / "r.html"),
    ]
    result = redrive(
        "submit",
        models["candidate"],
        "--suite",
        "highway",
        "--baseline",
        models["baseline"],
        "--commit",
        "abc",
        *words,
    )
    assert result.exit_code == 0, result.output
    run = json.loads(result.stdout)
    assert (run["verdict"], run["source"]["commit"]) == ("pass", "abc")
    assert ElementTree.parse(out / "j.xml").getroot().tag == "testsuites"
    assert (out / "c.md").read_text().startswith("### ✅ PASS · highway@")
    assert "<h1>candidate against baseline" in (out / "r.html").read_text()


def test_a_wait_that_is_over_exits_5_and_says_how_to_resume(
    redrive: Redrive, models: dict[str, str], registered: str
) -> None:
    result = redrive(
        "submit",
        models["candidate"],
        "--suite",
        "highway",
        "--baseline",
        models["baseline"],
        "--timeout",
        "0",
    )
    assert result.exit_code == 5
    run_id = result.stderr.splitlines()[0].rpartition("/")[2]
    assert f"redrive runs watch {run_id}" in result.stderr
    assert redrive("runs", "watch", run_id, "--timeout", "0").exit_code == 5


def test_the_runtime_of_both_models_is_passed_on(
    redrive: Redrive, models: dict[str, str], registered: str
) -> None:
    words = [
        "submit",
        models["candidate"],
        "--suite",
        "highway",
        "--baseline",
        models["baseline"],
        "--no-wait",
    ]
    assert redrive(*words, "--execution", "onnxruntime").exit_code == 0
    with pytest.raises(SubmitterError, match="no execution class is named") as caught:
        raise redrive(*words, "--execution", "tensorrt").exception or AssertionError("it was taken")
    assert "onnxruntime, openvino, tinygrad" in caught.value.findings[0].remedy


def test_without_waiting_it_exits_0_at_once(
    redrive: Redrive, models: dict[str, str], registered: str
) -> None:
    result = redrive(
        "submit",
        models["candidate"],
        "--suite",
        "highway",
        "--baseline",
        models["baseline"],
        "--no-wait",
    )
    assert (result.exit_code, result.stdout) == (0, "QUEUED: no verdict\n")


def test_runs_are_listed_shown_and_cancelled(
    redrive: Redrive, models: dict[str, str], registered: str
) -> None:
    assert "redrive submit MODEL" in redrive("runs", "list").stderr
    submitted = redrive(
        "submit",
        models["candidate"],
        "--suite",
        "highway",
        "--baseline",
        models["baseline"],
        "--no-wait",
        "--json",
    )
    run_id = json.loads(submitted.stdout)["id"]
    listed = redrive("runs", "list").stdout.splitlines()
    assert listed[0].split() == [
        "run",
        "verdict",
        "candidate",
        "baseline",
        "suite",
        "pairs",
        "created",
    ]
    assert listed[1].split()[:4] == [run_id, "queued", "candidate", "baseline"]
    assert redrive("runs", "cancel", run_id, "--actor", "ada").stdout == "CANCELLED: no verdict\n"
    assert json.loads(redrive("runs", "show", run_id, "--json").stdout)["status"] == "cancelled"
    assert redrive("runs", "watch", run_id).exit_code == 3


def test_models_and_suites_are_pushed_listed_and_promoted(
    redrive: Redrive, models: dict[str, str], registered: str
) -> None:
    assert registered.startswith("highway@")
    assert registered.endswith(": version 1, 3 rollouts of each model\n")
    pushed = redrive("models", "push", models["candidate"]).stdout.split()
    assert pushed[1] == "candidate"
    assert redrive("models", "list").stdout.splitlines()[1].split()[:2] == [
        pushed[0][:12],
        "candidate",
    ]
    assert json.loads(redrive("models", "show", "candidate").stdout)["digest"] == pushed[0]
    assert "now meet candidate" in redrive("suites", "promote", "highway", "candidate").stderr
    assert redrive("suites", "list").stdout.splitlines()[1].split()[-1] == "candidate"
    assert json.loads(redrive("suites", "show", "highway").stdout)["number"] == 1


def test_models_and_suites_are_checked_without_a_service(
    redrive: Redrive, models: dict[str, str], tmp_path: Path
) -> None:
    checked = redrive("models", "check", models["candidate"])
    assert (checked.exit_code, "candidate is fine" in checked.stderr) == (0, True)
    file = tmp_path / "suite.toml"
    file.write_text(SUITE)
    checked = redrive("suites", "check", str(file), "--data", str(tmp_path / "data"))
    assert "3 rollouts of each model over 3 routes" in checked.stderr
    file.write_text(SUITE.replace("lateral_error_mean_m", "charm"))
    refused = redrive("suites", "check", str(file))
    assert refused.exception is not None
    assert "contradicts itself" in str(refused.exception)
    file.write_bytes(b'name = "\xff"')
    refused = redrive("suites", "check", str(file))
    assert isinstance(refused.exception, SubmitterError)


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


def test_several_candidates_are_compared_and_incidents_are_listed(
    redrive: Redrive,
    models: dict[str, str],
    registered: str,
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    second = tmp_path / "second"
    second.mkdir()
    manifest = (Path(models["candidate"]) / "manifest.json").read_text()
    (second / "manifest.json").write_text(manifest.replace('"candidate"', '"second"'))
    decide_at_the_first_look(app, monkeypatch, RunVerdict.FAIL)
    for folder in (models["candidate"], str(second)):
        address = redrive(
            "submit", folder, "--suite", "highway", "--baseline", models["baseline"]
        ).stderr.splitlines()[0]
    result = redrive("runs", "compare", "candidate", "second", "--baseline", "baseline")
    assert result.exit_code == 0, result.output
    assert [line.split() for line in result.stdout.splitlines()[:3]] == [
        ["candidate", "gate", "alone", "corrected"],
        ["candidate", "run", "fail", "inconclusive"],
        ["second", "run", "fail", "inconclusive"],
    ]
    assert "2 candidates: each judged again at alpha = 0.05 / 2 (Bonferroni)" in result.stdout
    alone = redrive("runs", "compare", "candidate", "--baseline", "baseline")
    assert alone.stdout.splitlines()[0].split() == ["candidate", "gate", "alone"]
    listed = redrive("runs", "incidents", address.rpartition("/")[2])
    assert listed.exit_code == 0, listed.output
    assert "over drives that began on the logged path" in listed.stdout
    assert "nothing driven" in listed.stdout


def test_incidents_of_an_enriched_suite_say_what_their_drives_are_worth(
    redrive: Redrive,
    models: dict[str, str],
    registered: str,
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    text = 'name = "rare"\nkind = "overall"\noffset_weights = [1.0]\n[select]\n[enriched]\nshare = 1.0\n'
    (tmp_path / "rare.toml").write_text(text)
    pushed = redrive("suites", "push", str(tmp_path / "rare.toml"))
    assert pushed.exit_code == 0, pushed.output
    decide_at_the_first_look(app, monkeypatch, RunVerdict.PASS)
    submitted = redrive(
        "submit", models["candidate"], "--suite", "rare", "--baseline", models["baseline"]
    )
    listed = redrive("runs", "incidents", submitted.stderr.splitlines()[0].rpartition("/")[2])
    assert listed.exit_code == 0, listed.output
    assert "enriched: 0 drives of 0 segments, worth 0.0 natural segments" in listed.stdout
    assert "careful: no rate before all that was drawn is driven" in listed.stdout
