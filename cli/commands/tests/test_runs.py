"""runs: listed, shown, compared, cancelled, and their incidents."""

import json
from pathlib import Path

import pytest
from fastapi import FastAPI

from cli.commands.tests.commands_at_a_service import (
    Redrive,
    decide_at_the_first_look,
    run_of,
    submit,
)
from server.db.run_tables import RunRow
from suites.vocabulary import RunVerdict

pytestmark = pytest.mark.services

RARE = """
name = "rare"
kind = "overall"
offset_weights = [1.0]
[select]
[enriched]
share = 1.0
"""


def test_runs_are_listed_shown_and_cancelled(
    redrive: Redrive, models: dict[str, str], registered: str
) -> None:
    assert "redrive submit MODEL" in redrive("runs", "list").stderr
    submitted = submit(redrive, models, "--no-wait", "--json")
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


def test_an_early_pass_is_said_to_be_provisional_and_is_completed(
    redrive: Redrive,
    models: dict[str, str],
    registered: str,
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decide_at_the_first_look(app, monkeypatch, RunVerdict.PASS, pairs=2)
    submitted = submit(redrive, models)
    assert submitted.exit_code == 0, "it may merge"
    run_id = run_of(submitted)
    sentence, standing = submitted.stdout.splitlines()
    assert sentence == "pass: because."
    assert standing.startswith("Provisional: it may merge, not promote")
    assert f"`redrive runs complete {run_id}`" in standing
    assert "pass, provisional" in redrive("runs", "list").stdout
    shown = redrive("runs", "show", run_id).stdout.splitlines()
    assert shown[:2] == [sentence, standing]
    assert "try 1 of model candidate on suite highway" in shown
    going = redrive("runs", "complete", run_id, "--no-wait", "--actor", "ada")
    assert (going.exit_code, "the rest is being driven" in going.stdout) == (0, True)
    waited = redrive("runs", "complete", run_id, "--timeout", "0")
    assert (waited.exit_code, waited.stdout) == (5, "")
    assert f"resume with: redrive runs complete {run_id}" in waited.stderr
    assert redrive("runs", "watch", run_id).exit_code == 0, "the verdict is there: it never hangs"


def test_a_withdrawn_pass_shows_in_the_list_and_in_the_exit_code_of_its_completion(
    redrive: Redrive,
    models: dict[str, str],
    registered: str,
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decide_at_the_first_look(app, monkeypatch, RunVerdict.FAIL)
    run_id = run_of(submit(redrive, models))
    with app.state.sessions.begin() as session:
        run = session.get_one(RunRow, run_id)
        run.withdrawn_at = run.decided
        run.verdict_document = {"complete": True, "withdrawn": "new spikes"}
    assert "fail, pass withdrawn" in redrive("runs", "list").stdout
    ended = redrive("runs", "complete", run_id)
    assert ended.exit_code == 1
    assert ended.stdout.splitlines()[1] == "Its earlier pass is withdrawn: new spikes."


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
    (tmp_path / "rare.toml").write_text(RARE)
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
