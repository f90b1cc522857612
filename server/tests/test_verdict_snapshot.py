"""What the service decides on fixed results, as its clients read it: the stored verdicts.

Runs are submitted over HTTP, their rollouts are written as workers write them, and the coordinator
judges. `python -m server.tests.test_verdict_snapshot` stores what it decides today.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, Engine, create_engine, text

from server.coordinator import Coordinator
from server.settings import Settings
from suites.judgement import document
from suites.tests.stored import check, differences, write
from suites.verdict.run_file import csv_cells, run_file

pytestmark = pytest.mark.services
STORED = Path(__file__).with_name("snapshots") / "verdicts.json"
MODULE = "server.tests.test_verdict_snapshot"
REWRITE = "REWRITE_SNAPSHOTS"
LATERAL, CENTRE, JERK = "lateral_error_mean_m", "lane_centre_error_mean_m", "lateral_jerk_ms"
SLOW = {"name": "slow", "always": {"signal": "speed_mps", "below": 30.0}}
CALM = {"judge": "must_not", "eventually": {"signal": "acceleration_mps2", "below": -3.5}}
SEGMENTS = {
    "few": [f"few{route}/{number}" for route in range(3) for number in range(8)],
    "grid": [f"grid{route:02}/{number}" for route in range(24) for number in range(4)],
    "deep": [f"deep{route}/{number}" for route in range(6) for number in range(16)],
    "wide": [f"wide{route:03}/0" for route in range(60)],
    "curve": [f"curve{route}/0" for route in range(6)],
}
"""By tag: what suites select. Curves are `wide` as well, of those that are rare."""


class Place(NamedTuple):
    """Of a run's order."""

    position: int
    route: str
    case_id: str


class Drive(NamedTuple):
    """How a rollout ended; results by metric: a value, (value, low, high), or None (not valid)."""

    results: dict[str, Any]
    outcome: str = "completed"
    reason: str = ""
    conditions: tuple[tuple[dict[str, Any], float | None, str], ...] = ()
    """Condition, whether it held, why not."""
    ended_s: float = 11.0


Pair = tuple[Drive | None, Drive | None]
"""Candidate, baseline; None: not driven."""
Behaviour = Callable[[Random, Place], Pair]


def near(effect: float, noise: float = 0.1, *metrics: str) -> Behaviour:
    """Two models, the candidate's costs larger by `effect` in each metric."""

    def pair(random: Random, place: Place) -> Pair:
        ours: dict[str, Any] = {}
        theirs: dict[str, Any] = {}
        for metric in metrics or (LATERAL,):
            cost = 0.2 * random.lognormvariate(0, 0.5)
            theirs[metric] = round(cost * random.lognormvariate(0, noise), 6)
            ours[metric] = round(cost * (1 + effect) * random.lognormvariate(0, noise), 6)
        return Drive(ours), Drive(theirs)

    return pair


def same(value: float, factor: float = 1.0) -> Behaviour:
    def pair(random: Random, place: Place) -> Pair:
        cost = value * (1 + place.position % 7)
        return Drive({LATERAL: round(cost * factor, 6)}), Drive({LATERAL: round(cost, 6)})

    return pair


def spikes(share: float, height: float) -> Behaviour:
    usual = near(0.0)

    def pair(random: Random, place: Place) -> Pair:
        ours, theirs = usual(random, place)
        assert ours is not None
        if random.random() < share:
            ours = ours._replace(results={LATERAL: round(ours.results[LATERAL] * height, 6)})
        return ours, theirs

    return pair


def several(**effects: float) -> Behaviour:
    """By metric, each its own effect."""

    def pair(random: Random, place: Place) -> Pair:
        ours: dict[str, Any] = {}
        theirs: dict[str, Any] = {}
        for metric, effect in effects.items():
            one, other = near(effect, 0.05, metric)(random, place)
            assert one is not None
            assert other is not None
            ours |= one.results
            theirs |= other.results
        return Drive(ours), Drive(theirs)

    return pair


