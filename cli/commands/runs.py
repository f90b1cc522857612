"""`redrive runs`: list, show, compare, export, watch, complete, cancel."""

import sys
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.commands.submit import show as show_verdict
from cli.commands.submit import watched, write_documents
from cli.connection import connect
from cli.exit_codes import exit_code
from cli.incidents_text import print_incidents
from cli.options import (
    DEFAULT_URL,
    AllowInconclusive,
    AsJson,
    Comment,
    Junit,
    Most,
    OfStatus,
    Report,
    Timeout,
    Url,
    argument,
    option,
)
from cli.printing import Columns, print_items, print_json, print_table
from cli.run_parquet import write_parquet
from suites.errors import Finding, SubmitterError
from suites.formatting import margin_text
from suites.verdict.run_file import csv_cells

app = typer.Typer(no_args_is_help=True)

RunId = Annotated[str, argument("Id of the run: the last part of its address.")]


@app.command("list")
def list_runs(
    suite: Annotated[
        str | None, option("Only of this suite, by name or digest.", "REDRIVE_SUITE")
    ] = None,
    model: Annotated[
        str | None, option("Only with this model, by name or digest.", "REDRIVE_MODEL")
    ] = None,
    status: OfStatus = None,
    most: Most = 30,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Runs, newest first."""
    filters = {"suite": suite, "model": model, "status": status}
    given = {name: value for name, value in filters.items() if value}
    with connect(url) as client:
        runs = list(client.items("/v1/runs", most=most, **given))
    columns: Columns = {
        "run": "id",
        "verdict": _word,
        "candidate": "candidate.name",
        "baseline": "baseline.name",
        "suite": lambda r: f"{r['suite']['name']}@{r['suite']['digest'][:6]}",
        "pairs": lambda r: f"{r['pairs_consumed']}/{r['planned']}",
        "created": lambda r: r["created"][:19],
    }
    empty = "no run yet: redrive submit MODEL --suite SUITE --baseline MODEL"
    print_items(runs, columns, empty, as_json)


def _word(run: dict[str, Any]) -> str:
    """Its verdict, or how far it is."""
    notes = {"provisional": run["provisional"], "pass withdrawn": run["withdrawn_at"]}
    words = "".join(f", {note}" for note, holds in notes.items() if holds)
    return f"{run['verdict'] or run['status']}{words}"


@app.command()
def show(run_id: RunId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """One run: its verdict, its gates and where its page is."""
    with connect(url) as client:
        run = client.run(run_id)
    show_verdict(run, as_json)
    if as_json:
        return
    columns: Columns = {
        "gate": "metric",
        "estimand": "estimand",
        "verdict": "verdict",
        "margin": lambda g: margin_text(g["margin"], g["estimand"] == "rate"),
        "pairs": "pairs",
        "invalid": "invalid",
    }
    if gates := (run["verdict_document"] or {}).get("gates"):
        print_items(gates, columns, "")
    print(f"try {run['tries']} of {run['line']} on suite {run['suite']['name']}")
    print(run["url"])


@app.command()
def compare(
    candidates: Annotated[
        list[str], argument("Models, by name or digest; their number is corrected for.")
    ],
    baseline: Annotated[str, option("The model that all of them met.", "REDRIVE_BASELINE")],
    suite: Annotated[str | None, option("Of this suite version.", "REDRIVE_SUITE")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Compare candidates with one baseline: each gate alone, and corrected for their number."""
    filters = {"suite": suite} if suite else {}
    with connect(url) as client:
        found = client.get("/v1/comparisons", baseline=baseline, candidate=candidates, **filters)
    if as_json:
        print_json(found)
        return
    rows = []
    for one in found["candidates"]:
        again = one["corrected"]
        name = one["candidate"]["name"]
        rows.append((name, "run", _word(one), again["verdict"] or again["problem"]))
        words = again["gates"] or ["-"] * len(one["gates"])
        rows += [
            (name, gate["metric"], gate["verdict"], word)
            for gate, word in zip(one["gates"], words, strict=False)
        ]
    shown = 4 if len(found["candidates"]) > 1 else 3  # one candidate needs no correction
    columns = ("candidate", "gate", "alone", "corrected")
    print_table(columns[:shown], [row[:shown] for row in rows], "")
    print(found["correction"])


@app.command()
def incidents(run_id: RunId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Rare incidents of a run: rates per 1,000 h, places, shares by offset, hours still needed."""
    with connect(url) as client:
        view = client.get(f"/v1/runs/{run_id}/incidents")
    print_json(view) if as_json else print_incidents(view)


@app.command()
def export(
    run_id: RunId,
    out: Annotated[
        Path | None,
        option("File, .csv or .parquet; CSV on standard output if not given.", "REDRIVE_OUT"),
    ] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Write a run as a table that `redrive verdict FILE` judges to the same words."""
    kind = ".csv" if out is None else out.suffix.lower()
    if kind not in (".csv", ".parquet"):
        finding = Finding("--out", f"{out}", "end it in .csv or .parquet")
        raise SubmitterError("a run is written as CSV or as Parquet", finding)
    with connect(url) as client:
        parts = client.parts(f"/v1/runs/{run_id}/export.csv")
        if out is None:
            sys.stdout.writelines(parts)
        elif kind == ".parquet":
            write_parquet(out, csv_cells("".join(parts)))
        else:
            first = next(parts)  # nothing is written of a run that is not there
            with out.open("w", encoding="utf-8", newline="") as file:
                file.writelines(chain([first], parts))


@app.command()
def watch(
    run_id: RunId,
    timeout: Timeout = None,
    allow_inconclusive: AllowInconclusive = False,
    junit: Junit = None,
    comment: Comment = None,
    report: Report = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Follow a run to its verdict; exits as `redrive submit` does."""
    with connect(url) as client:
        run = watched(client, run_id, timeout, as_json)
        write_documents(client, run_id, junit, comment, report)
    show_verdict(run, as_json)
    raise typer.Exit(exit_code(run, allow_inconclusive))


@app.command()
def complete(
    run_id: RunId,
    wait: Annotated[bool, option("Wait until all of it is driven.", "REDRIVE_WAIT")] = True,
    timeout: Timeout = None,
    allow_inconclusive: AllowInconclusive = False,
    actor: Annotated[str, option("Who asks for it.", "REDRIVE_ACTOR")] = "",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Drive what an early verdict left out, nothing twice: only a complete pass promotes.

    Exits as `redrive submit` does, by the verdict on the whole set.
    """
    with connect(url) as client:
        run = client.complete(run_id, actor)
        if wait:
            run = watched(client, run_id, timeout, as_json, "finished")
    show_verdict(run, as_json)
    if wait:
        raise typer.Exit(exit_code(run, allow_inconclusive))


@app.command()
def cancel(
    run_id: RunId,
    actor: Annotated[str, option("Who stops it.", "REDRIVE_ACTOR")] = "",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Stop a run. What was driven stays and is used by later runs."""
    with connect(url) as client:
        show_verdict(client.cancel(run_id, actor), as_json)
