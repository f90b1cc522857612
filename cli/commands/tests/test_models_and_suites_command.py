"""models and suites: checked here, pushed, listed and promoted at a service."""

import json
from pathlib import Path

import pytest

from cli.commands.tests.commands_at_a_service import SUITE, Redrive
from suites.errors import SubmitterError

pytestmark = pytest.mark.services


def test_models_and_suites_are_pushed_listed_and_promoted(
    redrive: Redrive, models: dict[str, str], registered: str, tmp_path: Path
) -> None:
    again = redrive("suites", "push", str(tmp_path / "highway.toml"))
    assert "3 routes tell nothing" in again.stderr
    assert registered.startswith("highway@")
    assert registered.endswith(": version 1, 3 rollouts of each model\n")
    tells = redrive("plan", "--suite", "highway").stdout
    assert "lateral_error_mean_m (typical drive), margin 2 %: how models differ" in tells
    assert "3 routes tell nothing at alpha = 0.05: at least 6 are needed" in tells
    figures = json.loads(redrive("plan", "--suite", "highway", "--json").stdout)["figures"]
    assert (figures["pairs"], figures["routes"]) == (3, 3)
    pushed = redrive("models", "push", models["candidate"]).stdout.split()
    assert pushed[1] == "candidate"
    assert redrive("models", "list").stdout.splitlines()[1].split()[:2] == [
        pushed[0][:12],
        "candidate",
    ]
    assert json.loads(redrive("models", "show", "candidate").stdout)["digest"] == pushed[0]
    promoted = redrive("suites", "promote", "highway", "candidate").stderr
    assert "now meet candidate" in promoted
    assert "it rests on nothing: it is the suite's first release" in promoted
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
    assert "3 routes tell nothing" in checked.stderr
    file.write_text(SUITE.replace("lateral_error_mean_m", "charm"))
    refused = redrive("suites", "check", str(file))
    assert refused.exception is not None
    assert "contradicts itself" in str(refused.exception)
    file.write_bytes(b'name = "\xff"')
    refused = redrive("suites", "check", str(file))
    assert isinstance(refused.exception, SubmitterError)