def ending(share: float, outcome: str, side: int = 0, reason: str = "it ended early") -> Behaviour:
    """Some rollouts of one side (0 candidate, 1 baseline, 2 both) end otherwise."""
    usual = near(0.0)

    def pair(random: Random, place: Place) -> Pair:
        both = list[Drive | None](usual(random, place))
        if random.random() >= share:
            return both[0], both[1]
        for i in (0, 1):
            ended = both[i]
            if side in (i, 2) and ended is not None:
                value = ended.results[LATERAL]
                measured: dict[str, dict[str, Any]] = {
                    "failed": {LATERAL: 2.0},
                    "policy_failed": {LATERAL: 2.0},
                    "data_invalid": {},
                    "left_trust_region": {LATERAL: (value, round(value / 2, 6), 1.5)},
                }
                at = round(random.uniform(1, 9), 2)
                both[i] = Drive(measured[outcome], outcome, f"{reason} at {at} s", (), at)
        return both[0], both[1]

    return pair


def at(positions: dict[int, Pair], otherwise: Behaviour) -> Behaviour:
    """Something else at these positions; None stands for the usual drive of that side."""

    def pair(random: Random, place: Place) -> Pair:
        usual = otherwise(random, place)
        return positions.get(place.position, usual)

    return pair


def until(last: int, usual: Behaviour) -> Behaviour:
    """Nothing is driven from there on."""
    return lambda random, place: usual(random, place) if place.position < last else (None, None)


def invalid(share: float, side: int) -> Behaviour:
    """The metric cannot be read on some rollouts of one side."""
    usual = near(0.0)

    def pair(random: Random, place: Place) -> Pair:
        both = list(usual(random, place))
        if random.random() < share:
            both[side] = Drive({LATERAL: None})
        return both[0], both[1]

    return pair


def cases(**ends: Drive) -> Behaviour:
    """By case and repeat (`exit_0`); others are driven well."""
    good = Drive({LATERAL: 0.1}, conditions=((SLOW, 1.0, ""), (CALM, 1.0, "")))

    def pair(random: Random, place: Place) -> Pair:
        found = ends.get(place.case_id.replace("#", "_"))
        return (good if found is None else found), Drive({LATERAL: 0.11})

    return pair


def enriched(random: Random, place: Place) -> Pair:
    bad = place.route.startswith("curve") and "1.20m" in place.case_id
    drive = Drive({LATERAL: 0.1}, ended_s=3600.0)
    lost = Drive({LATERAL: 2.0}, "failed", "left the road by 0.02 m", (), 3600.0)
    return lost if bad else drive, drive


def gate(metric: str = LATERAL, margin: float = 0.1, more: str = "") -> str:
    return f'[[gates]]\nmetric = "{metric}"\nmargin = {margin}\n{more}\n'


def suite(*gates: str, tag: str = "grid", head: str = "", rest: str = "") -> str:
    selected = f'[select]\ntags_all = ["{tag}"]\n' if tag else ""
    return "\n".join([head, selected, rest, *(gates or (gate(),))])


