"""An exported run: a row for each planned pair and model in the registered order, and a header that
holds what else judging needs.

    # {"format": "redrive.run/1", "run": ..., "suite": {...}, ...}
    position,segment,route,model,role,outcome,...,lateral_error_mean_m,lateral_error_mean_m.low,...
    0,r1/0@+0.00m+0.0m+0.0deg#0,r1,next,candidate,completed,...,0.21,0.21,0.21
    0,r1/0@+0.00m+0.0m+0.0deg#0,r1,last,baseline,completed,...,0.2,0.2,0.2

Numbers are written so that they are read back to the bit; a cell is empty where nothing is known.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pydantic import TypeAdapter

from suites.definition.suite_schema import Suite
from suites.identity import canonical_json
from suites.manifest import STRICT
from suites.vocabulary import RunVerdict, Status

MARK = "# "
"""What a CSV begins with; the header follows it in the same line."""
ROLES = ("candidate", "baseline")
"""Of a position's two rows, in this order."""
PLACE = ("segment", "route", "case", "repeat", "slices")
"""Of both rows of a position. `case`: the must-pass case; `slices`: with blanks between."""
ENDED = ("outcome", "reason")
"""Empty where the rollout was not driven."""
CASE = ("passed", "why", "instant_s")
"""What a must-pass case's repeat says (a word of `PASSED`), why, and when."""
PASSED = {"yes": True, "no": False, "cannot tell": None}
WEIGHT = "weight"
"""In the draw by cost; with it come the baseline's stored costs at their best and worst."""
STORED = (".stored.low", ".stored.high")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """One side of a run."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """What judging needs beside the rows, and what the service said."""

    __pydantic_config__ = STRICT

    format: Literal["redrive.run/1"] = "redrive.run/1"
    run: str
    status: Status
    error: str
    """Why it errored."""
    candidate: NamedModel
    baseline: NamedModel
    suite_digest: str
    suite: Suite
    """As it was judged: `order_seed` is the run's."""
    planned: int
    """Pairs, those of must-pass cases too: half of the rows."""
    judged_pairs: int
    """So many were judged, the first; what was driven beyond them changed no verdict."""
    judged_cases: tuple[str, ...] = ()
    waivers: dict[str, str] = field(default_factory=dict)
    """Case to the words of the waiver that the run met."""
    baseline_events: dict[str, int] = field(default_factory=dict)
    """Metric that is judged as a rate to the baseline's events on all planned pairs."""
    engine: str
    """That judged it in the service; empty where nothing was judged."""
    verdict: RunVerdict | None
    sentence: str

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that are judged, each once."""
        return tuple(dict.fromkeys(gate.metric for gate in self.suite.gates))


class Cells(NamedTuple):
    """A file as it was read: the header's JSON, the names of the columns, the rows' cells."""

    header: str
    names: Sequence[str]
    rows: Sequence[Sequence[str]]


_HEADER = TypeAdapter(RunHeader)


def header_json(header: RunHeader) -> str:
    """In one line."""
    return canonical_json(header).decode()


def load_header(text: str) -> RunHeader:
    """The inverse. Raises ValueError (pydantic's ValidationError is one)."""
    return _HEADER.validate_python(json.loads(text))


def columns(metrics: Iterable[str], weighed: Iterable[str] | None = None) -> list[str]:
    """Names of the columns; `weighed`: metrics with stored costs, in a run that knows some."""
    results = [name for metric in metrics for name in result_columns(metric)]
    known = [] if weighed is None else stored_columns(weighed)
    return ["position", "role", "model", *PLACE, *ENDED, *CASE, *known, *results]


def stored_columns(weighed: Iterable[str]) -> list[str]:
    """The weight, and of each metric the two columns of stored costs."""
    return [WEIGHT, *(metric + end for metric in weighed for end in STORED)]


def result_columns(metric: str) -> tuple[str, str, str]:
    """Value, lowest and highest that it can be; they differ where a rollout was censored."""
    return metric, f"{metric}.low", f"{metric}.high"
