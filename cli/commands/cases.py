"""`redrive cases`: draft, prove, accept, reject, waive, revoke, waivers, must-pass, list, show."""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.connection import (
    DEFAULT_URL,
    EXIT_REGRESSION,
    EXIT_TIMED_OUT,
    AsJson,
    Url,
    connect,
    model_reference,
    print_json,
    print_table,
)
from cli.model_folders import local_model
from server.client import Client
from suites.case_proof import Driver, Trial, examine
from suites.definition.case_toml import case_toml
from suites.definition.suite_schema import CaseSpec, load_suite
from suites.errors import Finding, SubmitterError
from suites.rollout import DriveKey, Rollout
from suites.simulators import default_execution, simulator_spec

app = typer.Typer(help="Register failures as tests and review them.", no_args_is_help=True)

DraftId = Annotated[str, typer.Argument(help="Id of the draft.")]
Actor = Annotated[str, typer.Option(envvar="REDRIVE_ACTOR", help="Who decides.")]
Offender = Annotated[
    str, typer.Option(envvar="REDRIVE_OFFENDER", help="The model that must fail it.")
]
Control = Annotated[
    str,
    typer.Option(
        envvar="REDRIVE_CONTROL",
        help="The model that must pass it: `log` where a human drove, or a known-good one.",
    ),
]
Wait = Annotated[
    float,
    typer.Option(envvar="REDRIVE_TIMEOUT", min=0, help="Wait at most so long for the proof, s."),
]
AsWritten = Annotated[
    bool,
    typer.Option(
        "--as-written",
        help="Keep window and offset; otherwise both are made as small as still shows it.",
    ),
]
LOOK_S = 1.0


