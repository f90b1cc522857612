"""`redrive runs`: list, show, watch, cancel."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.commands.submit import show as show_verdict
from cli.commands.submit import watched, write_documents
from cli.connection import DEFAULT_URL, AsJson, Url, connect, exit_code, print_json, print_table

app = typer.Typer(help="List, watch and cancel runs.", no_args_is_help=True)

RunId = Annotated[str, typer.Argument(help="Id of the run: the last part of its address.")]


@app.command("list")
def list_runs(
    suite: Annotated[
        str | None,
        typer.Option(envvar="REDRIVE_SUITE", help="Only of this suite, by name or digest."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(envvar="REDRIVE_MODEL", help="Only with this model, by name or digest."),
    ] = None,
    status: Annotated[
        str | None, typer.Option(envvar="REDRIVE_STATUS", help="Only with this status.")
    ] = None,
    most: Annotated[int, typer.Option(envvar="REDRIVE_MOST", min=1, help="At most so many.")] = 30,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Runs, newest first."""
    filters = {
        name: value
        for name, value in (("suite", suite), ("model", model), ("status", status))
        if value
    }
    with connect(url) as client:
        runs = list(client.items("/v1/runs", most=most, **filters))
    if as_json:
        print_json(runs)
        return
    rows = [
        (
            r["id"],
            r["verdict"] or r["status"],
            r["candidate"]["name"],
            r["baseline"]["name"],
            f"{r['suite']['name']}@{r['suite']['digest'][:6]}",
            f"{r['pairs_consumed']}/{r['planned']}",
            r["created"][:19],
        )
        for r in runs
    ]
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
    rows = [
        (
            g["metric"],
            g["estimand"],
            g["verdict"],
            f"{100 * g['margin']:g} %",
            g["pairs"],
            g["invalid"],
        )
        for g in gates
    ]
    if rows:
        print_table(("gate", "estimand", "verdict", "margin", "pairs", "invalid"), rows, "")
    print(run["url"])


@app.command()
def compare(
    candidates: Annotated[
        list[str], typer.Argument(help="Models, by name or digest; their number is corrected for.")
    ],
    baseline: Annotated[
        str, typer.Option(envvar="REDRIVE_BASELINE", help="The model that all of them met.")
    ],
    suite: Annotated[
        str | None, typer.Option(envvar="REDRIVE_SUITE", help="Of this suite version.")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Several candidates against one baseline: each gate's word alone, and corrected for their number."""
    filters = {"suite": suite} if suite else {}
    with connect(url) as client:
        found = client.get("/v1/comparisons", baseline=baseline, candidate=candidates, **filters)
    if as_json:
        print_json(found)
        return
    several = len(found["candidates"]) > 1
    rows = []
    for one in found["candidates"]:
        again = one["corrected"]
        name = one["candidate"]["name"]
        rows.append((name, "run", one["verdict"], again["verdict"] or again["problem"]))
        rows += [
            (name, gate["metric"], gate["verdict"], again["gates"][i] if again["gates"] else "-")
            for i, gate in enumerate(one["gates"])
        ]
    columns = ("candidate", "gate", "alone", "corrected")
    print_table(
        columns if several else columns[:3], rows if several else [row[:3] for row in rows], ""
    )
    print(found["correction"])


@app.command()
def incidents(run_id: RunId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Rare incidents of a run: rates per 1,000 h, distinct places, shares by starting offset, hours still needed."""
    with connect(url) as client:
        view = client.get(f"/v1/runs/{run_id}/incidents")
    if as_json:
        print_json(view)
        return
    rows = [
        (
            kind["kind"],
            *(_rate(kind[side]) for side in ("candidate", "baseline")),
            len(kind["candidate_only"]),
            len(kind["baseline_only"]),
            len(kind["both"]),
            f"{kind['e_value']:.2g} of {kind['threshold']:g}",
            "-" if kind["p_value"] is None else f"{kind['p_value']:.2g}",
            kind["word"],
            "-" if kind["hours_needed"] is None else f"{kind['hours_needed']:,.0f}",
        )
        for kind in view["kinds"]
    ]
    stated = view["offset_weights"]
    over = "over drives that began on the logged path"
    if stated:
        over = "starting offsets weighted as the suite states: " + ", ".join(
            f"{o} {100 * p:g} %" for o, p in stated.items()
        )
    print(
        f"Per 1,000 h of natural driving, {over} (95 % interval; drives with it in hours driven):"
    )
    columns = (
        "incident",
        "candidate",
        "baseline",
        "places: candidate",
        "baseline",
        "both",
        "evidence",
        "p",
        "candidate has",
        "hours needed",
    )
    print_table(columns, rows, "")
    if sample := view["enriched"]:
        print(
            f"enriched: {sample['drives']} drives of {sample['segments']} segments, worth {sample['effective_segments']:.1f} "
            f"natural segments; one drive counts for at most {sample['largest_weight']:.1f}."
        )
        if sample["warning"]:
            print(f"careful: {sample['warning']}.")
    print(
        "evidence: label test on distinct routes, readable at any time. p: McNemar's exact test of them (Holm), all driven."
    )
    offsets = [
        (kind["kind"], c["offset"], _share(c), _share(b))
        for kind in view["kinds"]
        for c, b in zip(kind["candidate_offsets"], kind["baseline_offsets"], strict=True)
        if c["with_incident"] or b["with_incident"]
    ]
    if offsets:
        never = (
            "" if stated else " (never per hour: the suite does not state how often that happens)"
        )
        print(f"\nShares of the drives that began beside the log{never}:")
        print_table(("incident", "offset", "candidate", "baseline"), offsets, "")


def _rate(rate: dict[str, Any]) -> str:
    if rate["low"] is None:
        return "nothing driven"
    quoted = (
        "too little driven for a rate"
        if rate["per_1000_h"] is None
        else _figure(rate["per_1000_h"])
    )
    driven = f"{rate['with_incident']} in {_figure(rate['hours'])} h"
    if f"{rate['hours']:.2f}" != f"{rate['effective_hours']:.2f}":
        driven += f" worth {_figure(rate['effective_hours'])} h"
    return f"{quoted} [{_figure(rate['low'])}, {_figure(rate['high'])}] ({driven})"


def _figure(value: float) -> str:
    """Three digits, never an exponent."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _share(share: dict[str, Any]) -> str:
    return f"{share['with_incident']} of {share['drives']} [{100 * share['low']:.0f}, {100 * share['high']:.0f}] %"


@app.command()
def watch(
    run_id: RunId,
    timeout: Annotated[
        float | None, typer.Option(envvar="REDRIVE_TIMEOUT", min=0, help="Wait at most so long, s.")
    ] = None,
    allow_inconclusive: Annotated[
        bool,
        typer.Option(
            envvar="REDRIVE_ALLOW_INCONCLUSIVE", help="Exit 0 when the verdict is inconclusive."
        ),
    ] = False,
    junit: Annotated[
        Path | None, typer.Option(envvar="REDRIVE_JUNIT", help="Write JUnit XML here.")
    ] = None,
    comment: Annotated[
        Path | None,
        typer.Option(envvar="REDRIVE_COMMENT", help="Write the pull-request comment here."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(envvar="REDRIVE_REPORT", help="Write the HTML report here.")
    ] = None,
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
def cancel(
    run_id: RunId,
    actor: Annotated[str, typer.Option(envvar="REDRIVE_ACTOR", help="Who stops it.")] = "",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Stop a run. What was driven stays and is used by later runs."""
    with connect(url) as client:
        show_verdict(client.cancel(run_id, actor), as_json)
