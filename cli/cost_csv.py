"""Paired costs from a CSV.

Its columns: segment, controller (or model), metrics; maybe a route, an outcome with its reason, and
`METRIC.low` and `METRIC.high`, the least and the most that a censored value can be.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cli.csv_rows import CsvRows, read_rows
from cli.judged_columns import Kind, judged_columns, nothing_judged
from cli.unmatched_ids import closest, near_ids, no_common_segment
from suites.definition.resolving import breadth_first
from suites.definition.suite_schema import PlannedRollout
from suites.errors import Finding, SubmitterError
from suites.formatting import plural
from suites.pair_table import CANDIDATE, PairTable, segment_of
from suites.rollout import Scenario
from suites.vocabulary import FAILING, Outcome

MODEL_COLUMNS = ("controller", "model")
SUITE_COLUMNS = ("suite", "suite_digest")
"""Which suite a row was driven on: all rows must agree."""

LARGEST = 1e100
"""Costs beyond it, or below its inverse, leave the range of floats when they are squared."""
MISSING = float("nan")

Measured = tuple[float, float, float]
"""A value, the best and the worst that it can be; NaN: missing or not finite."""
NOTHING: Measured = MISSING, MISSING, MISSING


@dataclass(frozen=True, slots=True)
class CostRow:
    """One segment driven by one model."""

    line: int
    measured: list[Measured]
    """By metric."""
    outcome: Outcome
    reason: str
    """Why it ended so; empty where nobody says."""


@dataclass(frozen=True, slots=True)
class Costs:
    """A CSV as read."""

    path: Path
    kinds: dict[str, Kind]
    """The judged metrics."""
    not_judged: tuple[str, ...]
    """Other columns of numbers."""
    notes: tuple[str, ...]
    """How it was read, where that is not plain."""
    own_routes: bool
    """No column names a route: each segment is its own, with all its repeats and offsets."""
    rows: dict[str, dict[str, CostRow]] = field(default_factory=dict)
    """By model and segment."""
    routes: dict[str, str] = field(default_factory=dict)
    """Of each segment, without its repeat and offset."""
    not_finite: Counter[str] = field(default_factory=Counter)
    """Model to the number of values that are NaN, infinite or empty though it was driven."""

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(self.kinds)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which column says what."""

    names: list[str]
    model: str
    kinds: dict[str, Kind]
    fields: dict[str, tuple[str, ...]]
    """Metric to its column, or to those of its value and its two ends."""
    route: str | None
    outcome: bool


def read_costs(
    path: Path,
    metrics: Sequence[str] = (),
    route_column: str | None = None,
    declared: Mapping[str, Kind] | None = None,
) -> Costs:
    """Read a CSV, gzipped or not: `metrics` (without any, all that are registered) and what is
    `declared`. Raises SubmitterError that names the lines or columns that are wrong."""
    file = read_rows(path, "segment")
    costs, columns = _columns(path, file, metrics, route_column, declared or {})
    findings: list[Finding] = []
    whole: list[dict[str, str]] = []
    for line, row in file.lines:
        if problem := _field_count(row, columns):
            findings.append(Finding(f"line {line}", problem, "give one for each column"))
        else:
            whole.append(row)
            findings += _add(costs, columns, line, row)
    findings += _several_suites(whole, columns)
    if findings:
        count = plural(len(findings), "problem")
        raise SubmitterError(f"{path} cannot be judged ({count})", tuple(findings[:10]))
    return costs


def _columns(
    path: Path,
    file: CsvRows,
    metrics: Sequence[str],
    route_column: str | None,
    declared: Mapping[str, Kind],
) -> tuple[Costs, _Columns]:
    """The columns that are needed; SubmitterError where one is not there."""
    names = file.names
    model = next((name for name in MODEL_COLUMNS if name in names), None)
    wanted = ["segment", *metrics, *declared, *([route_column] if route_column else [])]
    lacks = [name for name in wanted if name not in names]
    if model is None or lacks:
        raise _lacking(path, names, [*([] if model else ["controller (or model)"]), *lacks])
    # a column without a name is an index that a table was saved with
    reserved = {"", "segment", *SUITE_COLUMNS, "route", "outcome", "reason", model, route_column}
    judged = judged_columns(file, metrics, declared, reserved)
    if not judged.kinds and judged.others:
        problem = f"it is not known which way the metrics of {path} are better"
        raise SubmitterError(problem, nothing_judged(judged.others, file))
    if lacks := [] if judged.kinds else ["any metric"]:
        raise _lacking(path, names, lacks)
    fields = {}
    for name in judged.kinds:
        ends = {f"{name}.low", f"{name}.high"}
        lacks = sorted(ends.difference(names))
        if len(lacks) == 1:
            raise _lacking(path, names, lacks)
        fields[name] = (name,) if lacks else (name, *sorted(ends))
    route = route_column or ("route" if "route" in names else None)
    columns = _Columns(names, model, judged.kinds, fields, route, "outcome" in names)
    return Costs(path, judged.kinds, judged.others, file.notes, route is None), columns


