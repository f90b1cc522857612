"""submit: what is printed where, and what the exit codes say."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fastapi import FastAPI

from cli.commands.tests.commands_at_a_service import Redrive, decide_at_the_first_look, submit
from suites.errors import SubmitterError
from suites.vocabulary import RunVerdict, Status

pytestmark = pytest.mark.services


@pytest.mark.usefixtures("registered")
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
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
    verdict: RunVerdict | None,
    status: Status,
    flags: list[str],
    code: int,
) -> None:
    decide_at_the_first_look(app, monkeypatch, verdict, status)
    result = submit(redrive, models, *flags)
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
    result = submit(redrive, models, "--commit", "abc", *words)
    assert result.exit_code == 0, result.output
    run = json.loads(result.stdout)
    assert (run["verdict"], run["source"]["commit"]) == ("pass", "abc")
    assert ElementTree.parse(out / "j.xml").getroot().tag == "testsuites"
    assert (out / "c.md").read_text().startswith("### ✅ PASS · highway@")
    assert "<h1>candidate against baseline" in (out / "r.html").read_text()


def test_a_wait_that_is_over_exits_5_and_says_how_to_resume(
    redrive: Redrive, models: dict[str, str], registered: str
) -> None:
    result = submit(redrive, models, "--timeout", "0")
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
    result = submit(redrive, models, "--no-wait")
    assert (result.exit_code, result.stdout) == (0, "QUEUED: no verdict\n")
