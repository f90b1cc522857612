"""A run as a CSV: what is driven, what is not, what could not be; read block by block."""

import csv
import io
import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, select, update
from sqlalchemy.orm import Session, sessionmaker

from server.db.base import Role
from server.db.queue_tables import DemandRow, DriveKeyRow
from server.db.run_tables import RunRow
from server.services.queue.demands import run_owner, withdraw
from server.services.runs import run_export
from server.settings import Settings
from server.tests.stage import CONDITION, Stage
from server.tests.test_verdict_snapshot import (
    Drive,
    Pair,
    Place,
    Scene,
    coordinating,
    ending,
    gate,
    near,
    suite,
)
from server.tests.test_verdict_snapshot import Stage as Standing
from suites.conditions import load_condition
from suites.verdict.run_file import csv_cells
from suites.vocabulary import Outcome, Status

pytestmark = pytest.mark.services
METRIC = "lateral_error_mean_m"


def exported(client: TestClient, run_id: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Header and rows."""
    answer = client.get(f"/v1/runs/{run_id}/export.csv")
    assert answer.is_success, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    cells = csv_cells(answer.text)
    rows = list(csv.DictReader(io.StringIO(answer.text.partition("\n")[2])))
    return json.loads(cells.header), rows


def test_every_planned_pair_has_two_rows(
    driven: str, client: TestClient, sessions: sessionmaker[Session]
) -> None:
    with sessions.begin() as session:
        last = select(DemandRow.drive_key).where(
            DemandRow.owner_id == driven, DemandRow.position == 11, DemandRow.role == Role.BASELINE
        )
        lost = update(DriveKeyRow).where(DriveKeyRow.digest == last.scalar_subquery())
        session.execute(lost.values(failure="MachineError: no memory left"))
    header, rows = exported(client, driven)
    assert [(row["position"], row["role"]) for row in rows] == [
        (str(position), role) for position in range(12) for role in ("candidate", "baseline")
    ]
    assert {row["model"] for row in rows[::2]} == {"candidate"}
    assert header["planned"] == 12
    assert header["judged_pairs"] == 0
    assert (rows[8]["outcome"], rows[8]["reason"]) == (
        "failed",
        "left the road by 0.02 m on the left at 2.45 s",
    )
    assert float(rows[8][METRIC]) > float(rows[9][METRIC])
    assert rows[4]["outcome"] == "data_invalid"
    assert rows[4][METRIC] == ""
    assert (rows[22]["outcome"], rows[22][METRIC]) == ("", ""), "not driven"
    assert (rows[23]["outcome"], rows[23]["reason"]) == (
        "infra_failed",
        "MachineError: no memory left",
    )


def test_blocks_and_withdrawn_demands_change_nothing(
    driven: str,
    client: TestClient,
    sessions: sessionmaker[Session],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = f"/v1/runs/{driven}/export.csv"
    whole = client.get(address).text
    monkeypatch.setattr(run_export, "BLOCK", 5)
    assert client.get(address).text == whole
    with sessions.begin() as session:
        withdraw(session, run_owner(driven), mandatory_too=True)
    assert client.get(address).text == whole
    answer = client.get("/v1/runs/nothing/export.csv")
    assert answer.status_code == 404
    assert "export.csv" in client.get(f"/runs/{driven}").text


def test_a_cancelled_run_keeps_what_was_driven(driven: str, client: TestClient) -> None:
    _, before = exported(client, driven)
    client.post(f"/v1/runs/{driven}/cancel")
    header, rows = exported(client, driven)
    assert header["status"] == "cancelled"
    assert rows == before


def test_a_case_says_what_each_repeat_says(
    specific: Stage, client: TestClient, sessions: sessionmaker[Session]
) -> None:
    specific.end(Role.CANDIDATE, 0)
    specific.end(Role.CANDIDATE, 1, Outcome.LEFT_TRUST_REGION)
    specific.end(Role.BASELINE, 1, Outcome.FAILED)
    specific.condition(specific.end(Role.CANDIDATE, 2), 0.0, "broken at 1.50 s")
    with sessions.begin() as session:
        run = session.get_one(RunRow, specific.run_id)
        run.status, run.error = Status.ERRORED, "no worker"
    header, rows = exported(client, specific.run_id)
    assert (header["status"], header["error"]) == ("errored", "no worker")
    told = [(row["case"], row["passed"], row["why"], row["instant_s"]) for row in rows]
    assert told == [
        ("exit", "yes", "", ""),
        ("exit", "", "", ""),
        ("exit", "cannot tell", "it left_trust_region", ""),
        ("exit", "", "", ""),
        ("merge", "no", f"{load_condition(CONDITION)}: broken at 1.50 s", "1.5"),
        ("merge", "", "", ""),
    ]


WIDE = [f"wide{route:03}/0" for route in range(60)]
HARD, STEADY, STUCK = "lateral_error_mean_m", "lane_centre_error_mean_m", "incident_lane_departure"
DRAWN = suite(
    gate(margin=0.1), gate(HARD, 0.5, 'estimand = "mean"'), tag="wide", head='draw = "cost"'
)
CAPPED = suite(gate(HARD, 0.5, 'estimand = "mean"\nrelative_cap = 10.0'), tag="wide")
RATES = suite(gate(STUCK, 0.05, 'estimand = "rate"'), gate(HARD, 0.2), tag="wide")
SLICED = suite(
    gate(HARD, 0.25), tag="wide", rest='[[slices]]\nname = "some"\ntags = ["some"]\nminimum = 5'
)


def events(random: Random, place: Place) -> Pair:
    """Rare incidents beside a cost."""
    ours, theirs = near(0.0)(random, place)
    assert ours is not None
    assert theirs is not None
    told = [{STUCK: float(random.random() < share)} for share in (0.2, 0.1)]
    return Drive(ours.results | told[0]), Drive(theirs.results | told[1])


def turning(random: Random, place: Place) -> Pair:
    """Equal at first, and twenty times worse in the last third."""
    return near(0.0 if place.position < 80 else 20.0, 0.02)(random, place)


KINDS: dict[str, Scene] = {
    "drawn_by_cost": Scene(toml=DRAWN, drives=near(0.3)),
    "drawn_with_failures": Scene(toml=DRAWN, drives=ending(0.2, "left_trust_region", 2)),
    "relative_caps": Scene(toml=CAPPED, drives=near(1.0)),
    "rates": Scene(toml=RATES, drives=events),
    "slices": Scene(toml=SLICED, drives=near(0.0, 0.02)),
    "driven_beyond_a_fail": Scene(drives=near(0.4), toml=DRAWN, asked=(("full", True),)),
    "withdrawn": Scene(
        drives=turning,
        toml=suite(
            gate(margin=0.9),
            tag="wide",
            head="offsets = [{}, { lateral_m = 0.5 }]\n"
            "new_spikes = 0.3\nlook_every = 10\nspending_rho = 0.5",
        ),
        asked=(("full", True),),
    ),
}


STORED = ("drawn_by_cost", "drawn_with_failures", "relative_caps", "rates", "driven_beyond_a_fail")


def test_a_run_of_every_kind_is_judged_by_hand_to_the_same_words(
    client: TestClient,
    push: Callable[..., str],
    add_segment: Callable[..., Any],
    settings: Settings,
    broker_url: str,
) -> None:
    for at, segment in enumerate(WIDE):
        add_segment(segment, tags=("wide", "some") if at % 3 else ("wide",))
    database = create_engine(settings.sqlalchemy_url)
    stage = Standing(client, push, database)
    for name, scene in KINDS.items():
        stage.register(name, scene.kind, scene.toml)
        push(f"{name}_candidate")
        push(f"{name}_baseline")
        if name in STORED:  # what the baseline costs is known before
            own = (f"{name}_baseline",) * 2
            stage.submit(f"{name}_own", *own, name, scene.drives)
        stage.submit(
            name, f"{name}_candidate", f"{name}_baseline", name, scene.drives, *scene.asked
        )
    with coordinating(settings.model_copy(update={"broker_url": broker_url})) as coordinator:
        for _ in range(8):
            coordinator.tick()
    database.dispose()
    views = {name: client.get(f"/v1/runs/{run}").json() for name, run in stage.runs.items()}
    assert {name: view["error"] for name, view in views.items() if view["error"]} == {}
    assert {name: lines for name in stage.runs if (lines := stage.apart(name))} == {}
    assert views["withdrawn"]["verdict_document"]["withdrawn"]
    assert views["driven_beyond_a_fail"]["verdict_document"]["complete"]