def _lacking(path: Path, names: Sequence[str], lacks: Sequence[str]) -> SubmitterError:
    found = f"found {', '.join(names) or 'none'}"
    finding = Finding("columns", found, "name them, with commas between")
    return SubmitterError(f"{path} lacks {', '.join(lacks)}", finding)


def _field_count(row: dict[str, str], columns: _Columns) -> str:
    """What is wrong with the number of fields, or nothing."""
    expected = len(columns.names)
    if None in row:  # csv.DictReader puts what is beyond the header there
        return f"more than {expected} fields"
    found = sum(value is not None for value in row.values())
    return f"{found} fields of {expected}" if found < expected else ""


def _add(costs: Costs, columns: _Columns, line: int, row: dict[str, str]) -> Iterator[Finding]:
    """Store a row; what is wrong with it."""
    where = f"line {line}"
    segment = row["segment"]
    model = row[columns.model]
    if not segment or not model:
        yield Finding(where, f"no {columns.model if segment else 'segment'}", "name it")
        return
    place = segment_of(segment)
    route = row[columns.route] if columns.route else place
    if not route:
        yield Finding(where, "no route", "name it: segments of one drive are not independent")
    known = costs.rows.setdefault(model, {})
    if segment in known:
        remedy = "keep one of them, or tell repeats apart: SEGMENT#0, SEGMENT#1"
        yield Finding(where, f"segment {segment} of {model} a second time", remedy)
    if (first := costs.routes.setdefault(place, route)) != route:
        remedy = "repeats (#) and offsets (@) of one segment are one route"
        yield Finding(where, f"segment {place} lies on routes {first} and {route}", remedy)
    outcome = _outcome(row["outcome"]) if columns.outcome else Outcome.COMPLETED
    if outcome is None:
        words = ", ".join(Outcome)
        remedy = f"one of {words}; a column of another meaning needs another name"
        yield Finding(f"{where}, outcome", f"{row['outcome']!r} is no outcome", remedy)
    measured: list[Measured] = []
    for name, kind in columns.kinds.items():
        numbers = []
        for column in columns.fields[name]:
            number, problem, remedy = _number(row[column], kind)
            numbers.append(number)
            if problem:
                yield Finding(f"{where}, {column}", problem, remedy)
        found = _measured(numbers, kind, outcome is Outcome.LEFT_TRUST_REGION)
        measured.append(found or NOTHING)
        if found is None:
            problem = "low and high do not enclose the value"
            yield Finding(f"{where}, {name}", problem, "give both, or neither")
    reason = row.get("reason", "")
    known[segment] = CostRow(line, measured, outcome or Outcome.COMPLETED, reason)
    if outcome is Outcome.COMPLETED or outcome in FAILING:
        costs.not_finite[model] += sum(math.isnan(values[0]) for values in measured)


def _outcome(word: str) -> Outcome | None:
    """None where it is none."""
    return Outcome(word) if word in set(Outcome) else None


def _measured(numbers: Sequence[float], kind: Kind, censored: bool) -> Measured | None:
    """Of a value, or of a value with its two ends; None where these do not enclose it."""
    value = numbers[0]
    ends = sorted(end for end in numbers[1:] if not math.isnan(end))
    if not ends:
        return NOTHING if censored else (value, value, value)
    slack = 1e-9 * max(map(abs, ends))
    if len(ends) == 1 or value < ends[0] - slack or value > ends[1] + slack:
        return None
    least, most = ends
    return (value, least, most) if kind.direction == "lower" else (value, most, least)


