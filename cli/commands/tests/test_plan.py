"""redrive plan: both directions agree, on a CSV and on the stored results of a run."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs
from typer.testing import CliRunner

from cli.commands import plan as command
from server.app import create_app
from server.client import Client
from server.db.queue_tables import DemandRow, ResultRow, RolloutRow
from server.settings import Settings
from server.tests.plain_segments import add_plain_segment
from suites.errors import SubmitterError
from suites.manifest import ActionSpec, Manifest
from suites.vocabulary import Outcome

REAL = Path(__file__).parents[4] / "shared/data/paired_costs/controls_5000.csv.gz"
BOTH = ["--baseline", "old", "--candidate", "new", "--lower-is-better", "cost"]
METRIC = "lateral_error_mean_m"
SUITE = f"""
name = "highway"
kind = "overall"
alpha = 0.1
offsets = [{{}}, {{lateral_m = 0.5}}]
[select]
[[gates]]
metric = "{METRIC}"
margin = 0.25
"""


@pytest.fixture
def costs(tmp_path: Path) -> str:
    """400 segments of 80 routes."""
    rng, path = np.random.default_rng(0), tmp_path / "costs.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["segment", "model", "route", "cost"])
        for i in range(400):
            cost = rng.lognormal()
            writer.writerows(
                [f"s{i}", name, f"r{i % 80}", f"{cost * rng.lognormal(0, 0.05):.6f}"]
                for name in ("old", "new")
            )
    return str(path)


def planned(*words: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(command.app, [*words, "--json"])
    if isinstance(result.exception, SubmitterError):
        raise result.exception
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_a_margin_needs_segments_routes_and_hours(costs: str) -> None:
    mean, typical = planned(costs, *BOTH, "--segment-seconds", "36")
    assert (mean["estimand"], typical["estimand"], typical["margin"]) == ("mean", "typical", 0.02)
    assert typical["segments_needed"] == pytest.approx(100 * typical["hours_needed"])
    assert typical["routes_needed"] == pytest.approx(typical["segments_needed"] / 5, abs=1)
    assert (
        planned(costs, *BOTH, "--margin", "0.1")[1]["segments_needed"] < typical["segments_needed"]
    )
    assert (
        planned(costs, *BOTH, "--power", "0.95")[1]["segments_needed"] > typical["segments_needed"]
    )
    assert mean["smallest_margin"] is None, (
        "the mean of costs without a cap is never shown to be not worse"
    )


@pytest.mark.parametrize("cap", [[], ["--cap", "30"]])
def test_what_a_budget_can_see_is_the_inverse_of_what_it_needs(costs: str, cap: list[str]) -> None:
    for place, margin in ((1, 0.03), *([(0, 0.2)] if cap else [])):
        needed = planned(costs, *BOTH, *cap, "--margin", str(margin))[place]["segments_needed"]
        seen = planned(costs, *BOTH, *cap, "--budget", str(needed))[place]
        assert seen["smallest_margin"] == pytest.approx(margin, rel=0.02)
    poor, rich = (planned(costs, *BOTH, "--budget", str(n))[1] for n in (400, 1600))
    assert rich["visible_effect"] == pytest.approx(poor["visible_effect"] / 2, rel=0.2)
    assert rich["smallest_margin"] < poor["smallest_margin"]


def test_the_text_names_both_directions(costs: str) -> None:
    text = CliRunner().invoke(command.app, [costs, *BOTH, "--budget", "1000"]).stdout
    assert "From 400 segments of 80 routes; power 80 %, alpha 0.05." in text
    assert "1,000 segments tell" in text
    assert "show equal models within" in text
    assert "show no margin; fixed N" in text, "of the mean without a cap"


def test_results_are_named_once(costs: str) -> None:
    for words in ([], [costs], [costs, *BOTH, "--run", "x"]):
        with pytest.raises(SubmitterError, match="no results to plan from, or two"):
            planned(*words)


def test_a_csv_is_read_as_by_a_verdict(costs: str, tmp_path: Path) -> None:
    """Directions are named, and rates are left to the verdict."""
    with pytest.raises(SubmitterError, match="not known which way the metrics of"):
        planned(costs, *BOTH[:4])
    path = tmp_path / "rates.csv"
    lines = Path(costs).read_text().splitlines()
    events = [f"{line},{i % 2}" for i, line in enumerate(lines[1:])]
    path.write_text("\n".join([f"{lines[0]},incident_hard_brake", *events]))
    result = CliRunner().invoke(command.app, [str(path), *BOTH])
    assert "incident_hard_brake" not in result.stdout
    assert result.stderr == "not planned for: incident_hard_brake (rates)\n"
    with pytest.raises(SubmitterError, match="rates are not planned for"):
        planned(str(path), *BOTH[:4])


@pytest.mark.skipif(not REAL.exists(), reason="needs ../shared/data/paired_costs")
def test_on_real_costs_of_two_close_controllers() -> None:
    _, typical = planned(
        str(REAL),
        "--baseline",
        "ff_a",
        "--candidate",
        "ff_b",
        "--metric",
        "total_cost",
        "--budget",
        "2000",
    )
    assert 440 < typical["segments_needed"] < 560, (
        "the judge shows labels swapped by a coin to be within 2 % in 69 % at 460, in 89 % at 560"
    )
    assert 0.005 < typical["visible_effect"] < typical["smallest_margin"] < 0.02


@pytest.fixture
def run_id(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A run of 12 routes from two offsets, every pair driven for 9 s."""
    settings = Settings(
        database_url=database_url, data=tmp_path / "data", public_url="http://redrive.test"
    )
    for number in range(12):
        add_plain_segment(settings.segments, f"r{number}/0")
    app = create_app(settings)
    with TestClient(app, base_url="http://redrive.test") as http, capture_logs():
        monkeypatch.setattr(http, "close", lambda: None)
        client = Client("http://redrive.test", http=http, attempts=1)
        monkeypatch.setattr(command, "connect", lambda _: client)
        client.push_suite(SUITE)
        action = ActionSpec(kind="plan", output="log_plan", plan_times_s=(0.5, 1.0))
        for name in ("one", "two"):
            client.push_model(
                Manifest(name=name, kind="camera", adapter="builtin", builtin="log", action=action),
                {},
            )
        run = client.submit({"candidate": "one", "baseline": "two", "suite": "highway"})
        sessions: sessionmaker[Session] = app.state.sessions
        rng = np.random.default_rng(0)
        with sessions.begin() as session:
            for demand in session.scalars(select(DemandRow).where(DemandRow.owner_id == run["id"])):
                ended = {
                    "outcome": Outcome.COMPLETED,
                    "reason": "",
                    "ended_s": 9.0,
                    "trusted_share": 1.0,
                    "provenance": {},
                }
                session.add(RolloutRow(drive_key=demand.drive_key, worker="w", fence=1, **ended))
                session.flush()
                value = float(np.exp(rng.normal(0, 0.1)))
                row = {"drive_key": demand.drive_key, "metric": METRIC, "version": 1, "valid": True}
                session.add(ResultRow(**row, value=value, low=value, high=value))
        yield str(run["id"])


