"""`redrive runs`: list, show, watch, cancel."""

from pathlib import Path
from typing import Annotated

import typer

from cli.service import DEFAULT_URL, AsJson, Url, connect, exit_code, print_json, print_table
from cli.submit import show as show_verdict
from cli.submit import watched, write_documents

app = typer.Typer(help="List, watch and cancel runs.", no_args_is_help=True)

RunId = Annotated[str, typer.Argument(help="Id of the run: the last part of its address.")]


@app.command("list")
def list_runs(
    suite: Annotated[str | None, typer.Option(envvar="REDRIVE_SUITE", help="Only of this suite, by name or digest.")] = None,
    model: Annotated[str | None, typer.Option(envvar="REDRIVE_MODEL", help="Only with this model, by name or digest.")] = None,
    status: Annotated[str | None, typer.Option(envvar="REDRIVE_STATUS", help="Only with this status.")] = None,
    most: Annotated[int, typer.Option(envvar="REDRIVE_MOST", min=1, help="At most so many.")] = 30,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Runs, newest first."""
    filters = {name: value for name, value in (("suite", suite), ("model", model), ("status", status)) if value}
    with connect(url) as client:
        runs = list(client.items("/v1/runs", most=most, **filters))
    if as_json:
        print_json(runs)
        return
    rows = [
        (r["id"], r["verdict"] or r["status"], r["candidate"]["name"], r["baseline"]["name"],
         f"{r['suite']['name']}@{r['suite']['digest'][:6]}", f"{r['pairs_consumed']}/{r['planned']}", r["created"][:19])
        for r in runs
    ]  # fmt: skip
    columns = ("run", "verdict", "candidate", "baseline", "suite", "pairs", "created")
    print_table(columns, rows, "no run yet: redrive submit MODEL --suite SUITE --baseline MODEL")


@app.command()
def show(run_id: RunId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """One run: its verdict, its gates and where its page is."""
    with connect(url) as client:
        run = client.run(run_id)
    show_verdict(run, as_json)
    if as_json:
        return
    gates = (run["verdict_document"] or {}).get("gates", [])
    rows = [(g["metric"], g["estimand"], g["verdict"], f"{100 * g['margin']:g} %", g["pairs"], g["invalid"]) for g in gates]
    if rows:
        print_table(("gate", "estimand", "verdict", "margin", "pairs", "invalid"), rows, "")
    print(run["url"])


@app.command()
def watch(
    run_id: RunId,
    timeout: Annotated[float | None, typer.Option(envvar="REDRIVE_TIMEOUT", min=0, help="Wait at most so long, s.")] = None,
    allow_inconclusive: Annotated[
        bool, typer.Option(envvar="REDRIVE_ALLOW_INCONCLUSIVE", help="Exit 0 when the verdict is inconclusive.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(envvar="REDRIVE_JUNIT", help="Write JUnit XML here.")] = None,
    comment: Annotated[Path | None, typer.Option(envvar="REDRIVE_COMMENT", help="Write the pull-request comment here.")] = None,
    report: Annotated[Path | None, typer.Option(envvar="REDRIVE_REPORT", help="Write the HTML report here.")] = None,
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
def cancel(run_id: RunId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Stop a run. What was driven stays and is used by later runs."""
    with connect(url) as client:
        show_verdict(client.cancel(run_id), as_json)