@app.command("list")
def list_cases(
    suite: Annotated[
        str | None,
        typer.Option(envvar="REDRIVE_SUITE", help="The cases of this suite instead of drafts."),
    ] = None,
    status: Annotated[
        str | None, typer.Option(envvar="REDRIVE_STATUS", help="Only drafts with this status.")
    ] = None,
    most: Annotated[int, typer.Option(envvar="REDRIVE_MOST", min=1, help="At most so many.")] = 50,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Drafts of cases, newest first; with --suite what that suite drives."""
    with connect(url) as client:
        columns: tuple[str, ...]
        rows: list[tuple[Any, ...]]
        if suite is not None:
            items = list(client.items("/v1/cases", most=most, suite=suite))
            columns, rows = (
                ("case", "segment", "from", "to"),
                [(c["case_id"], c["segment_id"], c["start_s"], c["end_s"]) for c in items],
            )
        else:
            items = list(
                client.items("/v1/case-drafts", most=most, **({"status": status} if status else {}))
            )
            columns, rows = (
                ("draft", "status", "case", "place", "version", "why"),
                [
                    (
                        d["id"],
                        d["status"],
                        f"{d['suite']}/{d['name']}",
                        f"{d['segment_id']} {d['at_s']:g} s",
                        d["version"],
                        (d["reason"] or d["told"])[:80],
                    )
                    for d in items
                ],
            )
    print_json(items) if as_json else print_table(
        columns, rows, "no draft yet: redrive cases draft --report ID ..."
    )


@app.command()
def draft(
    suite: Annotated[
        str,
        typer.Option(
            envvar="REDRIVE_SUITE", help="The suite that it is for; made if it doesn't exist."
        ),
    ],
    name: Annotated[str, typer.Option(help="The case's name.")],
    note: Annotated[str, typer.Option(help="Why it exists.")],
    offender: Offender,
    control: Control = "log",
    report: Annotated[str | None, typer.Option(help="A located field report.")] = None,
    segment: Annotated[str | None, typer.Option(help="Where, if no report is named.")] = None,
    at: Annotated[
        float | None, typer.Option(help="The surprise, seconds from the segment's start.")
    ] = None,
    case: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A suite file whose case of that name is meant, conditions and all.",
        ),
    ] = None,
    as_written: AsWritten = False,
    draws: Annotated[int, typer.Option(min=1, max=20, help="Draws of the declared noise.")] = 3,
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
        body |= {
            k: v
            for k, v in (("report", report), ("segment", segment), ("at_s", at))
            if v is not None
        }
        if case is not None:
            spec = _named(case, name)
            body["case"] = {
                k: v for k, v in asdict(spec).items() if k not in ("name", "segment", "note")
            }
            body.setdefault("segment", spec.segment)
        made = client.post("/v1/case-drafts", body)
        print(f"{url}/case-drafts/{made['id']}", file=sys.stderr)
        proven = wait_for_proof(client, made["id"], timeout)
    _show(proven, as_json)
    raise typer.Exit(_exit_code(proven))


def wait_for_proof(client: Client, draft_id: str, timeout_s: float) -> dict[str, Any]:
    """The draft when its proof is decided, or then."""
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
        raise SubmitterError(
            f"{file} has no case {name}",
            (Finding("--name", f"found {', '.join(cases) or 'none'}"),),
        )
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
        int | None, typer.Option(help="Of the draft that you read; the newest when not given.")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Make a proven draft part of the next version of its suite."""
    with connect(url) as client:
        seen = version or client.get(f"/v1/case-drafts/{draft_id}")["version"]
        enforced = client.post(
            f"/v1/case-drafts/{draft_id}/accept", {"actor": actor, "version": seen}
        )
    if as_json:
        print_json(enforced)
        return
    print(
        f"{enforced['name']} is enforced in {enforced['suite']}@{enforced['suite_digest'][:12]}",
        file=sys.stderr,
    )
    print(enforced["toml"])


@app.command()
def reject(
    draft_id: DraftId,
    actor: Actor,
    reason: Annotated[str, typer.Option(help="Why it will not become a test.")],
    url: Url = DEFAULT_URL,
) -> None:
    """Close a draft."""
    with connect(url) as client:
        seen = client.get(f"/v1/case-drafts/{draft_id}")["version"]
        closed = client.post(
            f"/v1/case-drafts/{draft_id}/reject",
            {"actor": actor, "reason": reason, "version": seen},
        )
    print(f"{closed['id']}: {closed['status']}", file=sys.stderr)


@app.command()
def waive(
    suite: Annotated[str, typer.Argument(help="The suite.")],
    case: Annotated[str, typer.Argument(help="The case that may fail for a time.")],
    owner: Annotated[str, typer.Option(envvar="REDRIVE_ACTOR", help="Who answers for it.")],
    reason: Annotated[str, typer.Option(help="Why, for everybody who reads a verdict.")],
    days: Annotated[float, typer.Option(min=0.01, max=90, help="Until when.")] = 14,
    because_of: Annotated[
        str | None, typer.Option(help="Another waived case with the same cause.")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Answer for a failing case for a time; every verdict that it touches says so."""
    expires = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    body = {"suite": suite, "case": case, "owner": owner, "reason": reason, "expires": expires}
    with connect(url) as client:
        made = client.post("/v1/waivers", body | ({"because_of": because_of} if because_of else {}))
    print_json(made) if as_json else print(
        f"{made['id']}: {case} is waived until {made['expires'][:10]}", file=sys.stderr
    )


@app.command()
def revoke(
    waiver_id: Annotated[str, typer.Argument(help="Id of the waiver.")],
    actor: Actor,
    url: Url = DEFAULT_URL,
) -> None:
    """End a waiver."""
    with connect(url) as client:
        ended = client.post(f"/v1/waivers/{waiver_id}/revoke", {"actor": actor})
    print(f"{ended['case']} counts again", file=sys.stderr)


@app.command()
def waivers(
    suite: Annotated[
        str | None, typer.Option(envvar="REDRIVE_SUITE", help="Only of this suite.")
    ] = None,
    state: Annotated[str | None, typer.Option(help="Only in force, expired or revoked.")] = None,
    most: Annotated[int, typer.Option(envvar="REDRIVE_MOST", min=1, help="At most so many.")] = 50,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Waivers, newest first: who answers for which failing case, until when and why."""
    asked = {name: value for name, value in (("suite", suite), ("state", state)) if value}
    with connect(url) as client:
        items = list(client.items("/v1/waivers", most=most, **asked))
    rows = [
        (
            w["id"],
            w["state"],
            f"{w['suite']}/{w['case']}",
            w["owner"],
            w["expires"][:10],
            w["because_of"],
            w["reason"][:80],
        )
        for w in items
    ]
    columns = ("waiver", "state", "case", "owner", "until", "because of", "why")
    print_json(items) if as_json else print_table(
        columns, rows, "no waiver: redrive cases waive SUITE CASE ..."
    )


@app.command("must-pass")
def must_pass(
    suite: Annotated[
        str, typer.Argument(help="Name (the newest version), name@digest, or digest.")
    ],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """The must-pass cases of a suite: since when, why, who passed them, who answers for them; --json has their conditions."""
    with connect(url) as client:
        found = client.get(f"/v1/suite-versions/{suite}/cases")
    rows = [
        (
            c["name"],
            c["status"],
            c["segment_id"],
            f"{c['start_s']:g}",
            "end" if c["end_s"] is None else f"{c['end_s']:g}",
            c["since"]["digest"][:6],
            c["held_by_name"] or ("accepted" if c["held_since"] else ""),
            c["note"][:60],
        )
        for c in found["cases"]
    ]
    columns = ("case", "status", "segment", "from s", "to s", "since", "held by", "why")
    print_json(found) if as_json else print_table(
        columns, rows, "no must-pass case: redrive cases draft --suite NAME ..."
    )


@app.command("prove")
def prove_here(
    segment: Annotated[
        str, typer.Argument(help="A stored segment, in any form that people paste.")
    ],
    at: Annotated[float, typer.Option(help="The surprise, seconds from the segment's start.")],
    offender: Offender,
    control: Control = "log",
    name: Annotated[str, typer.Option(help="The case's name.")] = "surprise",
    case: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A suite file whose case of that name is meant."
        ),
    ] = None,
    as_written: AsWritten = False,
    simulator: Annotated[
        str, typer.Option(envvar="REDRIVE_SIMULATOR", help="Which simulator.")
    ] = "reprojection",
    draws: Annotated[int, typer.Option(min=1, max=20, help="Draws of the declared noise.")] = 3,
    data: Annotated[
        Path, typer.Option(envvar="REDRIVE_DATA", help="Folder of the installation.")
    ] = Path(".redrive"),
    as_json: AsJson = False,
) -> None:
    """The same proof here, without a service: reproduce, make small, prove; prints the case for a suite's file."""
    from suites.segment_lookup import locate
    from workers.segments.store import list_segments

    found = locate(segment, at, list_segments(data / "segments"))
    if found is None:
        finding = Finding("SEGMENT", "not stored", "`redrive segments list` shows what is")
        raise SubmitterError(f"no segment is called {segment}", (finding,))
    meta, at_s = found
    models = {
        manifest.digest: (manifest, graphs)
        for manifest, graphs in map(local_model, (offender, control))
    }
    if len(models) < 2:
        raise SubmitterError(
            "a model can't be its own control",
            (Finding("--control", "is the offending model itself"),),
        )
    drivers = [Driver(m.digest, default_execution(m)) for m, _ in models.values()]
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
            new, segments_root=data / "segments", find_model=models.__getitem__, auxiliary={}
        ):
            driven[rollout.key.digest] = rollout
        return [driven[key.digest] for key in keys]

    asked = CaseSpec(name=name, segment=meta.segment_id) if case is None else _named(case, name)
    spec, told, proof = examine(trial, asked, at_s, draws, drive, as_written=as_written)
    print(f"{len(driven)} rollouts · {told}", file=sys.stderr)
    if as_json:
        print_json(
            {
                "told": told,
                "proof": asdict(proof) if proof else None,
                "toml": case_toml(spec) if spec else None,
            }
        )
    elif spec is not None and proof is not None:
        print(f"{proof.answer}: {proof.reason}", file=sys.stderr)
        print(case_toml(spec))
    if proof is None or proof.answer != "proven":
        raise typer.Exit(EXIT_REGRESSION)
