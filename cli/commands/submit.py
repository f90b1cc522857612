"""`redrive submit`: what CI calls."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.connection import (
    DEFAULT_URL,
    EXIT_TIMED_OUT,
    AsJson,
    Url,
    connect,
    exit_code,
    model_reference,
    print_json,
)
from cli.progress_line import follow
from server.client import Client, WaitTimeout

app = typer.Typer(context_settings={"allow_interspersed_args": True})

EXIT_DETACHED = 130


@app.callback(invoke_without_command=True)
def submit(
    candidate: Annotated[
        str,
        typer.Argument(
            help="Folder with manifest.json, `log`, or a registered model's name or digest."
        ),
    ],
    suite: Annotated[
        str,
        typer.Option(
            envvar="REDRIVE_SUITE",
            help="Suite by name (its newest version), name@digest, or digest.",
        ),
    ],
    baseline: Annotated[
        str | None,
        typer.Option(
            envvar="REDRIVE_BASELINE",
            help="The same forms; the suite's promoted model if not given.",
        ),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option(envvar="REDRIVE_WAIT", help="Wait for the verdict; the exit code says it."),
    ] = True,
    timeout: Annotated[
        float | None, typer.Option(envvar="REDRIVE_TIMEOUT", min=0, help="Wait at most so long, s.")
    ] = None,
    routes: Annotated[
        int | None,
        typer.Option(envvar="REDRIVE_ROUTES", min=1, help="Only the suite's first so many routes."),
    ] = None,
    execution: Annotated[
        str | None,
        typer.Option(
            envvar="REDRIVE_EXECUTION",
            help="What both models run on: RUNTIME[/PRECISION[/DEVICE]], as openvino/bf16.",
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option(envvar="REDRIVE_FULL", help="Drive everything, even after the decision.")
    ] = False,
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
    commit: Annotated[
        str,
        typer.Option(
            envvar=["REDRIVE_COMMIT", "GITHUB_SHA", "CI_COMMIT_SHA"], help="Shown with the run."
        ),
    ] = "",
    branch: Annotated[
        str,
        typer.Option(
            envvar=["REDRIVE_BRANCH", "GITHUB_HEAD_REF", "CI_COMMIT_REF_NAME"],
            help="Shown with the run.",
        ),
    ] = "",
    pull_request: Annotated[
        str,
        typer.Option(
            envvar=["REDRIVE_PULL_REQUEST", "CI_MERGE_REQUEST_IID"], help="Shown with the run."
        ),
    ] = "",
    requested_by: Annotated[
        str,
        typer.Option(
            envvar=["REDRIVE_REQUESTED_BY", "GITHUB_ACTOR", "GITLAB_USER_LOGIN"],
            help="Shown with the run.",
        ),
    ] = "",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Compare a candidate with a baseline on a suite.

    Exit codes: 0 pass, 1 regression, 2 usage, 3 inconclusive, 4 our failure, 5 wait timed out."""
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


def watched(client: Client, run_id: str, timeout: float | None, as_json: bool) -> dict[str, Any]:
    """The decided run. Leaves the program when the time is over (5) or by Ctrl-C, which only detaches."""
    resume = f"it goes on; resume with: redrive runs watch {run_id}"
    try:
        return follow(client, run_id, timeout)
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
    """The verdict and its sentence, or the run as JSON."""
    if as_json:
        print_json(run)
        return
    decided = run["verdict"] is not None
    print(
        run["sentence"] if decided else f"{run['status'].upper()}: {run['error'] or 'no verdict'}"
    )
