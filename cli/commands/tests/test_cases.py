"""cases: refusals with what to do, lists, and the proof without a service."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.commands.tests.commands_at_a_service import Redrive
from cli.main import build
from server.tests.plain_segments import add_plain_segment
from suites.definition.suite_toml import load_suite
from suites.errors import SubmitterError
from suites.metrics.tests.test_metrics import moved
from suites.rollout import DriveKey, Rollout
from suites.vocabulary import Outcome

KEPT = """
name = "kept"
kind = "specific"
[[cases]]
name = "bend"
segment = "r0/0"
note = "it cut the bend"
"""
MINE = """
name = "mine"
kind = "specific"
[[cases]]
name = "mine"
segment = "r0/0"
[[cases.conditions]]
always = { signal = "lateral_offset_m", absolute = true, below = 1.0 }
"""


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
    suite.write_text(KEPT)
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
    suite.write_text(MINE)
    mine = [*words, "--case", str(suite), "--name", "mine"]
    small = CliRunner().invoke(build("cases"), mine)
    assert "made smaller by bisection: window from 0–12 s to 5" in small.stderr
    assert "as written" in CliRunner().invoke(build("cases"), [*mine, "--as-written"]).stderr
    own = CliRunner().invoke(build("cases"), [*words, "--control", "twin"])
    assert isinstance(own.exception, SubmitterError)
