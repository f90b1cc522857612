"""A run as one HTML file that can be kept: no script, no link to anything but the run."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

import web
from server.services.documents.comment import headline, interval_text, percent, side_text
from server.services.runs.pairs import Change, PairView
from server.services.runs.run_views import RunView


@cache
def _template() -> Template:
    folder = Path(web.__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters.update(percent=percent, interval=interval_text)
    environment.globals.update(side_text=side_text)
    return environment.get_template("documents/report.html")


def report(run: RunView, changes: dict[Change, int], worst: list[PairView]) -> str:
    """HTML text. `worst` are the pairs to look at first, the worst first."""
    document = run.verdict_document or {}
    return _template().render(
        run=run,
        headline=headline(run, changes),
        changes=changes,
        worst=worst,
        gates=document.get("gates", []),
        cases=document.get("cases", []),
    )
