"""`redrive suites`: check, push, list, show, promote."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import (
    DEFAULT_URL,
    AsJson,
    Url,
    connect,
    model_reference,
    print_json,
    print_table,
)
from suites.definition.selector import left_out
from suites.definition.suite_schema import Suite, load_suite, resolve
from suites.definition.toml_positions import lines_of
from suites.errors import Finding, SubmitterError
from suites.simulators import simulator_spec

app = typer.Typer(help="Check, register and list suites.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A suite in TOML.")]
Name = Annotated[str, typer.Argument(help="The suite's name.")]


@app.command()
def check(
    file: File,
    data: Annotated[
        Path,
        typer.Option(
            envvar="REDRIVE_DATA", help="Folder whose stored segments it is resolved against."
        ),
    ] = Path(".redrive"),
) -> None:
    """Check a suite here, without a service: errors with line or field and remedy, and what it would drive."""
    text = _text(file)
    with lines_of(text):
        summary = _summary(load_suite(text), data)
    print(summary, file=sys.stderr)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        finding = Finding(f"{file}: byte {error.start}", "is not UTF-8", "save the file as UTF-8")
        raise SubmitterError(f"{file.name} cannot be read", (finding,)) from None


def _summary(suite: Suite, data: Path) -> str:
    simulator_spec(suite.simulator.name, suite.simulator.parameters)
    summary = f"{suite.name} is fine: {len(suite.gates)} gates, {len(suite.offsets)} offsets, {len(suite.cases)} cases"
    if (data / "segments").is_dir():
        from workers.segments.store import list_segments  # codecs, only here

        metas = list_segments(data / "segments")
        version = resolve(suite, metas)
        routes = len({planned.route for planned in version.planned})
        summary += f"; {len(version.planned)} rollouts of each model over {routes} routes"
        if suite.select is not None:
            summary += "".join(
                f"\n{finding.where} {finding.problem}" for finding in left_out(suite.select, metas)
            )
    return summary


@app.command()
def push(
    file: File,
    actor: Annotated[str, typer.Option(envvar="REDRIVE_ACTOR", help="Who registers it.")] = "",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Register a suite: it is resolved against the stored segments and becomes the newest version, if it changed."""
    text = _text(file)
    with lines_of(text):
        load_suite(text)
    with connect(url) as client:
        version = client.push_suite(text, actor)
        left = client.get(f"/v1/suite-versions/{version['digest']}")["left_out"]
    if as_json:
        print_json(version)
    else:
        name = f"{version['suite']}@{version['digest'][:6]}"
        print(f"{name}: version {version['number']}, {version['planned']} rollouts of each model")
    for finding in left:
        print(finding["where"], finding["problem"], file=sys.stderr)


@app.command("list")
def list_suites(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Suites with their newest version and their promoted model."""
    with connect(url) as client:
        suites = list(client.items("/v1/suites"))
    if as_json:
        print_json(suites)
        return
    rows = [
        (
            s["name"],
            s["newest"] and s["newest"]["number"],
            s["newest"] and s["newest"]["digest"][:12],
            s["newest"] and s["newest"]["planned"],
            s["promoted_name"],
        )
        for s in suites
    ]
    print_table(
        ("suite", "version", "digest", "rollouts", "promoted"),
        rows,
        "no suite yet: redrive suites push FILE",
    )


@app.command()
def show(
    suite: Annotated[
        str, typer.Argument(help="Name (the newest version), name@digest, or digest.")
    ],
    url: Url = DEFAULT_URL,
) -> None:
    """A suite version with its definition, as JSON."""
    with connect(url) as client:
        print_json(client.get(f"/v1/suite-versions/{suite}"))


@app.command()
def promote(
    name: Name,
    model: Annotated[
        str,
        typer.Argument(
            help="Folder with manifest.json, `log`, or a registered model's name or digest."
        ),
    ],
    actor: Annotated[str, typer.Option(envvar="REDRIVE_ACTOR", help="Who releases it.")] = "",
    url: Url = DEFAULT_URL,
) -> None:
    """Make a model the baseline that candidates meet when they name none: it must pass every held case, or be waived."""
    with connect(url) as client:
        suite = client.put(
            f"/v1/suites/{name}/promoted", {"model": model_reference(client, model), "actor": actor}
        )
    for case in suite["waived"]:
        print(f"not passed: {case['case']} ({case['found']}), {case['waived']}", file=sys.stderr)
    print(f"candidates on {suite['name']} now meet {suite['promoted_name']}", file=sys.stderr)
