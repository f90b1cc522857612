"""Paired costs from a CSV.

Its columns: segment, controller (or model), any metrics, and a route if there is one.
"""

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from suites.definition.resolving import breadth_first
from suites.definition.suite_schema import PlannedRollout
from suites.errors import Finding, SubmitterError
from suites.formatting import plural
from suites.pair_table import PairTable
from suites.rollout import Scenario

MODEL_COLUMNS = ("controller", "model")
SUITE_COLUMNS = ("suite", "suite_digest")
"""Which suite a row was driven on: all rows must agree."""

LARGEST = 1e100
"""Costs beyond it, or below its inverse, leave the range of floats when they are squared."""
MISSING = float("nan")

Line = tuple[int, dict[str, str]]
"""The number of a row's last line, and its fields by column."""


@dataclass(frozen=True, slots=True)
class Costs:
    """A CSV as read."""

    path: Path
    metrics: tuple[str, ...]
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Per model, per segment, a value for each of `metrics`; NaN: missing or not finite."""
    routes: dict[str, str] = field(default_factory=dict)
    """Segment to route; each segment is its own where the file names none."""
    not_finite: Counter[str] = field(default_factory=Counter)
    """Model to the number of values that are NaN, infinite or empty."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which column says what."""

    names: list[str]
    model: str
    metrics: tuple[str, ...]
    route: str | None


def read_costs(path: Path, metrics: Sequence[str] = (), route_column: str | None = None) -> Costs:
    """Read a CSV, gzipped or not; without `metrics` every column of numbers is one. Raises
    SubmitterError that names the lines or columns that are wrong."""
    names, lines = _parsed(path, _text(path))
    columns = _columns(path, names, lines, metrics, route_column)
    costs = Costs(path, columns.metrics)
    findings: list[Finding] = []
    whole: list[dict[str, str]] = []
    for line, row in lines:
        if problem := _field_count(row, columns):
            findings.append(Finding(f"line {line}", problem, "give one for each column"))
        else:
            whole.append(row)
            findings += _add(costs, columns, f"line {line}", row)
    findings += _several_suites(whole, columns)
    if findings:
        count = plural(len(findings), "problem")
        raise SubmitterError(f"{path} cannot be judged ({count})", tuple(findings[:10]))
    return costs


def _text(path: Path) -> str:
    if not path.is_file():
        raise SubmitterError(f"{path} is not a file")
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SubmitterError(f"{path} cannot be read: {error}") from None


def _parsed(path: Path, text: str) -> tuple[list[str], list[Line]]:
    """Columns, each named once, and the rows as they are."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        names = list(reader.fieldnames or ())
        lines = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise SubmitterError(f"{path} is no CSV: {error}") from None
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        problem = f"more than once: {', '.join(map(repr, twice))}"
        finding = Finding("columns", problem, "keep one of each")
        unclear = "it is not clear which column is meant"
        raise SubmitterError(f"{path} cannot be judged: {unclear}", finding)
    return names, lines


def _columns(
    path: Path,
    names: list[str],
    lines: list[Line],
    metrics: Sequence[str],
    route_column: str | None,
) -> _Columns:
    """The columns that are needed; SubmitterError where one is not there."""
    model = next((name for name in MODEL_COLUMNS if name in names), None)
    # a column without a name is an index that a table was saved with
    reserved = {"", "segment", *SUITE_COLUMNS, "route", model, route_column}
    chosen = tuple(dict.fromkeys(metrics)) or tuple(
        name for name in names if name not in reserved and _numeric(lines, name)
    )
    wanted = ["segment", *chosen, *([route_column] if route_column else [])]
    lacks = [name for name in wanted if name not in names]
    if model is None or lacks or not chosen:
        missing = [*([] if model else ["controller (or model)"]), *lacks] or ["any metric"]
        found = f"found {', '.join(names) or 'none'}"
        finding = Finding("columns", found, "name them, with commas between")
        raise SubmitterError(f"{path} lacks {', '.join(missing)}", finding)
    return _Columns(names, model, chosen, route_column or ("route" if "route" in names else None))


def _numeric(lines: list[Line], name: str) -> bool:
    """Whether a column that nobody named is a metric: its first value is a number."""
    first = next((row[name] for _, row in lines if row[name]), "0").lower()
    starts = first.replace(".", "").lstrip("+-")[:1].isdigit()
    return starts or first.lstrip("+-") in {"nan", "inf", "infinity"}


def _field_count(row: dict[str, str], columns: _Columns) -> str:
    """What is wrong with the number of fields, or nothing."""
    expected = len(columns.names)
    if None in row:  # csv.DictReader puts what is beyond the header there
        return f"more than {expected} fields"
    found = sum(value is not None for value in row.values())
    return f"{found} fields of {expected}" if found < expected else ""


def _add(costs: Costs, columns: _Columns, where: str, row: dict[str, str]) -> Iterator[Finding]:
    """Store a row's values; what is wrong with it."""
    segment = row["segment"]
    model = row[columns.model]
    if not segment or not model:
        yield Finding(where, f"no {columns.model if segment else 'segment'}", "name it")
        return
    route = row[columns.route] if columns.route else segment
    if not route:
        yield Finding(where, "no route", "name it: segments of one drive are not independent")
    known = costs.values.setdefault(model, {})
    if segment in known:
        yield Finding(where, f"segment {segment} of {model} a second time", "keep one of them")
    if (first := costs.routes.setdefault(segment, route)) != route:
        yield Finding(where, f"segment {segment} lies on routes {first} and {route}")
    known[segment] = []
    for name in columns.metrics:
        value, finding = _number(row[name], f"{where}, {name}")
        known[segment].append(value)
        if finding:
            yield finding
    costs.not_finite[model] += sum(not np.isfinite(value) for value in known[segment])


