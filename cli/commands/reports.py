"""`redrive reports`: add, import a backlog, list, show, reject."""

import csv
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.connection import connect
from cli.exit_codes import EXIT_REGRESSION
from cli.options import DEFAULT_URL, AsJson, Most, OfStatus, Url, argument, option
from cli.printing import Columns, print_items, print_json
from server.client import Client
from suites.errors import Finding, SubmitterError
from suites.segment_lookup import seconds

app = typer.Typer(no_args_is_help=True)

REQUIRED = ("route", "time", "text", "reporter")
OPTIONAL = ("model_version", "severity")
ReportId = Annotated[str, argument("Id of the report.")]


@app.command()
def add(
    route: Annotated[str, argument("A route or segment, in any form that people paste.")],
    time: Annotated[str, argument("From the start of what is named: seconds, 1:23, or 1:02:03.")],
    text: Annotated[str, argument("What happened.")],
    reporter: Annotated[str, option("Who says so.", "REDRIVE_REPORTER")],
    model_version: Annotated[str, option("What drove.", "REDRIVE_MODEL_VERSION")] = "",
    severity: Annotated[
        str, option("low, medium, high or critical.", "REDRIVE_SEVERITY")
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
    told = f"{report['id']}: {report['status']} {report['reason']}".rstrip()
    print_json(report) if as_json else print(told)


@app.command("import")
def import_csv(
    file: Annotated[
        Path, argument(f"CSV with {', '.join(REQUIRED)}.", exists=True, dir_okay=False)
    ],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Send a backlog of reports.

    Each line stands alone: what is wrong with one is said, and the others are sent. Sending the
    file again adds nothing twice.
    """
    rows = _rows(file)
    with connect(url) as client:
        outcome = [_sent(client, line, row) for line, row in rows]
    refused = [o for o in outcome if "error" in o]
    for one in refused:
        print(f"line {one['line']}: {one['error']}", file=sys.stderr)
    counts = Counter(one.get("status", "refused") for one in outcome)
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    if as_json:
        print_json({"lines": outcome, "counts": counts})
    else:
        print(told or "the file has no line")
    if refused:
        raise typer.Exit(EXIT_REGRESSION)


def _rows(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """(number of its last line, columns) of each report. Raises SubmitterError, before anything is
    sent."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        try:
            missing = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
            rows = [(reader.line_num, row) for row in reader] if not missing else []
        except (UnicodeDecodeError, csv.Error) as error:
            where = f"after line {reader.line_num}"
            finding = Finding(where, str(error), "save it as CSV in UTF-8")
            raise SubmitterError(f"{file} is no CSV that can be read", finding) from None
    if missing:
        found = f"found {', '.join(reader.fieldnames or ()) or 'nothing'}"
        finding = Finding("line 1", found, f"name the columns {', '.join((*REQUIRED, *OPTIONAL))}")
        raise SubmitterError(f"{file} lacks {', '.join(missing)}", finding)
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
    return {"line": line} | {name: report[name] for name in ("id", "status", "cluster")}


def _complaint(row: dict[str, Any], where: str) -> dict[str, Any]:
    body = {name: (row.get(name) or "").strip() for name in (*REQUIRED, *OPTIONAL)}
    time_s = seconds(body.pop("time"), where)
    return {name: value for name, value in body.items() if value} | {"time_s": time_s}


@app.command("list")
def list_reports(
    status: OfStatus = None, most: Most = 30, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Reports, newest first."""
    filters = {"status": status} if status else {}
    with connect(url) as client:
        reports = list(client.items("/v1/field-reports", most=most, **filters))
    columns: Columns = {
        "report": "id",
        "status": "status",
        "severity": "severity",
        "kind": "signature",
        "place": lambda r: r["segment_id"] or r["route"],
        "at s": lambda r: f"{r['time_s']:g}",
        "cluster": lambda r: "" if r["cluster"] == r["id"] else f"like {r['cluster']}",
        "text": lambda r: r["text"][:60],
    }
    empty = "redrive reports add ROUTE TIME TEXT --reporter YOU, or redrive reports import FILE.csv"
    print_items(reports, columns, f"no report yet: {empty}", as_json)


@app.command()
def show(report_id: ReportId, url: Url = DEFAULT_URL) -> None:
    """One report with its links, as JSON."""
    with connect(url) as client:
        print_json(client.get(f"/v1/field-reports/{report_id}"))


@app.command()
def reject(
    report_id: ReportId,
    reason: Annotated[str, option("Why it will not become a test.")],
    actor: Annotated[str, option("Who decides.", "REDRIVE_ACTOR")],
    url: Url = DEFAULT_URL,
) -> None:
    """Close a report that will not become a test."""
    with connect(url) as client:
        body = {"actor": actor, "reason": reason}
        report = client.post(f"/v1/field-reports/{report_id}/reject", body)
    print(f"{report['id']}: {report['status']}", file=sys.stderr)
