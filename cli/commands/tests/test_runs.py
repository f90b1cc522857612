"""runs: listed, shown, compared, cancelled, and their incidents."""

import gzip
import json
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, sessionmaker

from cli.commands.tests.commands_at_a_service import (
    Redrive,
    decide_at_the_first_look,
    run_of,
    submit,
)
from server.coordinator import Coordinator
from server.db.base import Role
from server.db.queue_tables import DemandRow
from server.db.run_tables import RunRow
from server.tests.driven import add_result, add_rollout
from suites.errors import SubmitterError
from suites.verdict.run_judge import METHOD
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


def judged(app: FastAPI, broker_url: str, run_id: str, skip: int | None = None) -> None:
    """Every rollout stored but those at `skip`, the candidate's worse by half; then judged."""
    sessions: sessionmaker[Session] = app.state.sessions
    with sessions.begin() as session:
        for demand in session.scalars(select(DemandRow).where(DemandRow.owner_id == run_id)):
            if demand.position != skip:
                add_rollout(session, demand.drive_key)
                value = (demand.position + 1) / 7 * (1.5 if demand.role is Role.CANDIDATE else 1)
                add_result(session, demand.drive_key, value)
    settings = app.state.settings.model_copy(update={"broker_url": broker_url})
    engine = create_engine(settings.sqlalchemy_url)
    with engine.connect() as connection:
        Coordinator(connection, settings).tick()
    engine.dispose()


@pytest.mark.parametrize("kind", [".csv", ".csv.gz", ".parquet"])
def test_an_exported_run_is_judged_by_hand_to_the_same_words(
    redrive: Redrive,
    models: dict[str, str],
    registered: str,
    app: FastAPI,
    broker_url: str,
    tmp_path: Path,
    kind: str,
) -> None:
    if kind == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    run_id = json.loads(submit(redrive, models, "--no-wait", "--json").stdout)["id"]
    judged(app, broker_url, run_id)
    file = tmp_path / f"run{kind}"
    if kind == ".csv.gz":
        file.write_bytes(gzip.compress(redrive("runs", "export", run_id).stdout.encode()))
    else:
        written = redrive("runs", "export", run_id, "--out", str(file))
        assert (written.exit_code, written.output) == (0, "")
    told = json.loads(redrive("runs", "show", run_id, "--json").stdout)
    assert told["verdict"] == "inconclusive", "three routes"
    shown = redrive("verdict", str(file))
    assert shown.exit_code == 3
    lines = shown.stdout.splitlines()
    assert lines[0].startswith(f"Run {run_id} (finished): candidate against baseline on highway@")
    assert lines[-1] == told["verdict_document"]["sentence"]
    assert "otherwise" not in shown.stdout
    again = redrive("verdict", str(file), "--json")
    assert json.loads(again.stdout) == told["verdict_document"]


def test_a_run_that_was_not_decided_is_not_decided_by_hand(
    redrive: Redrive,
    models: dict[str, str],
    registered: str,
    app: FastAPI,
    broker_url: str,
    tmp_path: Path,
) -> None:
    run_id = json.loads(submit(redrive, models, "--no-wait", "--json").stdout)["id"]
    judged(app, broker_url, run_id, skip=2)
    redrive("runs", "cancel", run_id)
    file = tmp_path / "run.csv"
    redrive("runs", "export", run_id, "--out", str(file))
    shown = redrive("verdict", str(file))
    assert (shown.exit_code, shown.stdout.splitlines()[-1]) == (
        3,
        "Not decided yet: 0 of 1 gate after 2 of 3 pairs.",
    )
    text = file.read_text()
    file.write_text(text.replace(METHOD, "redrive.sign-flip/1"))
    said = f"Decided by redrive.sign-flip/1 in the service, judged here by {METHOD}."
    assert said in redrive("verdict", str(file)).stdout.splitlines()
    file.write_text(text.replace("Not decided yet: 0", "Not decided yet: 1"))
    assert "The service said otherwise: Not decided yet: 1" in redrive("verdict", str(file)).stdout
    refused = redrive("verdict", str(file), "--margin", "0.5")
    assert isinstance(refused.exception, SubmitterError)
    assert refused.exception.findings[0].where == "--margin"
    file.write_text(text.rpartition("2,baseline")[0])
    assert isinstance(redrive("verdict", str(file)).exception, SubmitterError)
    nowhere = tmp_path / "absent.csv"
    for words in (("x", "--out", str(nowhere)), (run_id, "--out", "run.xlsx")):
        assert isinstance(redrive("runs", "export", *words).exception, SubmitterError)
    assert not nowhere.exists()


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