def _number(text: str, where: str) -> tuple[float, Finding | None]:
    """NaN where nothing is written, or no finite number."""
    try:
        value = float(text or "nan")
    except ValueError:
        problem = f"{text!r} is not a number"
        return MISSING, Finding(where, problem, "leave it empty where there is none")
    if not np.isfinite(value):
        return MISSING, None
    if value != 0 and not 1 / LARGEST <= abs(value) <= LARGEST:
        problem = f"{text} is beyond what can be squared"
        return value, Finding(where, problem, "give it in another unit")
    return value, None


def _several_suites(rows: list[dict[str, str]], columns: _Columns) -> Iterator[Finding]:
    named = [name for name in SUITE_COLUMNS if name in columns.names]
    suites = {tuple(row[name] for name in named) for row in rows}
    if len(suites) > 1:
        names = ", ".join(sorted(" ".join(suite) or "none" for suite in suites))
        problem = f"results of different suites: {names}"
        yield Finding("suite", problem, "compare results of one suite digest only")


def paired(costs: Costs, candidate: str, baseline: str, order_seed: int) -> PairTable:
    """Every segment that either model drove, in the order of a run. The order is random by
    `order_seed`, breadth first over routes."""
    if candidate == baseline:
        problem = "is named as the candidate and as the baseline: a model never differs from itself"
        raise SubmitterError(f"{candidate!r} {problem}")
    for name in (candidate, baseline):
        if name not in costs.values:
            there = ", ".join(sorted(costs.values)) or "no row at all"
            raise SubmitterError(f"{costs.path} has no model {name!r}: it has {there}")
    driven = [costs.values[name] for name in (candidate, baseline)]
    names = sorted(driven[0].keys() | driven[1].keys())
    ordered = in_order(names, [costs.routes[name] for name in names], order_seed)
    absent = [MISSING] * len(costs.metrics)
    of_candidate, of_baseline = (
        np.array([values.get(name, absent) for name in ordered], dtype=np.float64)
        for values in driven
    )
    routes = [costs.routes[name] for name in ordered]
    return PairTable.completed(
        of_candidate, of_baseline, case_ids=ordered, routes=routes, metrics=costs.metrics
    )


def in_order(names: Sequence[str], routes: Sequence[str], order_seed: int) -> list[str]:
    """The names in the order of a run: random by `order_seed`, breadth first over routes."""
    nowhere = Scenario(segment_id="", segment_digest="", start_s=0.0, end_s=0.0)
    plan = [
        PlannedRollout(case_id=name, route=route, repeat=0, scenario=nowhere)
        for name, route in zip(names, routes, strict=True)
    ]
    return [planned.case_id for planned in breadth_first(plan, order_seed)]