def _number(text: str, kind: Kind) -> tuple[float, str, str]:
    """NaN where nothing is written, or no finite number; what is wrong, and what to do about it."""
    try:
        value = float(text.replace("_", "?") or "nan")  # Python would read 1_000
    except ValueError:
        remedy = "leave it empty where there is none"
        if text.lower() in ("true", "false"):
            remedy = "write 1 for true and 0 for false"
        elif "," in text:
            remedy = "write a decimal point, and nothing between thousands"
        return MISSING, f"{text!r} is not a number", remedy
    if not math.isfinite(value):
        return MISSING, "", ""
    if kind.rate and not 0 <= value <= 1:
        return value, f"{text} is no rate: it lies outside [0, 1]", "0 or 1, or a share between"
    if kind.two_valued and 0 < value < 1:
        return value, f"{text} of what happened or did not", "write 0 or 1"
    if value != 0 and not 1 / LARGEST <= abs(value) <= LARGEST:
        return value, f"{text} is beyond what can be squared", "give it in another unit"
    return value, "", ""


def _several_suites(rows: list[dict[str, str]], columns: _Columns) -> Iterator[Finding]:
    named = [name for name in SUITE_COLUMNS if name in columns.names]
    suites = {tuple(row[name] for name in named) for row in rows}
    if len(suites) > 1:
        names = ", ".join(sorted(" ".join(suite) or "none" for suite in suites))
        problem = f"results of different suites: {names}"
        yield Finding("suite", problem, "compare results of one suite digest only")


def paired(costs: Costs, candidate: str, baseline: str, order_seed: int) -> PairTable:
    """Every segment that either model drove, in the order of a run. The order is random by
    `order_seed`, breadth first over routes. Raises SubmitterError where they share no segment."""
    driven = _driven(costs, candidate, baseline)
    if not driven[0].keys() & driven[1].keys():
        raise no_common_segment(str(costs.path), driven, (candidate, baseline))
    names = sorted(driven[0].keys() | driven[1].keys())
    ordered = in_order(names, [_route(costs, name) for name in names], order_seed)
    return _table(costs, driven, ordered)


def arrived(costs: Costs, candidate: str, baseline: str) -> PairTable:
    """Every segment that both models drove, in the order in which a growing file got the second
    of its rows: what is appended later comes later. Raises SubmitterError where only the spelling
    keeps all segments apart."""
    driven = _driven(costs, candidate, baseline)
    both = driven[0].keys() & driven[1].keys()
    if not both and near_ids(*driven):
        raise no_common_segment(str(costs.path), driven, (candidate, baseline))
    return _table(costs, driven, sorted(both, key=lambda s: max(rows[s].line for rows in driven)))


def _driven(costs: Costs, candidate: str, baseline: str) -> list[dict[str, CostRow]]:
    """The rows of both models."""
    if candidate == baseline:
        problem = "is named as the candidate and as the baseline: a model never differs from itself"
        raise SubmitterError(f"{candidate!r} {problem}")
    for option, name in (("--candidate", candidate), ("--baseline", baseline)):
        if name not in costs.rows:
            there = ", ".join(sorted(costs.rows)) or "no row at all"
            near = closest(name, costs.rows)
            finding = Finding(f"{option} {name}", "not in the file", near and f"nearest: {near}")
            raise SubmitterError(f"{costs.path} has no model {name!r}: it has {there}", finding)
    return [costs.rows[name] for name in (candidate, baseline)]


def _table(
    costs: Costs, driven: Sequence[Mapping[str, CostRow]], ordered: Sequence[str]
) -> PairTable:
    absent = CostRow(0, [NOTHING] * len(costs.kinds), Outcome.COMPLETED, "")
    rows = [[of_model.get(name, absent) for name in ordered] for of_model in driven]
    measured = np.array([[row.measured for row in of_model] for of_model in rows], dtype=np.float64)
    shape = 2, len(ordered), len(costs.kinds), 3
    return PairTable(
        case_ids=tuple(ordered),
        routes=tuple(_route(costs, name) for name in ordered),
        metrics=costs.metrics,
        results=np.moveaxis(measured.reshape(shape), -1, 0).copy(),
        outcomes=tuple((c.outcome, b.outcome) for c, b in zip(*rows, strict=True)),
        reasons=tuple(row.reason for row in rows[CANDIDATE]),
    )


def _route(costs: Costs, segment: str) -> str:
    return costs.routes[segment_of(segment)]


def in_order(names: Sequence[str], routes: Sequence[str], order_seed: int) -> list[str]:
    """The names in the order of a run: random by `order_seed`, breadth first over routes."""
    nowhere = Scenario(segment_id="", segment_digest="", start_s=0.0, end_s=0.0)
    plan = [
        PlannedRollout(case_id=name, route=route, repeat=0, scenario=nowhere)
        for name, route in zip(names, routes, strict=True)
    ]
    return [planned.case_id for planned in breadth_first(plan, order_seed)]