@pytest.mark.services
def test_on_a_stored_run_the_suite_says_margin_and_alpha_and_the_drives_how_long_they_were(
    run_id: str,
) -> None:
    _, typical = planned("--run", run_id)
    assert (typical["metric"], typical["margin"]) == (METRIC, 0.25)
    assert typical["hours_needed"] == pytest.approx(typical["segments_needed"] * 9 / 3600)
    assert typical["routes_needed"] == typical["segments_needed"], (
        "two offsets of a segment are not two segments"
    )
    seen = planned("--run", run_id, "--budget", str(typical["segments_needed"]))[1]
    assert seen["smallest_margin"] <= 0.25, "to find as much takes more"
    assert (
        planned("--run", run_id, "--alpha", "0.01")[1]["segments_needed"]
        > typical["segments_needed"]
    )
    with pytest.raises(SubmitterError, match="no gate of highway judges charm"):
        planned("--run", run_id, "--metric", "charm")


def rows_of(path: Path, old: float, new: float, *, spread: float, n: int, routes: int) -> str:
    noise = np.random.default_rng(1).lognormal(0, spread, n) if spread else np.ones(n)
    lines = [
        f"s{i},old,r{i % routes},{old}\ns{i},new,r{i % routes},{new * noise[i]}\n" for i in range(n)
    ]
    path.write_text("segment,model,route,cost\n" + "".join(lines))
    return str(path)


@pytest.mark.parametrize(
    ("old", "routes", "note"),
    [(5.0, 1, "one route has no spread"), (0.0, 40, "a baseline that costs nothing")],
)
def test_results_without_a_spread_promise_nothing(
    tmp_path: Path, old: float, routes: int, note: str
) -> None:
    path = rows_of(tmp_path / "a.csv", old, 5.0, spread=0.1, n=40, routes=routes)
    mean, _ = planned(path, *BOTH)
    assert (mean["segments_needed"], mean["visible_effect"]) == (None, None)
    assert note in mean["note"]
    assert "nan" not in CliRunner().invoke(command.app, [path, *BOTH]).output


def test_a_number_that_nobody_drives_is_not_told(tmp_path: Path) -> None:
    path = Path(rows_of(tmp_path / "a.csv", 5.0, 5.0, spread=0.1, n=40, routes=40))
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join("s7,new,r7,9e12" if line.startswith("s7,new,") else line for line in lines)
    )
    mean, _ = planned(str(path), *BOTH)
    assert mean["segments_needed"] is None
    assert mean["note"].startswith("more than 10,000,000 segments")


def test_equal_results_are_no_plan(tmp_path: Path) -> None:
    with pytest.raises(SubmitterError, match="nothing to plan from"):
        planned(rows_of(tmp_path / "a.csv", 5.0, 5.0, spread=0.0, n=40, routes=40), *BOTH)
    for words in (["--cap", "0"], ["--margin", "inf"]):
        assert (
            CliRunner().invoke(command.app, [str(tmp_path / "a.csv"), *BOTH, *words]).exit_code == 2
        )