MEAN = 'estimand = "mean"\nwinsor_cap = 3.0'
LOW_CAP = 'estimand = "mean"\nwinsor_cap = 0.6'
FAILED = Drive({}, "failed", "left the road by 0.02 m on the left at 2.45 s", (), 2.45)
LEFT = Drive({}, "left_trust_region", "farther than 2 m from the log at 3 s", (), 3.0)
BROKEN = Drive({LATERAL: 2.0}, "policy_failed", "the model crashed (signal 11)", (), 0.4)
DAMAGED = Drive({}, "data_invalid", "frames.mp4 is damaged", (), 0.0)
TOO_FAST = Drive({}, conditions=((SLOW, 0.0, "broken at 1.50 s"), (CALM, 1.0, "")))
UNTOLD = Drive({}, conditions=((SLOW, None, "the signal is unknown"), (CALM, 1.0, "")))
CASES = """
[[cases]]
name = "exit"
segment = "few1/0"
repeats = 3
noise = { pose_m = 0.1 }
must_pass_repeats = 2
[[cases]]
name = "merge"
segment = "few2/0"
[[cases.conditions]]
name = "slow"
always = { signal = "speed_mps", below = 30.0 }
[[cases.conditions]]
judge = "must_not"
eventually = { signal = "acceleration_mps2", below = -3.5 }
"""
SPECIFIC = CASES
ENRICHED = """
order_seed = 1
offsets = [{}, { lateral_m = 0.6 }, { lateral_m = 1.2 }, { lateral_m = -1.2 }]
offset_weights = [0.5, 0.4, 0.05, 0.05]
[select]
tags_all = ["wide"]
[enriched]
share = 0.3
offset_factors = [0.5, 1, 5, 5]
tag_factors = { curve = 5 }
"""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A suite and what both models do on it."""

    drives: Behaviour
    toml: str = suite()
    kind: str = "overall"
    waived: str = ""
    """The case that somebody answers for."""
    then: str = ""
    """`cancel` it, or spoil it: no worker drives the `lost`, no server measures the `outdated`."""
    asked: tuple[tuple[str, Any], ...] = ()
    """Further fields of the submission."""


SCENES: dict[str, Scene] = {
    "same": Scene(drives=same(0.1)),
    "zero": Scene(drives=same(0.0)),
    "equal": Scene(drives=near(0.0)),
    "equal_tight": Scene(drives=near(0.0), toml=suite(gate(margin=0.005))),
    "worse_2": Scene(drives=near(0.02, 0.01), toml=suite(gate(margin=0.02))),
    "slightly_worse": Scene(drives=near(0.03, 0.01), toml=suite(gate(margin=0.25))),
    "worse_5": Scene(drives=near(0.05, 0.03), toml=suite(gate(margin=0.02))),
    "worse_20": Scene(drives=near(0.2)),
    "worse_everywhere": Scene(drives=same(0.1, 1.5), toml=suite(tag="wide")),
    "better_20": Scene(drives=near(-0.2)),
    "not_worse": Scene(drives=near(-0.05, 0.3)),
    "spikes_typical": Scene(drives=spikes(0.05, 15)),
    "spikes_mean": Scene(drives=spikes(0.05, 15), toml=suite(gate(more=MEAN))),
    "mean_equal": Scene(
        drives=near(0.0, 0.02), toml=suite(gate(margin=0.9, more=LOW_CAP), tag="wide")
    ),
    "mean_worse": Scene(
        drives=near(2.0, 0.02), toml=suite(gate(margin=0.05, more=LOW_CAP), tag="wide")
    ),
    "mean_at_its_cap": Scene(drives=same(2.0, 1.5), toml=suite(gate(more=LOW_CAP))),
    "mean_and_typical": Scene(
        drives=spikes(0.1, 9), toml=suite(gate(margin=0.2), gate(margin=0.5, more=MEAN))
    ),
    "failures": Scene(drives=ending(0.3, "failed")),
    "failures_of_both": Scene(drives=ending(0.2, "failed", 2)),
    "failures_share": Scene(
        drives=ending(0.15, "failed"), toml=suite(head="max_failed_share = 0.05\nlook_every = 8")
    ),
    "left_trust_region": Scene(drives=ending(0.1, "left_trust_region")),
    "left_trust_region_mean": Scene(
        drives=ending(0.1, "left_trust_region", 2), toml=suite(gate(margin=0.5, more=MEAN))
    ),
    "policy_failed": Scene(drives=at({7: (BROKEN, Drive({LATERAL: 0.1}))}, near(0.0))),
    "policy_failed_late": Scene(drives=at({70: (BROKEN, Drive({LATERAL: 0.1}))}, near(0.4))),
    "baseline_policy_failed": Scene(drives=ending(0.1, "policy_failed", 1)),
    "data_invalid": Scene(drives=ending(0.1, "data_invalid", 2)),
    "data_invalid_all": Scene(drives=ending(1.0, "data_invalid", 2), toml=suite(tag="few")),
    "candidate_not_measured": Scene(drives=invalid(0.1, 0)),
    "candidate_not_measured_mean": Scene(drives=invalid(0.02, 0), toml=suite(gate(more=MEAN))),
    "baseline_not_measured": Scene(drives=invalid(0.1, 1)),
    "few_routes": Scene(drives=near(0.5), toml=suite(tag="few")),
    "many_segments_a_route": Scene(drives=near(0.15), toml=suite(tag="deep")),
    "offsets_and_repeats": Scene(
        drives=near(0.1),
        toml=suite(
            tag="few",
            head="offsets = [{}, { lateral_m = 0.5 }]\nrepeats = 2\nnoise = { pose_m = 0.1 }",
        ),
    ),
    "fail_fast": Scene(
        drives=near(0.06, 0.05), toml=suite(gate(margin=0.05, more="fail_fast = true"))
    ),
    "advisory_worse": Scene(
        drives=several(**{LATERAL: 0.0, CENTRE: 0.5}),
        toml=suite(gate(), gate(CENTRE, 0.1, "critical = false")),
    ),
    "three_gates": Scene(
        drives=several(**{LATERAL: 0.0, CENTRE: -0.2, JERK: 0.3}),
        toml=suite(gate(), gate(CENTRE), gate(JERK)),
    ),
    "three_gates_held": Scene(
        drives=several(**{LATERAL: 0.01, CENTRE: -0.2, JERK: 0.0}),
        toml=suite(gate(), gate(CENTRE), gate(JERK, 0.25)),
    ),
    "better_when_higher": Scene(
        drives=near(-0.3, 0.1, "time_to_failure_s"), toml=suite(gate("time_to_failure_s"))
    ),
    "strict": Scene(
        drives=near(0.2),
        toml=suite(
            head="alpha = 0.005\nspending_rho = 2.0\nflips = 199\nlook_every = 6\norder_seed = 5"
        ),
    ),
    "driven_to_the_end": Scene(drives=near(0.4), asked=(("full", True),)),
    "cut_to_ten_routes": Scene(drives=near(0.3), asked=(("max_routes", 10),)),
    "cases_passed": Scene(kind="specific", toml=SPECIFIC, drives=cases(exit_1=FAILED)),
    "cases_failed": Scene(
        kind="specific", toml=SPECIFIC, drives=cases(exit_0=FAILED, exit_2=BROKEN)
    ),
    "cases_open": Scene(kind="specific", toml=SPECIFIC, drives=cases(exit_0=LEFT, exit_2=DAMAGED)),
    "condition_broken": Scene(kind="specific", toml=SPECIFIC, drives=cases(merge_0=TOO_FAST)),
    "condition_untold": Scene(kind="specific", toml=SPECIFIC, drives=cases(merge_0=UNTOLD)),
    "condition_not_measured": Scene(
        kind="specific", toml=SPECIFIC, drives=cases(merge_0=Drive({LATERAL: 0.1}))
    ),
    "waived": Scene(kind="specific", toml=SPECIFIC, drives=cases(merge_0=TOO_FAST), waived="merge"),
    "waived_but_another_fails": Scene(
        kind="specific",
        toml=SPECIFIC,
        waived="merge",
        drives=cases(merge_0=TOO_FAST, exit_0=FAILED, exit_1=FAILED),
    ),
    "gates_over_cases": Scene(kind="specific", toml=gate() + SPECIFIC, drives=cases()),
    "gates_and_failed_case": Scene(toml=suite(rest=CASES), drives=cases(merge_0=TOO_FAST)),
    "gates_and_cases": Scene(toml=suite(rest=CASES), drives=cases()),
    "enriched": Scene(toml=ENRICHED, drives=enriched),
    "half_driven": Scene(drives=until(30, near(0.05, 0.2)), toml=suite(gate(margin=0.02))),
    "nothing_driven": Scene(drives=until(0, near(0.0))),
    "result_missing": Scene(drives=at({10: (Drive({}), Drive({LATERAL: 0.1}))}, near(0.0))),
    "cancelled": Scene(drives=until(25, near(0.05, 0.2)), then="cancel"),
    "lost": Scene(drives=until(25, near(0.05, 0.2)), then="lost"),
    "outdated": Scene(drives=near(0.0), then="outdated"),
}
"""By suite, whose name is also its models' first: nothing is shared between two."""

