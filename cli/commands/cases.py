"""`redrive cases`: draft, prove, accept, reject, waive, revoke, waivers, must-pass, list, show."""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.connection import connect, model_reference
from cli.exit_codes import EXIT_REGRESSION, EXIT_TIMED_OUT
from cli.model_folders import local_model
from cli.options import (
    DEFAULT_URL,
    HERE,
    AsJson,
    Data,
    Most,
    Simulator,
    SuiteVersion,
    Url,
    argument,
    option,
)
from cli.printing import Columns, print_items, print_json
from server.client import Client
from suites.case_proof.proving import examine
from suites.case_proof.trial import DrivenModel, Trial
from suites.definition.case_toml import case_toml
from suites.definition.suite_schema import CaseSpec
from suites.definition.suite_toml import load_suite
from suites.errors import Finding, SubmitterError
from suites.execution_classes import default_execution
from suites.rollout import DriveKey, Rollout
from suites.segment_lookup import locate
from suites.simulators import simulator_spec

app = typer.Typer(no_args_is_help=True)

DraftId = Annotated[str, argument("Id of the draft.")]
Actor = Annotated[str, option("Who decides.", "REDRIVE_ACTOR")]
Offender = Annotated[str, option("The model that must fail it.", "REDRIVE_OFFENDER")]
Control = Annotated[
    str,
    option(
        "The model that must pass it: `log` where a human drove, or a known-good one.",
        "REDRIVE_CONTROL",
    ),
]
Wait = Annotated[float, option("Wait at most so long for the proof, s.", "REDRIVE_TIMEOUT", min=0)]
AsWritten = Annotated[
    bool,
    option(
        "Keep window and offset; otherwise both are made as small as still shows it.",
        name="--as-written",
    ),
]
Draws = Annotated[int, option("Draws of the declared noise.", min=1, max=20)]
CaseName = Annotated[str, option("The case's name.")]
CaseFile = Annotated[
    Path | None,
    option(
        "A suite file whose case of that name is meant, conditions and all.",
        exists=True,
        dir_okay=False,
    ),
]
LOOK_S = 1.0


