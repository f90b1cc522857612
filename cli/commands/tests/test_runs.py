"""runs: listed, shown, compared, cancelled, and their incidents."""

import json
from pathlib import Path

import pytest
from fastapi import FastAPI

from cli.commands.tests.commands_at_a_service import Redrive, decide_at_the_first_look, submit
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
