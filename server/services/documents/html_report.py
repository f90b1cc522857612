"""A run as one HTML file that can be kept: no script, no link to anything but the run."""

from functools import cache

from jinja2 import Template

import web
from server.services.documents import phrases
from server.services.runs.pairs import Change, PairView
from server.services.runs.run_views import RunView


@cache
def _template() -> Template:
    environment = web.environment()
    shown = (phrases.gate_change, phrases.gate_margin, phrases.side_text, phrases.line_text)
    for shared in shown:
        environment.globals[shared.__name__] = shared
    environment.globals["TYPICAL_DRIVE"] = phrases.TYPICAL_DRIVE
    return environment.get_template("documents/report.html")


def report(run: RunView, changes: dict[Change, int], worst: list[PairView]) -> str:
    """HTML text. `worst` are the pairs to look at first, the worst first."""
    return _template().render(
        run=run,
        headline=phrases.headline(run, changes),
        worst=worst,
        gates=phrases.gates_of(run),
        cases=phrases.cases_of(run),
    )
