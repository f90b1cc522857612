"""`redrive submit`: what CI calls."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.connection import connect, model_reference
from cli.exit_codes import EXIT_TIMED_OUT, exit_code
from cli.options import (
    DEFAULT_URL,
    AllowInconclusive,
    AsJson,
    Comment,
    Junit,
    Model,
    Report,
    Timeout,
    Url,
    option,
)
from cli.printing import print_json
from cli.progress_line import follow
from server.client import Client, WaitTimeout
from suites.vocabulary import Until

app = typer.Typer(context_settings={"allow_interspersed_args": True})

EXIT_DETACHED = 130
SHOWN = "Shown with the run."
COMMIT = ["REDRIVE_COMMIT", "GITHUB_SHA", "CI_COMMIT_SHA"]
BRANCH = ["REDRIVE_BRANCH", "GITHUB_HEAD_REF", "CI_COMMIT_REF_NAME"]
PULL_REQUEST = ["REDRIVE_PULL_REQUEST", "CI_MERGE_REQUEST_IID"]
REQUESTED_BY = ["REDRIVE_REQUESTED_BY", "GITHUB_ACTOR", "GITLAB_USER_LOGIN"]


@app.callback(invoke_without_command=True)
def submit(
    candidate: Model,
    suite: Annotated[
        str, option("Suite by name (its newest version), name@digest, or digest.", "REDRIVE_SUITE")
    ],
    baseline: Annotated[
        str | None,
        option("The same forms; the suite's promoted model if not given.", "REDRIVE_BASELINE"),
    ] = None,
    wait: Annotated[
        bool, option("Wait for the verdict; the exit code says it.", "REDRIVE_WAIT")
    ] = True,
    timeout: Timeout = None,
    routes: Annotated[
        int | None, option("Number of routes, the suite's first.", "REDRIVE_ROUTES", min=1)
    ] = None,
    execution: Annotated[
        str | None,
        option(
            "What both models run on: RUNTIME[/PRECISION[/DEVICE]], as openvino/bf16.",
            "REDRIVE_EXECUTION",
        ),
    ] = None,
    full: Annotated[
        bool, option("Drive everything, even after the decision: it may promote.", "REDRIVE_FULL")
    ] = False,
    allow_inconclusive: AllowInconclusive = False,
    junit: Junit = None,
    comment: Comment = None,
    report: Report = None,
    commit: Annotated[str, option(SHOWN, COMMIT)] = "",
    branch: Annotated[str, option(SHOWN, BRANCH)] = "",
    pull_request: Annotated[str, option(SHOWN, PULL_REQUEST)] = "",
    requested_by: Annotated[str, option(SHOWN, REQUESTED_BY)] = "",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Compare a candidate with a baseline on a suite.

    Exit codes: 0 pass, 1 regression, 2 usage, 3 inconclusive, 4 our failure, 5 wait timed out.
    """
    source = {"commit": commit, "branch": branch, "pull_request": pull_request}
    with connect(url) as client:
        body: dict[str, Any] = {
            "candidate": model_reference(client, candidate),
            "suite": suite,
            "max_routes": routes,
            "full": full,
            "execution": execution,
            "baseline": model_reference(client, baseline) if baseline else None,
            "source": {name: value for name, value in source.items() if value},
            "requested_by": requested_by,
        }
        run = client.submit(body)
        print(run["url"], file=sys.stderr, flush=True)
        if wait:
            run = watched(client, run["id"], timeout, as_json)
        write_documents(client, run["id"], junit, comment, report)
    show(run, as_json)
    if wait:
        raise typer.Exit(exit_code(run, allow_inconclusive))


def watched(
    client: Client, run_id: str, timeout: float | None, as_json: bool, until: Until = "decided"
) -> dict[str, Any]:
    """The run when it is decided, or nothing more is driven. Leaves the program when the time is
    over (5), or by Ctrl-C, which only detaches."""
    word = "watch" if until == "decided" else "complete"
    resume = f"it goes on; resume with: redrive runs {word} {run_id}"
    try:
        return follow(client, run_id, timeout, until)
    except WaitTimeout as error:
        print(f"{error}: {resume}", file=sys.stderr)
        if as_json:
            print_json(client.run(run_id))
        raise typer.Exit(EXIT_TIMED_OUT) from None
    except KeyboardInterrupt:
        print(f"detached from run {run_id}: {resume}", file=sys.stderr)
        raise typer.Exit(EXIT_DETACHED) from None


def write_documents(
    client: Client, run_id: str, junit: Path | None, comment: Path | None, report: Path | None
) -> None:
    """Write the documents that were asked for."""
    for path, name in ((junit, "junit.xml"), (comment, "comment.md"), (report, "report.html")):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(client.text(f"/v1/runs/{run_id}/{name}"), encoding="utf-8")


def show(run: dict[str, Any], as_json: bool) -> None:
    """The verdict's sentence and what a pass is worth yet, or the run as JSON."""
    if as_json:
        print_json(run)
        return
    undecided = f"{run['status'].upper()}: {run['error'] or 'no verdict'}"
    print(undecided if run["verdict"] is None else run["sentence"])
    if run["standing"]:
        print(run["standing"])