PUBLISHED = (
    "same",
    "three_gates",
    "advisory_worse",
    "failures",
    "left_trust_region",
    "data_invalid",
    "better_when_higher",
    "waived",
    "condition_broken",
    "cases_open",
    "half_driven",
    "cancelled",
    "lost",
    "candidate_not_measured",
)
"""Runs whose JUnit file and comment are held as well ..."""
COUNTED = ("enriched", "failures")
"""... and their rare incidents."""
COMPARED = {"six_worse": 1.5, "six_equal": 1.0, "six_better": 0.6}
"""Candidates that are compared with one baseline on one suite, by their costs."""


class Stage:
    """The service, and the hands of its workers."""

    def __init__(self, client: TestClient, push: Callable[..., str], database: Engine) -> None:
        self.client, self.push, self.database = client, push, database
        self.runs: dict[str, str] = {}

    def post(self, path: str, body: Any, key: str = "") -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.is_success, f"{path}: {answer.text}"
        return answer.json()

    def register(self, name: str, kind: str, toml: str) -> None:
        self.post("/v1/suites", {"toml": f'name = "{name}"\nkind = "{kind}"\n{toml}'})

    def begin(self, name: str, scene: Scene) -> None:
        self.register(name, scene.kind, scene.toml)
        self.push(f"{name}_candidate")
        self.push(f"{name}_baseline")
        if scene.waived:
            asked = {"suite": name, "case": scene.waived, "owner": "Ada", "reason": "known: #12"}
            expires = datetime.now(UTC) + timedelta(days=30)
            self.post("/v1/waivers", asked | {"expires": expires.isoformat()})
        self.submit(name, f"{name}_candidate", f"{name}_baseline", name, scene.drives, *scene.asked)

    def submit(
        self,
        name: str,
        candidate: str,
        baseline: str,
        suite: str,
        drives: Behaviour,
        *asked: tuple[str, Any],
    ) -> None:
        body = {"candidate": candidate, "baseline": baseline, "suite": suite} | dict(asked)
        self.runs[name] = str(self.post("/v1/runs", body, name)["id"])
        with self.database.begin() as connection:
            self.drive(connection, name, drives)

    def drive(self, connection: Connection, name: str, drives: Behaviour) -> None:
        """Every pair, drawn from the run's name and the position."""
        demands = connection.execute(text(DEMANDS), {"run": self.runs[name]}).all()
        keys = {(row.position, row.role): row.drive_key for row in demands}
        done = set(connection.scalars(text("SELECT drive_key FROM rollouts")))
        versions = dict(self._versions(connection, name))
        rollouts: list[dict[str, Any]] = []
        results: list[dict[str, Any]] = []
        for place in sorted({Place(row.position, row.route, row.case_id) for row in demands}):
            pair = drives(Random(f"{name} {place.position}"), place)
            for role, ended in zip(("candidate", "baseline"), pair, strict=True):
                key = keys[place.position, role]
                if ended is None or key in done:
                    continue
                done.add(key)
                rollouts.append(
                    {
                        "key": key,
                        "outcome": ended.outcome,
                        "reason": ended.reason,
                        "ended": ended.ended_s,
                    }
                )
                results += _results(key, ended, versions)
        if rollouts:
            connection.execute(text(ROLLOUT), rollouts)
        if results:
            connection.execute(text(RESULT), results)

    def _versions(self, connection: Connection, name: str) -> Iterator[tuple[str, int]]:
        document = connection.scalar(text(VERSION), {"run": self.runs[name]})
        yield from document["metric_versions"].items()

    def spoil(self, name: str, how: str) -> None:
        run = {"run": self.runs[name]}
        with self.database.begin() as connection:
            if how == "lost":
                connection.execute(text(LOST), run)
            elif how == "outdated":
                connection.execute(text(OUTDATED), run)

    def apart(self, name: str) -> list[str]:
        """Where its exported file, judged by hand, says something else than the service."""
        view = self.client.get(f"/v1/runs/{self.runs[name]}").json()
        text = self.client.get(f"/v1/runs/{self.runs[name]}/export.csv").text
        by_hand = document(run_file(name, csv_cells(text)).judge().verdict())
        if view["verdict_document"] is None:  # nothing was ever judged
            return [] if by_hand["pairs_judged"] == 0 else ["it judges what nobody judged"]
        return differences(view["verdict_document"], json.loads(json.dumps(by_hand)))

    def told(self, name: str) -> dict[str, Any]:
        """What a client reads of a run."""
        run_id = self.runs[name]
        view = self.client.get(f"/v1/runs/{run_id}").json()
        fields = (
            "status",
            "verdict",
            "sentence",
            "error",
            "planned",
            "pairs_consumed",
            "verdict_document",
        )
        found = {field: view[field] for field in fields}
        found["outcomes"] = view["progress"]["outcomes"]
        if name in PUBLISHED:
            junit = self.client.get(f"/v1/runs/{run_id}/junit.xml").text
            found["junit"] = junit.replace("><", ">\n<").splitlines()
            comment = self.client.get(f"/v1/runs/{run_id}/comment.md").text
            found["comment"] = comment.splitlines()
        if name in COUNTED:
            found["incidents"] = self.client.get(f"/v1/runs/{run_id}/incidents").json()
        return found


