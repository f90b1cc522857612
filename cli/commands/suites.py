"""`redrive suites`: check, push, list, show, promote."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import connect, model_reference
from cli.options import DEFAULT_URL, HERE, AsJson, Model, SuiteVersion, Url, argument, option
from cli.printing import Columns, print_items, print_json
from suites.definition.resolving import resolve
from suites.definition.selector import left_out
from suites.definition.suite_schema import Suite
from suites.definition.suite_toml import load_suite
from suites.definition.toml_positions import lines_of
from suites.errors import Finding, SubmitterError
from suites.simulators import simulator_spec
from suites.statistics.gate_power import suite_power
from suites.verdict.power_words import power_lines, power_warnings

app = typer.Typer(no_args_is_help=True)

File = Annotated[Path, argument("A suite in TOML.", exists=True, dir_okay=False)]
Bank = Annotated[
    Path, option("Folder whose stored segments it is resolved against.", "REDRIVE_DATA")
]


@app.command()
def check(file: File, data: Bank = HERE) -> None:
    """Check a suite here, without a service: errors with line and remedy, and what it drives."""
    text = _text(file)
    with lines_of(text):
        print(_summary(load_suite(text), data), file=sys.stderr)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        finding = Finding(f"{file}: byte {error.start}", "is not UTF-8", "save the file as UTF-8")
        raise SubmitterError(f"{file.name} cannot be read", finding) from None


def _summary(suite: Suite, data: Path) -> str:
    simulator_spec(suite.simulator.name, suite.simulator.parameters)
    counts = f"{len(suite.gates)} gates, {len(suite.offsets)} offsets, {len(suite.cases)} cases"
    summary = f"{suite.name} is fine: {counts}"
    if not (data / "segments").is_dir():
        return summary
    from workers.segments.store import list_segments  # codecs, only here

    metas = list_segments(data / "segments")
    version = resolve(suite, metas)
    routes = len({one.route for one in version.planned})
    summary += f"; {len(version.planned)} rollouts of each model over {routes} routes"
    skipped = left_out(suite.select, metas) if suite.select else []
    power = suite_power(version, {})
    tells = (*power_lines(power), *power_warnings(power)) if power else ()
    return "\n".join([summary, *(f"{one.where} {one.problem}" for one in skipped), *tells])


@app.command()
def push(
    file: File,
    actor: Annotated[str, option("Who registers it.", "REDRIVE_ACTOR")] = "",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Register a suite.

    It is resolved against the stored segments and becomes the newest version, if it changed."""
    text = _text(file)
    with lines_of(text):
        load_suite(text)
    with connect(url) as client:
        version = client.push_suite(text, actor)
        left = client.get(f"/v1/suite-versions/{version['digest']}")["left_out"]
    name = f"{version['suite']}@{version['digest'][:6]}"
    told = f"{name}: version {version['number']}, {version['planned']} rollouts of each model"
    print_json(version) if as_json else print(told)
    for finding in left:
        print(finding["where"], finding["problem"], file=sys.stderr)
    for line in (*version["tells"]["lines"], *version["tells"]["warnings"]):
        print(line, file=sys.stderr)


@app.command("list")
def list_suites(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Suites with their newest version and their promoted model."""
    with connect(url) as client:
        suites = list(client.items("/v1/suites"))
    columns: Columns = {
        "suite": "name",
        "version": lambda s: s["newest"] and s["newest"]["number"],
        "digest": lambda s: s["newest"] and s["newest"]["digest"][:12],
        "rollouts": lambda s: s["newest"] and s["newest"]["planned"],
        "promoted": "promoted_name",
    }
    print_items(suites, columns, "no suite yet: redrive suites push FILE", as_json)


@app.command()
def show(suite: SuiteVersion, url: Url = DEFAULT_URL) -> None:
    """A suite version with its definition, as JSON."""
    with connect(url) as client:
        print_json(client.get(f"/v1/suite-versions/{suite}"))


@app.command()
def promote(
    name: Annotated[str, argument("The suite's name.")],
    model: Model,
    actor: Annotated[str, option("Who releases it.", "REDRIVE_ACTOR")] = "",
    url: Url = DEFAULT_URL,
) -> None:
    """Make a model the baseline that candidates meet when they name none.

    It needs a complete pass against the one that is promoted now (the first needs none), and must
    pass every held case, or the case must be waived."""
    with connect(url) as client:
        body = {"model": model_reference(client, model), "actor": actor}
        suite = client.put(f"/v1/suites/{name}/promoted", body)
    for case in suite["waived"]:
        print(f"not passed: {case['case']} ({case['found']}), {case['waived']}", file=sys.stderr)
    print(f"candidates on {suite['name']} now meet {suite['promoted_name']}", file=sys.stderr)
    print(f"it rests on {suite['rests_on']}", file=sys.stderr)
