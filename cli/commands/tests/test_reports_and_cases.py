"""reports and cases: a backlog from CSV, refusals with what to do, and the proof without a service."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from cli.main import build
from server.app import create_app
from server.client import Client
from server.settings import Settings
from server.tests.plain_segments import add_plain_segment
from suites.definition.suite_schema import load_suite
from suites.errors import SubmitterError
from suites.metrics.tests.test_metrics import moved
from suites.rollout import DriveKey, Rollout
from suites.vocabulary import Outcome

Redrive = Callable[..., Result]
BACKLOG = """route,time,text,reporter,severity
r0--0,0:05,"hugging the line, again",ada,high
r0/0,6,it hugs the lane line,bo,
r7--0,5,swerved,ada,low
r0--0,99,too late,ada,low
r0--0,soon,no time,ada,low
"""


@pytest.fixture
def redrive(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Redrive]:
    settings = Settings(
        database_url=database_url, data=tmp_path / "data", public_url="http://redrive.test"
    )
    add_plain_segment(settings.segments, "r0/0")
    with TestClient(create_app(settings), base_url="http://redrive.test") as http, capture_logs():
        http.post("/v1/segments/index")
        monkeypatch.setattr(http, "close", lambda: None)
        for module in ("reports", "cases", "suites"):
            build(module)
            monkeypatch.setattr(
                f"cli.commands.{module}.connect",
                lambda _: Client("http://redrive.test", http=http, attempts=1),
            )
        yield lambda *words: CliRunner().invoke(build(words[0]), list(words))


@pytest.mark.services
def test_a_backlog_is_imported_line_by_line(redrive: Redrive, tmp_path: Path) -> None:
    backlog = tmp_path / "backlog.csv"
    backlog.write_text(BACKLOG)
    for _ in range(2):
        imported = redrive("reports", "import", str(backlog), "--json")
        assert imported.exit_code == 1
        answer = json.loads(imported.stdout)
        assert answer["counts"] == {"located": 2, "awaiting data": 1, "refused": 2}
    assert (
        answer["lines"][0]["cluster"] == answer["lines"][1]["cluster"] == answer["lines"][0]["id"]
    )
    assert "12 s" in answer["lines"][3]["error"]
    assert "minutes:seconds" in answer["lines"][4]["error"]
    listed = redrive("reports", "list", "--json")
    assert len(json.loads(listed.stdout)) == 3, "sending the file again adds nothing"
    backlog.write_text("route,when\n")
    lacking = redrive("reports", "import", str(backlog))
    assert isinstance(lacking.exception, SubmitterError)
    assert "time, text, reporter" in str(lacking.exception)


@pytest.mark.services
def test_an_unknown_suite_or_draft_says_where_to_look(redrive: Redrive) -> None:
    waived = redrive(
        "cases", "waive", "nothing", "at_all", "--owner", "ada", "--reason", "a good reason"
    )
    assert "redrive suites" in str(getattr(waived.exception, "findings", ""))
    shown = redrive("cases", "show", "x")
    assert "redrive cases list" in str(getattr(shown.exception, "findings", ""))
    assert "redrive cases draft" in redrive("cases", "list").stderr


@pytest.mark.services
def test_waivers_and_must_pass_cases_are_listed(redrive: Redrive, tmp_path: Path) -> None:
    assert "redrive cases waive" in redrive("cases", "waivers").stderr
    suite = tmp_path / "kept.toml"
    suite.write_text(
        'name = "kept"\nkind = "specific"\n[[cases]]\nname = "bend"\nsegment = "r0/0"\nnote = "it cut the bend"\n'
    )
    assert redrive("suites", "push", str(suite)).exit_code == 0
    waived = redrive(
        "cases",
        "waive",
        "kept",
        "bend",
        "--owner",
        "ada",
        "--reason",
        "until the next camera",
        "--json",
    )
    listed = redrive("cases", "waivers", "--state", "in force")
    assert json.loads(waived.stdout)["id"] in listed.stdout
    assert "kept/bend" in listed.stdout
    cases = redrive("cases", "must-pass", "kept")
    assert "it cut the bend" in cases.stdout
    assert "waived" in cases.stdout
    (case,) = json.loads(redrive("cases", "must-pass", "kept", "--json").stdout)["cases"]
    assert (case["waiver"]["owner"], case["since"]["number"]) == ("ada", 1)
    redrive("cases", "revoke", json.loads(waived.stdout)["id"], "--actor", "bo")
    assert "revoked" in redrive("cases", "waivers", "--suite", "kept").stdout


@pytest.mark.parametrize(
    "content",
    [
        "route,time,text,reporter\nr0,5,caf\xe9,ada\n".encode("latin1"),
        b'route,time,text,reporter\n"' + b"x" * 200_000,
    ],
)
def test_what_is_no_csv_is_refused_before_anything_is_sent(tmp_path: Path, content: bytes) -> None:
    backlog = tmp_path / "backlog.csv"
    backlog.write_bytes(content)
    refused = CliRunner().invoke(
        build("reports"), ["reports", "import", str(backlog), "--url", "http://127.0.0.1:1"]
    )
    assert isinstance(refused.exception, SubmitterError), refused.exception
    assert "UTF-8" in refused.exception.findings[0].remedy


def test_the_proof_runs_here_without_a_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    add_plain_segment(tmp_path / "segments", "r0/0")

    def drive(keys: Sequence[DriveKey], **_: object) -> Iterator[Rollout]:
        for key in keys:
            steps = round((key.scenario.end_s - key.scenario.start_s) * 20)
            t = key.scenario.start_s + np.arange(steps) / 20
            drifts = key.execution.runtime != "builtin"
            yield Rollout(
                key=key,
                outcome=Outcome.COMPLETED,
                ended_s=steps / 20,
                trace=moved(drifts * np.clip(t - 5, 0, 2), steps),
            )

    monkeypatch.setattr("workers.batches.drive_keys", drive)
    words = ["cases", "prove", "r0--0", "--at", "6", "--offender", "twin", "--data", str(tmp_path)]
    proven = CliRunner().invoke(build("cases"), words)
    assert proven.exit_code == 0, proven.output
    assert "fails 3 of 3 draws" in proven.stderr
    assert load_suite('name = "s"\nkind = "specific"\n' + proven.stdout).cases[0].repeats == 3
    suite = tmp_path / "mine.toml"
    rule = 'always = { signal = "lateral_offset_m", absolute = true, below = 1.0 }'
    suite.write_text(
        f'name = "mine"\nkind = "specific"\n[[cases]]\nname = "mine"\nsegment = "r0/0"\n[[cases.conditions]]\n{rule}\n'
    )
    mine = [*words, "--case", str(suite), "--name", "mine"]
    small = CliRunner().invoke(build("cases"), mine)
    assert "made smaller by bisection: window from 0–12 s to 5" in small.stderr
    assert "as written" in CliRunner().invoke(build("cases"), [*mine, "--as-written"]).stderr
    own = CliRunner().invoke(build("cases"), [*words, "--control", "twin"])
    assert isinstance(own.exception, SubmitterError)