DEMANDS = "SELECT position, role, case_id, route, drive_key FROM demands WHERE owner_id = :run"
VERSION = "SELECT document FROM suite_versions JOIN runs ON suite_digest = digest WHERE id = :run"
ROLLOUT = (
    "INSERT INTO rollouts"
    " (drive_key, outcome, reason, ended_s, trusted_share, provenance, worker, fence)"
    " VALUES (:key, :outcome, :reason, :ended, 1.0, '{}', 'w', 1)"
)
RESULT = (
    "INSERT INTO results (drive_key, metric, version, value, valid, low, high, instant_s, reason)"
    " VALUES (:key, :metric, :version, :value, :valid, :low, :high, :instant, :reason)"
)
LOST = (
    "UPDATE drive_keys SET failure = 'MachineError: no memory left' WHERE digest = ("
    "SELECT d.drive_key FROM demands d LEFT JOIN rollouts r ON r.drive_key = d.drive_key"
    " WHERE d.owner_id = :run AND r.drive_key IS NULL ORDER BY d.position, d.role LIMIT 1)"
)
OUTDATED = (
    "UPDATE suite_versions SET document ="
    """ (document::jsonb || '{"metric_versions": {"lateral_error_mean_m": 77}}')::json"""
    " WHERE digest = (SELECT suite_digest FROM runs WHERE id = :run)"
)


