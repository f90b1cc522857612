"""`redrive reports`: add, import a backlog, list, show, reject."""

import csv
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.connection import (
    DEFAULT_URL,
    EXIT_REGRESSION,
    AsJson,
    Url,
    connect,
    print_json,
    print_table,
)
from server.client import Client
from suites.errors import Finding, SubmitterError
from suites.segment_lookup import seconds

app = typer.Typer(help="Field reports: what the fleet complained of.", no_args_is_help=True)

REQUIRED = ("route", "time", "text", "reporter")
OPTIONAL = ("model_version", "severity")
ReportId = Annotated[str, typer.Argument(help="Id of the report.")]


@app.command()
def add(
    route: Annotated[
        str, typer.Argument(help="A route or segment, in any form that people paste.")
    ],
    time: Annotated[
        str, typer.Argument(help="From the start of what is named: seconds, 1:23, or 1:02:03.")
    ],
    text: Annotated[str, typer.Argument(help="What happened.")],
    reporter: Annotated[str, typer.Option(envvar="REDRIVE_REPORTER", help="Who says so.")],
    model_version: Annotated[
        str, typer.Option(envvar="REDRIVE_MODEL_VERSION", help="What drove.")
    ] = "",
    severity: Annotated[
        str, typer.Option(envvar="REDRIVE_SEVERITY", help="low, medium, high or critical.")
    ] = "medium",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Send one report."""
    row = {
        "route": route,
        "time": time,
        "text": text,
        "reporter": reporter,
        "model_version": model_version,
        "severity": severity,
    }
    with connect(url) as client:
        report = client.post("/v1/field-reports", _complaint(row, "TIME"))
    print_json(report) if as_json else print(
        f"{report['id']}: {report['status']} {report['reason']}".rstrip()
    )


@app.command("import")
def import_csv(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help=f"CSV with {', '.join(REQUIRED)}.")
    ],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Send a backlog. Each line stands alone: what is wrong with one is said, and the others are sent; sending the file
    again adds nothing twice."""
    rows = _rows(file)
    with connect(url) as client:
        outcome = [_sent(client, line, row) for line, row in rows]
    refused = [o for o in outcome if "error" in o]
    for one in refused:
        print(f"line {one['line']}: {one['error']}", file=sys.stderr)
    counts: dict[str, int] = {}
    for one in outcome:
        counts[one.get("status", "refused")] = counts.get(one.get("status", "refused"), 0) + 1
    if as_json:
        print_json({"lines": outcome, "counts": counts})
    else:
        print(
            ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
            or "the file has no line"
        )
    if refused:
        raise typer.Exit(EXIT_REGRESSION)


def _rows(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """(number of its last line, columns) of each report. Raises SubmitterError, before anything is sent."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        try:
            missing = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
            rows = [(reader.line_num, row) for row in reader] if not missing else []
        except (UnicodeDecodeError, csv.Error) as error:
            finding = Finding(
                f"after line {reader.line_num}", str(error), "save it as CSV in UTF-8"
            )
            raise SubmitterError(f"{file} is no CSV that can be read", (finding,)) from None
    if missing:
        found = ", ".join(reader.fieldnames or ()) or "nothing"
        finding = Finding(
            "line 1", f"found {found}", f"name the columns {', '.join((*REQUIRED, *OPTIONAL))}"
        )
        raise SubmitterError(f"{file} lacks {', '.join(missing)}", (finding,))
    return rows


def _sent(client: Client, line: int, row: dict[str, Any]) -> dict[str, Any]:
    try:
        report = client.post("/v1/field-reports", _complaint(row, f"line {line}: time"))
    except SubmitterError as error:
        details = "; ".join(
            f"{f.where}: {f.problem}" + (f" ({f.remedy})" if f.remedy else "")
            for f in error.findings
        )
        return {"line": line, "error": f"{error} {details}".strip()}
    return {
        "line": line,
        "id": report["id"],
        "status": report["status"],
        "cluster": report["cluster"],
    }


def _complaint(row: dict[str, Any], where: str) -> dict[str, Any]:
    body = {name: (row.get(name) or "").strip() for name in (*REQUIRED, *OPTIONAL)}
    time_s = seconds(body.pop("time"), where)
    return {name: value for name, value in body.items() if value} | {"time_s": time_s}


@app.command("list")
def list_reports(
    status: Annotated[
        str | None, typer.Option(envvar="REDRIVE_STATUS", help="Only with this status.")
    ] = None,
    most: Annotated[int, typer.Option(envvar="REDRIVE_MOST", min=1, help="At most so many.")] = 30,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Reports, newest first."""
    with connect(url) as client:
        reports = list(
            client.items("/v1/field-reports", most=most, **({"status": status} if status else {}))
        )
    if as_json:
        print_json(reports)
        return
    rows = [
        (
            r["id"],
            r["status"],
            r["severity"],
            r["signature"],
            r["segment_id"] or r["route"],
            f"{r['time_s']:g}",
            "" if r["cluster"] == r["id"] else f"like {r['cluster']}",
            r["text"][:60],
        )
        for r in reports
    ]
    columns = ("report", "status", "severity", "kind", "place", "at s", "cluster", "text")
    print_table(
        columns,
        rows,
        "no report yet: redrive reports add ROUTE TIME TEXT --reporter YOU, or redrive reports import FILE.csv",
    )


@app.command()
def show(report_id: ReportId, url: Url = DEFAULT_URL) -> None:
    """One report with its links, as JSON."""
    with connect(url) as client:
        print_json(client.get(f"/v1/field-reports/{report_id}"))


@app.command()
def reject(
    report_id: ReportId,
    reason: Annotated[str, typer.Option(help="Why it will not become a test.")],
    actor: Annotated[str, typer.Option(envvar="REDRIVE_ACTOR", help="Who decides.")],
    url: Url = DEFAULT_URL,
) -> None:
    """Close a report that will not become a test."""
    with connect(url) as client:
        report = client.post(
            f"/v1/field-reports/{report_id}/reject", {"actor": actor, "reason": reason}
        )
    print(f"{report['id']}: {report['status']}", file=sys.stderr)
