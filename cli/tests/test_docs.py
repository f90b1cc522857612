"""The documents keep up with the code."""

import re
from dataclasses import fields
from pathlib import Path

from starlette.routing import Match

from cli.main import COMMANDS
from server.app import create_app
from server.settings import Settings
from suites.definition.selector import Selector
from suites.metrics.registry import METRICS, Metric

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "benchmarks").glob("**/*.md")),
]


def metric_row(metric: Metric) -> str:
    higher = " (higher is better)" if metric.direction == "higher" else ""
    cap = "" if metric.cap is None else f"{metric.cap:g}"
    kind = "share" if metric.share else metric.kind
    return f"| `{metric.name}` | {metric.unit} | {kind} | {metric.description}{higher} | {cap} |"


def test_every_metric_and_setting_is_documented_as_it_is() -> None:
    rows = REFERENCE.split("## Metrics")[1].split("## ")[0].splitlines()
    assert {line for line in rows if line.startswith("| `")} == {
        metric_row(metric) for metric in METRICS.values()
    }
    for name, setting in Settings.model_fields.items():
        assert f"| `{setting.validation_alias or 'REDRIVE_' + name.upper()}` |" in REFERENCE, name


def test_every_rule_of_a_selector_is_documented() -> None:
    rows = "".join(
        line.split("|")[1]
        for line in REFERENCE.split("## Selectors")[1].split("##")[0].splitlines()
        if "|" in line
    )
    assert set(re.findall(r"`(\w+)`", rows)) == {field.name for field in fields(Selector)}


def test_every_command_that_the_documents_name_exists() -> None:
    for page in PAGES:
        for name in re.findall(r"`?(?:redrive|run\.py) ([a-z]+)\b", page.read_text()):
            assert name in {*COMMANDS, "test"}, f"{page.name} names {name!r}"


def test_what_the_documents_link_to_is_there() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_address_that_the_documents_name_is_served(tmp_path: Path) -> None:
    address = "postgresql+psycopg://nobody@localhost:1/none"
    app = create_app(Settings(database_url=address, data=tmp_path))
    named = {
        (page.name, method or "GET", path)
        for page in PAGES
        for method, path in re.findall(
            r"`(?:(GET|PUT|POST|DELETE) )?(/[a-z][\w/-]*)", page.read_text()
        )
    }
    assert len(named) > 5
    for page, method, path in named:
        scope = {"type": "http", "path": path, "root_path": "", "method": method, "headers": []}
        assert any(route.matches(scope)[0] is Match.FULL for route in app.routes), (
            f"{page} names {method} {path}"
        )
