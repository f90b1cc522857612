"""How an option is declared, and the options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_URL = "http://127.0.0.1:8700"
HERE = Path(".redrive")


def option(help: str, env: str | list[str] | None = None, name: str = "", **limits: Any) -> Any:
    """An option; `env` names the variables that give it where the command line does not."""
    return typer.Option(*([name] if name else []), help=help, envvar=env, **limits)


def argument(help: str, **limits: Any) -> Any:
    """What stands on the command line without a name."""
    return typer.Argument(help=help, **limits)


Url = Annotated[str, option("Where the service is.", "REDRIVE_URL", "--url")]
AsJson = Annotated[bool, option("JSON alone on standard output.", "REDRIVE_JSON", "--json")]
Data = Annotated[Path, option("Folder of the installation.", "REDRIVE_DATA", "--data")]
Port = Annotated[
    int | None,
    option("Port to listen on.", "REDRIVE_PORT", show_default="8700, or the next free one"),
]
Most = Annotated[int, option("At most this number.", "REDRIVE_MOST", min=1)]
OfStatus = Annotated[str | None, option("Only with this status.", "REDRIVE_STATUS")]
Simulator = Annotated[str, option("Which simulator.", "REDRIVE_SIMULATOR")]
Timeout = Annotated[float | None, option("Wait at most so long, s.", "REDRIVE_TIMEOUT", min=0)]
AllowInconclusive = Annotated[
    bool, option("Exit 0 when the verdict is inconclusive.", "REDRIVE_ALLOW_INCONCLUSIVE")
]
Junit = Annotated[Path | None, option("Write JUnit XML here.", "REDRIVE_JUNIT")]
Comment = Annotated[Path | None, option("Write the pull-request comment here.", "REDRIVE_COMMENT")]
Report = Annotated[Path | None, option("Write the HTML report here.", "REDRIVE_REPORT")]
Model = Annotated[
    str, argument("Folder with manifest.json, `log`, or a registered model's name or digest.")
]
SuiteVersion = Annotated[str, argument("Name (the newest version), name@digest, or digest.")]
Metric = Annotated[
    list[str] | None,
    option("CSV: a column to judge; without any, all registered metrics.", "REDRIVE_METRIC"),
]
LowerIsBetter = Annotated[
    list[str] | None, option("CSV: judge this column, a cost.", "REDRIVE_LOWER_IS_BETTER")
]
HigherIsBetter = Annotated[
    list[str] | None, option("CSV: judge this column, a score.", "REDRIVE_HIGHER_IS_BETTER")
]
AsRate = Annotated[
    list[str] | None,
    option("CSV: judge this column, 0 or 1 or a share, as a rate.", "REDRIVE_RATE", "--rate"),
]
RateMargin = Annotated[
    float,
    option(
        "Largest difference of a rate accepted: 0.005 is 5 more in 1,000.",
        "REDRIVE_RATE_MARGIN",
        min=1e-6,
        max=1,
    ),
]
RouteColumn = Annotated[str | None, option("CSV: column of the route.", "REDRIVE_ROUTE_COLUMN")]
Segment = Annotated[
    str, argument("Segment, in any form: route/3, dongle|route--3, a connect address.")
]
