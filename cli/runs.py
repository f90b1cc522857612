"""`redrive runs`: list, show, watch, cancel."""

from pathlib import Path
from typing import Annotated, Any

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
def incidents(run_id: RunId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Rare incidents of a run: rates per 1,000 h, distinct places, shares by starting offset, hours still needed."""
    with connect(url) as client:
        view = client.get(f"/v1/runs/{run_id}/incidents")
    if as_json:
        print_json(view)
        return
    rows = [
        (kind["kind"], *(_rate(kind[side]) for side in ("candidate", "baseline")), len(kind["candidate_only"]),
         len(kind["baseline_only"]), len(kind["both"]), f"{kind['e_value']:.2g} of {kind['threshold']:g}", kind["word"],
         "-" if kind["hours_needed"] is None else f"{kind['hours_needed']:,.1f}")
        for kind in view["kinds"]
    ]  # fmt: skip
    print("Per 1,000 h, over drives that began on the logged path (95 % exact interval; drives with it / hours driven):")
    columns = ("incident", "candidate", "baseline", "places: candidate", "baseline", "both", "evidence", "candidate has", "hours")
    print_table(columns, rows, "")
    offsets = [
        (kind["kind"], c["offset"], _share(c), _share(b))
        for kind in view["kinds"]
        for c, b in zip(kind["candidate_offsets"], kind["baseline_offsets"], strict=True)
        if c["with_incident"] or b["with_incident"]
    ]
    if offsets:
        print("\nShares of the drives that began beside it (never per hour: nobody knows how often that happens):")
        print_table(("incident", "offset", "candidate", "baseline"), offsets, "")


def _rate(rate: dict[str, Any]) -> str:
    if rate["per_1000_h"] is None:
        return "nothing driven"
    interval = f"[{rate['low']:,.4g}, {rate['high']:,.4g}]"
    return f"{rate['per_1000_h']:,.4g} {interval} ({rate['with_incident']} / {rate['hours']:.3g} h)"


def _share(share: dict[str, Any]) -> str:
    return f"{share['with_incident']} of {share['drives']} [{100 * share['low']:.0f}, {100 * share['high']:.0f}] %"


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
