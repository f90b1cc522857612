"""`redrive demo surprise`: a complaint of the fleet becomes a test of later candidates."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cli.commands.cases import wait_for_proof
from cli.connection import push_local
from cli.demo.demo_comparison import compare
from cli.model_folders import local_model
from cli.supervision.supervisor import say
from server.client import Client
from suites.errors import MachineError
from suites.execution_classes import default_execution
from suites.rollout import DriveKey, Rollout, Scenario
from suites.segment import SegmentMeta
from suites.simulators import simulator_spec

FLEET = "cloned"
CONTROL = "log"
CANDIDATES = (("cloned_b", "fail"), ("twin_b", "pass"))
"""Model to expected verdict: the fleet's recipe from another seed; a model new to the proof."""
BASELINE = "baseline"
SUITE = "surprises"
CASE = "fleet_took_over"
TAKEOVER_M = 1.0
"""The safety driver takes over at this distance from where a human would be."""
FLEET_DRIVES = 4
WARM_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class Takeover:
    """What the fleet's driver would write down."""

    segment_id: str
    time_s: float
    text: str


def takeovers(data: Path) -> Iterator[Takeover]:
    """The fleet's model drives in rendered views until its driver takes over."""
    from workers.batches import drive_keys
    from workers.segments.store import list_segments

    manifest, graphs = local_model(FLEET)
    roads = [
        meta
        for meta in list_segments(data / "segments")
        if not {"lane_change", "exit", "night"} & set(meta.tags)
    ]
    execution = default_execution(manifest)
    spec = simulator_spec("rendered", {})
    places = [
        Scenario(
            segment_id=m.segment_id, segment_digest=m.digest, start_s=WARM_UP_S, end_s=m.duration_s
        )
        for m in _one_a_route(roads)[:FLEET_DRIVES]
    ]
    keys = [
        DriveKey(model=manifest.digest, scenario=place, simulator=spec, execution=execution)
        for place in places
    ]
    found = drive_keys(
        keys, segments_root=data / "segments", find_model=lambda _: (manifest, graphs), auxiliary={}
    )
    for rollout in sorted(found, key=lambda r: r.key.scenario.segment_id):
        if (takeover := _takeover(rollout)) is not None:
            yield takeover


def _one_a_route(metas: list[SegmentMeta]) -> list[SegmentMeta]:
    return list({meta.route: meta for meta in reversed(metas)}.values())[::-1]


def _takeover(rollout: Rollout) -> Takeover | None:
    if rollout.trace is None:
        return None
    offset = np.asarray(rollout.trace["lateral_offset_m"], dtype=np.float64)
    beyond = np.flatnonzero(np.abs(offset) > TAKEOVER_M)
    if not len(beyond):
        return None
    scenario = rollout.key.scenario
    first = int(beyond[0])
    side = "left" if offset[first] > 0 else "right"
    text = f"It drifted out to the {side} of its lane; I took over."
    time_s = round(scenario.start_s + first / rollout.trace.rate_hz, 2)
    return Takeover(scenario.segment_id, time_s, text)


def surprise(client: Client, data: Path) -> list[dict[str, Any]]:
    """The whole loop: what each candidate's verdict is and should be. Raises MachineError where no
    complaint becomes a proven case."""
    say(f"the synthetic fleet drives {FLEET}: rendered, with a safety driver")
    names = (FLEET, CONTROL, BASELINE, *(name for name, _ in CANDIDATES))
    digests = {name: push_local(client, name) for name in names}
    enforced = None
    for takeover in takeovers(data):
        complaint = {
            "route": takeover.segment_id,
            "time_s": takeover.time_s,
            "text": takeover.text,
            "model_version": FLEET,
            "severity": "high",
            "reporter": "synthetic fleet",
        }
        report = client.post("/v1/field-reports", complaint)
        told = f"{takeover.segment_id} at {takeover.time_s:g} s: {takeover.text}"
        say(f"field report {report['id']}: {told} [{report['status']}]")
        if report["status"] == "enforced":
            enforced = SUITE  # this demo was shown before
        if enforced is None and report["status"] in ("located", "not reproduced"):
            enforced = _enforce(client, report["id"], takeover, digests)
    if enforced is None:
        raise MachineError("no report of the fleet became a proven case")
    return [
        compare(
            client,
            title=f"{name} on the fleet's surprise",
            expected=expected,
            candidate=digests[name],
            baseline=digests[BASELINE],
            suite=enforced,
        )
        for name, expected in CANDIDATES
    ]


def _enforce(
    client: Client, report: str, takeover: Takeover, digests: dict[str, str]
) -> str | None:
    """Draft, wait for the proof, accept; the suite version, or None where the proof fails."""
    asked = {
        "suite": SUITE,
        "name": f"{CASE}_{report[:4]}",
        "note": takeover.text,
        "report": report,
        "offender": digests[FLEET],
        "control": digests[CONTROL],
        "author": "demo",
    }
    draft = client.post("/v1/case-drafts", asked)
    how = f"reproduced by re-projection, made small, proven against {CONTROL} over draws of noise"
    say(f"  draft {draft['id']}: {how}")
    proven = wait_for_proof(client, draft["id"], 300)
    if proven["status"] != "drafted":
        say(f"  {proven['status']}: {proven['reason']}")
        return None
    say(f"  {proven['told']}\n  proof: {proven['proof']['reason']}")
    body = {"actor": "demo", "version": proven["version"]}
    accepted = client.post(f"/v1/case-drafts/{draft['id']}/accept", body)
    digest = str(accepted["suite_digest"])
    say(f"  enforced in {SUITE}@{digest[:12]}; for the suite's file:\n{accepted['toml']}")
    return digest