@app.command("list")
def list_cases(
    suite: Annotated[
        str | None, option("The cases of this suite instead of drafts.", "REDRIVE_SUITE")
    ] = None,
    status: Annotated[str | None, option("Only drafts with this status.", "REDRIVE_STATUS")] = None,
    most: Most = 50,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Drafts of cases, newest first; with --suite what that suite drives."""
    columns: Columns
    with connect(url) as client:
        if suite is not None:
            items = list(client.items("/v1/cases", most=most, suite=suite))
            columns = {"case": "case_id", "segment": "segment_id", "from": "start_s", "to": "end_s"}
        else:
            filters = {"status": status} if status else {}
            items = list(client.items("/v1/case-drafts", most=most, **filters))
            columns = {
                "draft": "id",
                "status": "status",
                "case": lambda d: f"{d['suite']}/{d['name']}",
                "place": lambda d: f"{d['segment_id']} {d['at_s']:g} s",
                "version": "version",
                "why": lambda d: (d["reason"] or d["told"])[:80],
            }
    print_items(items, columns, "no draft yet: redrive cases draft --report ID ...", as_json)


@app.command()
def draft(
    suite: Annotated[
        str, option("The suite that it is for; made if it doesn't exist.", "REDRIVE_SUITE")
    ],
    name: CaseName,
    note: Annotated[str, option("Why it exists.")],
    offender: Offender,
    control: Control = "log",
    report: Annotated[str | None, option("A located field report.")] = None,
    segment: Annotated[str | None, option("Where, if no report is named.")] = None,
    at: Annotated[float | None, option("The surprise, seconds from the segment's start.")] = None,
    case: CaseFile = None,
    as_written: AsWritten = False,
    draws: Draws = 3,
    actor: Actor = "",
    timeout: Wait = 600,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Register a failure as a test and wait for its proof."""
    with connect(url) as client:
        body: dict[str, Any] = {
            "suite": suite,
            "name": name,
            "note": note,
            "offender": model_reference(client, offender),
            "control": model_reference(client, control),
            "draws": draws,
            "author": actor,
            "as_written": as_written,
        }
        place = {"report": report, "segment": segment, "at_s": at}
        body |= {key: value for key, value in place.items() if value is not None}
        if case is not None:
            spec = _named(case, name)
            body["case"] = asdict(spec)
            for told_above in ("name", "segment", "note"):
                del body["case"][told_above]
            body.setdefault("segment", spec.segment)
        made = client.post("/v1/case-drafts", body)
        print(f"{url}/case-drafts/{made['id']}", file=sys.stderr)
        proven = wait_for_proof(client, made["id"], timeout)
    _show(proven, as_json)
    raise typer.Exit(_exit_code(proven))


def wait_for_proof(client: Client, draft_id: str, timeout_s: float) -> dict[str, Any]:
    """The draft when its proof is decided, or when the time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = client.get(f"/v1/case-drafts/{draft_id}")
        if seen["status"] != "located" or time.monotonic() > deadline:
            return seen
        time.sleep(LOOK_S)


def _exit_code(seen: dict[str, Any]) -> int:
    if seen["status"] == "located":
        return EXIT_TIMED_OUT
    return 0 if seen["status"] in ("drafted", "reviewed", "enforced", "waived") else EXIT_REGRESSION


def _named(file: Path, name: str) -> CaseSpec:
    cases = {spec.name: spec for spec in load_suite(file).cases}
    if name not in cases:
        finding = Finding("--name", f"found {', '.join(cases) or 'none'}")
        raise SubmitterError(f"{file} has no case {name}", finding)
    return cases[name]


@app.command()
def show(draft_id: DraftId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """One draft with its proof and the patch for the suite's file."""
    with connect(url) as client:
        _show(client.get(f"/v1/case-drafts/{draft_id}"), as_json)


def _show(seen: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(seen)
        return
    print(f"{seen['id']}: {seen['status']} (version {seen['version']}) {seen['reason']}".rstrip())
    if seen["told"]:
        print(f"seen: {seen['told']}")
    if seen["proof"]:
        print(f"proof: {seen['proof']['answer']}, {seen['proof']['reason']}")
    if seen["toml"]:
        print(f"\n{seen['toml']}")


@app.command()
def accept(
    draft_id: DraftId,
    actor: Actor,
    version: Annotated[
        int | None, option("Of the draft that you read; the newest when not given.")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Make a proven draft part of the next version of its suite."""
    with connect(url) as client:
        read = version or client.get(f"/v1/case-drafts/{draft_id}")["version"]
        body = {"actor": actor, "version": read}
        enforced = client.post(f"/v1/case-drafts/{draft_id}/accept", body)
    if as_json:
        print_json(enforced)
        return
    where = f"{enforced['suite']}@{enforced['suite_digest'][:12]}"
    print(f"{enforced['name']} is enforced in {where}", file=sys.stderr)
    print(enforced["toml"])


@app.command()
def reject(
    draft_id: DraftId,
    actor: Actor,
    reason: Annotated[str, option("Why it will not become a test.")],
    url: Url = DEFAULT_URL,
) -> None:
    """Close a draft."""
    with connect(url) as client:
        seen = client.get(f"/v1/case-drafts/{draft_id}")["version"]
        body = {"actor": actor, "reason": reason, "version": seen}
        closed = client.post(f"/v1/case-drafts/{draft_id}/reject", body)
    print(f"{closed['id']}: {closed['status']}", file=sys.stderr)


@app.command()
def waive(
    suite: Annotated[str, argument("The suite.")],
    case: Annotated[str, argument("The case that may fail for a time.")],
    owner: Annotated[str, option("Who answers for it.", "REDRIVE_ACTOR")],
    reason: Annotated[str, option("Why, for everybody who reads a verdict.")],
    days: Annotated[float, option("Until when.", min=0.01, max=90)] = 14,
    because_of: Annotated[str | None, option("Another waived case with the same cause.")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Answer for a failing case for a time; every verdict that it touches says so."""
    expires = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    body = {"suite": suite, "case": case, "owner": owner, "reason": reason, "expires": expires}
    if because_of:
        body["because_of"] = because_of
    with connect(url) as client:
        made = client.post("/v1/waivers", body)
    if as_json:
        print_json(made)
    else:
        until = made["expires"][:10]
        print(f"{made['id']}: {case} is waived until {until}", file=sys.stderr)


@app.command()
def revoke(
    waiver_id: Annotated[str, argument("Id of the waiver.")], actor: Actor, url: Url = DEFAULT_URL
) -> None:
    """End a waiver."""
    with connect(url) as client:
        ended = client.post(f"/v1/waivers/{waiver_id}/revoke", {"actor": actor})
    print(f"{ended['case']} counts again", file=sys.stderr)


@app.command()
def waivers(
    suite: Annotated[str | None, option("Only of this suite.", "REDRIVE_SUITE")] = None,
    state: Annotated[str | None, option("Only in force, expired or revoked.")] = None,
    most: Most = 50,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Waivers, newest first: who answers for which failing case, until when and why."""
    filters = {name: value for name, value in (("suite", suite), ("state", state)) if value}
    with connect(url) as client:
        items = list(client.items("/v1/waivers", most=most, **filters))
    columns: Columns = {
        "waiver": "id",
        "state": "state",
        "case": lambda w: f"{w['suite']}/{w['case']}",
        "owner": "owner",
        "until": lambda w: w["expires"][:10],
        "because of": "because_of",
        "why": lambda w: w["reason"][:80],
    }
    print_items(items, columns, "no waiver: redrive cases waive SUITE CASE ...", as_json)


@app.command("must-pass")
def must_pass(suite: SuiteVersion, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """The must-pass cases of a suite: since when, why, who passed them, who answers for them.

    --json has their conditions too.
    """
    with connect(url) as client:
        found = client.get(f"/v1/suite-versions/{suite}/cases")
    if as_json:
        print_json(found)
        return
    columns: Columns = {
        "case": "name",
        "status": "status",
        "segment": "segment_id",
        "from s": lambda c: f"{c['start_s']:g}",
        "to s": lambda c: "end" if c["end_s"] is None else f"{c['end_s']:g}",
        "since": lambda c: c["since"]["digest"][:6],
        "held by": lambda c: c["held_by_name"] or ("accepted" if c["held_since"] else ""),
        "why": lambda c: c["note"][:60],
    }
    print_items(found["cases"], columns, "no must-pass case: redrive cases draft --suite NAME ...")


@app.command("prove")
def prove_here(
    segment: Annotated[str, argument("A stored segment, in any form that people paste.")],
    at: Annotated[float, option("The surprise, seconds from the segment's start.")],
    offender: Offender,
    control: Control = "log",
    name: CaseName = "surprise",
    case: CaseFile = None,
    as_written: AsWritten = False,
    simulator: Simulator = "reprojection",
    draws: Draws = 3,
    data: Data = HERE,
    as_json: AsJson = False,
) -> None:
    """Prove a case here, without a service: reproduce, make small, prove.

    It prints the case for a suite's file.
    """
    from workers.segments.store import list_segments

    root = data / "segments"
    found = locate(segment, at, list_segments(root))
    if found is None:
        finding = Finding("SEGMENT", "not stored", "`redrive segments list` shows what is")
        raise SubmitterError(f"no segment is called {segment}", finding)
    meta, at_s = found
    bundles = [local_model(model) for model in (offender, control)]
    models = {manifest.digest: (manifest, graphs) for manifest, graphs in bundles}
    if len(models) < 2:
        finding = Finding("--control", "is the offending model itself")
        raise SubmitterError("a model can't be its own control", finding)
    drivers = [DrivenModel(m.digest, default_execution(m)) for m, _ in bundles]
    trial = Trial(
        offender=drivers[0],
        control=drivers[1],
        simulator=simulator_spec(simulator, {}),
        segment_id=meta.segment_id,
        segment_digest=meta.digest,
        duration_s=meta.duration_s,
    )
    driven: dict[str, Rollout] = {}

    def drive(keys: Sequence[DriveKey]) -> list[Rollout]:
        from workers.batches import drive_keys

        new = [key for key in keys if key.digest not in driven]
        for rollout in drive_keys(
            new, segments_root=root, find_model=models.__getitem__, auxiliary={}
        ):
            driven[rollout.key.digest] = rollout
        return [driven[key.digest] for key in keys]

    asked = CaseSpec(name=name, segment=meta.segment_id) if case is None else _named(case, name)
    spec, told, proof = examine(trial, asked, at_s, draws, drive, as_written=as_written)
    toml = case_toml(spec) if spec else None
    print(f"{len(driven)} rollouts · {told}", file=sys.stderr)
    if as_json:
        print_json({"told": told, "proof": asdict(proof) if proof else None, "toml": toml})
    elif toml is not None and proof is not None:
        print(f"{proof.answer}: {proof.reason}", file=sys.stderr)
        print(toml)
    if proof is None or proof.answer != "proven":
        raise typer.Exit(EXIT_REGRESSION)
