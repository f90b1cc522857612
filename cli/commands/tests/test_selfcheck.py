"""redrive selfcheck: on a stored run the judge sees what the coordinator saw; files; exit codes."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from cli.commands import selfcheck as command
from cli.main import build
from cli.stored_pairs import run_table
from server.api.health import checks as api
from server.app import create_app
from server.client import Client
from server.db.base import Role
from server.db.health_tables import AlarmRow, ProbeRow
from server.db.queue_tables import DemandRow, ResultRow, RolloutRow
from server.db.run_tables import RunRow
from server.services.runs.judge import RunEvidence
from server.settings import Settings
from server.tests.plain_segments import add_plain_segment
from suites.errors import RedriveError
from suites.judgement import document
from suites.manifest import ActionSpec, Manifest
from suites.verdict.planted_effects import rate, self_check
from suites.verdict.run_judge import decide
from suites.vocabulary import Outcome, RunVerdict, Status

METRIC, OTHER = "lateral_error_mean_m", "lane_centre_error_mean_m"
SUITE = f"""
name = "highway"
kind = "overall"
offsets = [{{}}, {{lateral_m = 0.5}}]
[select]
[[gates]]
metric = "{METRIC}"
margin = 0.25
[[gates]]
metric = "{OTHER}"
margin = 0.25
"""
ROUTES = 12

Redrive = Callable[..., Result]


@pytest.fixture
def client(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    settings = Settings(
        database_url=database_url, data=tmp_path / "data", public_url="http://redrive.test"
    )
    for number in range(ROUTES):
        add_plain_segment(settings.segments, f"r{number}/0")
    app = create_app(settings)
    monkeypatch.setattr(api, "probe", lambda *_: None)
    with TestClient(app, base_url="http://redrive.test") as http, capture_logs():
        monkeypatch.setattr(http, "close", lambda: None)
        made = Client("http://redrive.test", http=http, attempts=1)
        monkeypatch.setattr(command, "connect", lambda _: made)
        yield made


@pytest.fixture
def sessions(client: Client) -> sessionmaker[Session]:
    http: Any = client.http
    app: FastAPI = http.app
    made: sessionmaker[Session] = app.state.sessions
    return made


@pytest.fixture
def run_id(client: Client, sessions: sessionmaker[Session]) -> str:
    """A finished run of two near-equal models.

    At 3 the candidate failed, at 5 the data are invalid, at 7 it was censored.
    """
    client.push_suite(SUITE)
    digests = []
    for name in ("one", "two"):
        action = ActionSpec(kind="plan", output="log_plan", plan_times_s=(0.5, 1.0))
        digests.append(
            client.push_model(
                Manifest(name=name, kind="camera", adapter="builtin", builtin="log", action=action),
                {},
            )["digest"]
        )
    run = client.submit({"candidate": digests[0], "baseline": digests[1], "suite": "highway"})
    generator = np.random.default_rng(0)
    odd = {3: Outcome.FAILED, 5: Outcome.DATA_INVALID, 7: Outcome.LEFT_TRUST_REGION}
    with sessions.begin() as session:
        for demand in session.scalars(select(DemandRow).where(DemandRow.owner_id == run["id"])):
            outcome = (
                odd.get(demand.position, Outcome.COMPLETED)
                if demand.role is Role.CANDIDATE
                else Outcome.COMPLETED
            )
            session.add(
                RolloutRow(
                    drive_key=demand.drive_key,
                    outcome=outcome,
                    reason="",
                    ended_s=1.0,
                    trusted_share=1.0,
                    provenance={},
                    worker="w/1",
                    fence=1,
                )
            )
            session.flush()
            for metric in (METRIC, OTHER):
                value = float(np.exp(generator.normal(0, 0.1)))
                valid = outcome is not Outcome.DATA_INVALID
                low, high = (
                    (0.5 * value, 2.0) if outcome is Outcome.LEFT_TRUST_REGION else (value, value)
                )
                numbers = {"value": value, "low": low, "high": high} if valid else {}
                session.add(
                    ResultRow(
                        drive_key=demand.drive_key, metric=metric, version=1, valid=valid, **numbers
                    )
                )
        session.execute(
            update(RunRow).values(
                status=Status.FINISHED, verdict=RunVerdict.INCONCLUSIVE, started=func.now()
            )
        )
    return str(run["id"])


def redrive(*words: str) -> Result:
    return CliRunner().invoke(build("selfcheck"), ["selfcheck", *words])


@pytest.mark.services
class TestStoredRun:
    def test_the_table_is_the_one_that_the_coordinator_judges(
        self, client: Client, run_id: str, sessions: sessionmaker[Session]
    ) -> None:
        table, suite = run_table(client, run_id)
        with sessions() as session:
            evidence = RunEvidence(session, session.get_one(RunRow, run_id))
            evidence.consume(session)
        there = document(evidence.verdict())
        del there["method"]["suite_digest"]
        assert document(decide(table, suite, evidence.plan)) == there
        assert evidence.consumed == 2 * ROUTES
        assert there["outcomes"]["candidate"] == {
            "completed": 2 * ROUTES - 3,
            "data_invalid": 1,
            "failed": 1,
            "left_trust_region": 1,
        }

    def test_rates_with_their_intervals(self, run_id: str) -> None:
        result = redrive("--run", run_id, "--runs", "5", "--json")
        assert result.exit_code == 0, result.output
        (check,) = json.loads(result.stdout)["self_checks"]
        assert check["pairs"] == 2 * ROUTES
        assert set(check["nulls"]["alarms"]) == {"hits", "runs", "low", "high"}
        assert {p["kind"] for p in check["planted"]} <= {"even", "spikes"}

    def test_nightly_keeps_what_it_finds(
        self, client: Client, run_id: str, sessions: sessionmaker[Session]
    ) -> None:
        result = redrive("--nightly", "--runs", "3", "--timeout", "0")
        assert result.exit_code == 0, result.output
        kept = client.get("/v1/checks")
        assert [check["run_id"] for check in kept["self_checks"]] == [run_id]
        assert kept["probes"]["waiting"] == 20
        assert "20 still wait" in result.stdout

    def test_what_is_kept_is_shown_and_alarms_are_closed(
        self, client: Client, run_id: str, sessions: sessionmaker[Session]
    ) -> None:
        redrive("--nightly", "--runs", "2", "--timeout", "0")
        with sessions.begin() as session:
            session.add(AlarmRow(kind="bad_worker", detail={"worker": "w9"}))
        shown = redrive("--show")
        assert (shown.exit_code, f"{run_id}" in shown.stdout, "20 waiting" in shown.stdout) == (
            0,
            True,
            True,
        )
        (alarm,) = client.get("/v1/checks")["alarms"]
        assert f"{alarm['id']}      bad_worker" in shown.stdout
        closed = redrive("--acknowledge", str(alarm["id"]), "--actor", "ada", "--json")
        assert json.loads(closed.stdout)["alarms"] == []
        assert isinstance(
            redrive("--acknowledge", str(alarm["id"]), "--actor", "ada").exception, RedriveError
        )

    def test_a_rollout_that_does_not_repeat_is_our_fault(
        self,
        client: Client,
        run_id: str,
        sessions: sessionmaker[Session],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def drive(_: object, by_device: dict[str, list[int]], __: int) -> None:
            numbers = [number for asked in by_device.values() for number in asked]
            with sessions.begin() as session:
                session.execute(
                    update(ProbeRow)
                    .where(ProbeRow.id.in_(numbers))
                    .values(equal=True, driven=func.now(), worker="w/2")
                )
                session.execute(update(ProbeRow).where(ProbeRow.id == 1).values(equal=False))

        monkeypatch.setattr(api, "probe", drive)
        result = redrive("--probe", "3", "--timeout", "0")
        assert result.exit_code == 4
        assert "2 of 3 repeat to the bit" in result.stdout
        assert "does not repeat to the bit (by w/2)" in result.stdout


@pytest.mark.services
def test_rare_incidents_of_a_run(
    client: Client, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = build("runs")
    monkeypatch.setattr("cli.commands.runs.connect", lambda _: client)
    shown = CliRunner().invoke(cli, ["runs", "incidents", run_id])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith(
        "Per 1,000 h of natural driving, over drives that began on the logged path"
    )
    failures = next(line for line in shown.stdout.splitlines() if line.startswith("failure"))
    assert "cannot tell" in failures
    told = json.loads(CliRunner().invoke(cli, ["runs", "incidents", run_id, "--json"]).stdout)
    assert told["pairs"] == 2 * ROUTES - 1, "without the pair whose data are invalid"


def answers(tmp_path: Path, *, spread: float = 0.1) -> list[str]:
    """Files as `redrive replay --json` writes them, of two near-equal models."""
    generator, paths = np.random.default_rng(0), []
    for name in ("one", "two"):
        rollouts = [
            {
                "segment": f"r{i}/0",
                "offset": offset,
                "outcome": "completed",
                METRIC: float(np.exp(generator.normal(0, spread))),
                OTHER: 1.0 + 0.01 * i,
            }
            for i in range(ROUTES)
            for offset in ("+0.00m", "+0.50m")
        ]
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps({"model": name, "rollouts": rollouts}))
    (tmp_path / "suite.toml").write_text(SUITE)
    return [*map(str, paths), "--suite", str(tmp_path / "suite.toml")]


class TestFiles:
    def test_two_replays_without_a_service(self, tmp_path: Path) -> None:
        result = redrive(*answers(tmp_path), "--runs", "3")
        assert result.exit_code == 0, result.output
        assert f"{2 * ROUTES} pairs on {ROUTES} routes" in result.stdout
        assert "Sound, as far as this shows." in result.stdout

    def test_costs_by_hand(self, tmp_path: Path) -> None:
        generator = np.random.default_rng(0)
        lines = [
            f"s{i},{m},drive {i % 8},{generator.uniform(1, 2)}"
            for i in range(40)
            for m in ("a", "b")
        ]
        (tmp_path / "costs.csv").write_text(
            "\n".join(["segment,controller,drive,total_cost", *lines])
        )
        arguments = [
            str(tmp_path / "costs.csv"),
            "--baseline",
            "a",
            "--candidate",
            "b",
            "--runs",
            "2",
            "--json",
        ]
        for more, routes in (([], 40), (["--route-column", "drive"], 8)):
            assert (
                json.loads(redrive(*arguments, *more).stdout)["self_checks"][0]["routes"] == routes
            )

    def test_a_csv_is_read_as_by_a_verdict(self, tmp_path: Path) -> None:
        path = tmp_path / "costs.csv"
        lines = [
            f"s{i}#{r},{m},{1 + (i * r + len(m)) % 7}"
            for i in range(9)
            for r in (0, 1)
            for m in ("a", "bb")
        ]
        path.write_text("\n".join(["segment,model,score", *lines]))
        models = [str(path), "--baseline", "a", "--candidate", "bb", "--runs", "2", "--json"]
        assert isinstance(redrive(*models).exception, RedriveError)
        (check,) = json.loads(redrive(*models, "--higher-is-better", "score").stdout)["self_checks"]
        assert (check["pairs"], check["routes"]) == (18, 9)

    def test_a_judge_that_errs_too_often_exits_with_4(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paths = answers(tmp_path)
        judged = self_check

        def alarming(table: Any, suite: Any, **named: Any) -> Any:
            report = judged(table, suite, **named)
            return replace(report, nulls=replace(report.nulls, alarms=rate(20, 40)))

        monkeypatch.setattr(command, "self_check", alarming)
        result = redrive(*paths, "--runs", "40")
        assert result.exit_code == 4
        assert "FAULT" in result.stdout

    def test_what_is_wrong_is_named(self, tmp_path: Path) -> None:
        one, two, *suite = answers(tmp_path)
        assert isinstance(redrive().exception, RedriveError)
        assert isinstance(redrive(one).exception, RedriveError)
        Path(two).write_text('{"rollouts": [{"segment": "r0/0"}]}')
        refused = redrive(one, two, *suite).exception
        assert isinstance(refused, RedriveError)
        assert "is not the answer of a replay" in str(refused)