def _results(key: str, ended: Drive, versions: dict[str, int]) -> Iterator[dict[str, Any]]:
    empty = {"key": key, "value": None, "low": None, "high": None, "instant": None, "reason": ""}
    wanted = dict.fromkeys(versions) if ended.outcome == "data_invalid" else ended.results
    for metric in wanted.keys() & versions.keys():
        found = wanted[metric]
        value, low, high = found if isinstance(found, tuple) else (found, found, found)
        row = {"metric": metric, "version": versions[metric], "valid": value is not None}
        yield empty | row | {"value": value, "low": low, "high": high}
    for condition, held, reason in ended.conditions:
        row = {"metric": condition_name(condition), "version": 1, "valid": held is not None}
        yield empty | row | {"value": held, "reason": reason, "instant": None if held else 1.5}


def condition_name(condition: dict[str, Any]) -> str:
    """Under which the result of a condition is stored."""
    canonical = json.dumps(condition, sort_keys=True, separators=(",", ":"))
    return f"condition:{hashlib.sha256(canonical.encode()).hexdigest()}"


def readable(found: Any, runs: dict[str, str]) -> Any:
    """Without what is drawn for each run: its id, and the day on which a waiver ends."""
    plain = json.dumps(found)
    for name, run_id in runs.items():
        plain = plain.replace(run_id, f"<{name}>")
    return json.loads(re.sub(r"until \d{4}-\d\d-\d\d", "until <day>", plain))


@contextmanager
def coordinating(settings: Settings) -> Iterator[Coordinator]:
    engine = create_engine(settings.sqlalchemy_url)
    with engine.connect() as connection:
        yield Coordinator(connection, settings)
    engine.dispose()


def test_verdicts_are_the_stored_ones(
    client: TestClient,
    push: Callable[..., str],
    add_segment: Callable[..., Any],
    settings: Settings,
    broker_url: str,
) -> None:
    for tag, segments in SEGMENTS.items():
        for segment in segments:
            add_segment(segment, tags=("wide", "curve") if tag == "curve" else (tag,))
    database = create_engine(settings.sqlalchemy_url)
    stage = Stage(client, push, database)
    for name, scene in SCENES.items():
        stage.begin(name, scene)
    stage.register("six", "overall", suite(gate(margin=0.02), tag="curve"))
    push("six_baseline")
    for name, factor in COMPARED.items():
        push(name)
        stage.submit(name, name, "six_baseline", "six", same(0.1, factor))
    spoilt = {name: scene.then for name, scene in SCENES.items() if scene.then}
    for name, how in spoilt.items():
        stage.spoil(name, how)
    with coordinating(settings.model_copy(update={"broker_url": broker_url})) as coordinator:
        for _ in range(3 + (len(SCENES) + len(COMPARED)) // 8):
            coordinator.tick()
        for name, how in spoilt.items():
            if how == "cancel":
                stage.post(f"/v1/runs/{stage.runs[name]}/cancel", None)
        coordinator.tick()
    found = {name: stage.told(name) for name in stage.runs}
    asked = {"baseline": "six_baseline", "candidate": list(COMPARED)}
    apart = {name: lines for name in stage.runs if (lines := stage.apart(name))}
    assert apart == {}, "an exported run is judged by hand to the same words"
    found["six compared"] = client.get("/v1/comparisons", params=asked).json()
    database.dispose()
    found = readable(found, stage.runs)
    if os.environ.get(REWRITE):
        write(STORED, found)
    check(STORED, found, MODULE)


if __name__ == "__main__":
    command = [sys.executable, "-m", "pytest", "-q", __file__]
    sys.exit(subprocess.run(command, env={**os.environ, REWRITE: "1"}).returncode)
