"""Paired costs from a CSV: columns segment, controller (or model), any metrics, and a route if there is one."""

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from suites.definition.suite_schema import PlannedRollout, breadth_first
from suites.errors import Finding, SubmitterError
from suites.judgement import PairTable
from suites.rollout import Scenario
from suites.verdict.sentence import plural
from suites.vocabulary import Outcome

MODEL_COLUMNS = ("controller", "model")
SUITE_COLUMNS = ("suite", "suite_digest")
"""Which suite a row was driven on: all rows must agree."""

LARGEST = 1e100
"""Costs beyond it, or below its inverse, would leave the range of floats when they are squared."""


@dataclass(frozen=True, slots=True)
class Costs:
    """A CSV as read: per model, per segment, its values in the order of `metrics` (NaN: missing or not finite)."""

    path: Path
    metrics: tuple[str, ...]
    values: dict[str, dict[str, list[float]]]
    routes: dict[str, str]
    """Segment to route; each segment is its own where the file names none."""
    not_finite: Counter[str] = field(default_factory=Counter)
    """Model to the number of values that are NaN, infinite or empty."""


def read_costs(path: Path, metrics: Sequence[str] = (), route_column: str | None = None) -> Costs:
    """Reads a CSV, gzipped or not. SubmitterError names the line or column that is wrong; `metrics` empty: all columns."""
    if not path.is_file():
        raise SubmitterError(f"{path} is not a file")
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SubmitterError(f"{path} cannot be read: {error}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        columns = list(reader.fieldnames or ())
        lines = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise SubmitterError(f"{path} is no CSV: {error}") from None
    rows = [row for _, row in lines]
    if twice := sorted(name for name, count in Counter(columns).items() if count > 1):
        finding = Finding(
            "columns", f"more than once: {', '.join(map(repr, twice))}", "keep one of each"
        )
        raise SubmitterError(
            f"{path} cannot be judged: it is not clear which column is meant", (finding,)
        )
    model = next((name for name in MODEL_COLUMNS if name in columns), None)
    # a column without a name is an index that a table was saved with
    reserved = {"", "segment", *SUITE_COLUMNS, "route", model, route_column}
    chosen = tuple(dict.fromkeys(metrics)) or tuple(
        name for name in columns if name not in reserved and _numeric(rows, name)
    )
    lacks = [
        name
        for name in ("segment", *chosen, *((route_column,) if route_column else ()))
        if name not in columns
    ]
    if model is None or lacks or not chosen:
        missing = ", ".join([*([] if model else ["controller (or model)"]), *lacks]) or "any metric"
        finding = Finding(
            "columns", f"found {', '.join(columns) or 'none'}", "name them, with commas between"
        )
        raise SubmitterError(f"{path} lacks {missing}", (finding,))
    routes_from = route_column or ("route" if "route" in columns else None)
    costs = Costs(path, chosen, {}, {})
    findings: list[Finding] = []
    suites = set()
    for line, row in lines:
        fields = [value for value in row.values() if value is not None]
        if None in row or len(fields) < len(columns):
            problem = (
                f"more than {len(columns)} fields"
                if None in row
                else f"{len(fields)} fields of {len(columns)}"
            )
            findings.append(Finding(f"line {line}", problem, "give one for each column"))
            continue
        segment = row["segment"]
        suites.add(tuple(row[name] for name in SUITE_COLUMNS if name in columns))
        if not segment or not row[model]:
            findings.append(
                Finding(f"line {line}", f"no {model if segment else 'segment'}", "name it")
            )
            continue
        route = row[routes_from] if routes_from else segment
        if not route:
            findings.append(
                Finding(
                    f"line {line}", "no route", "name it: segments of one drive are not independent"
                )
            )
        known = costs.values.setdefault(row[model], {})
        if segment in known:
            findings.append(
                Finding(
                    f"line {line}",
                    f"segment {segment} of {row[model]} a second time",
                    "keep one of them",
                )
            )
        if costs.routes.setdefault(segment, route) != route:
            findings.append(
                Finding(
                    f"line {line}",
                    f"segment {segment} lies on routes {costs.routes[segment]} and {route}",
                )
            )
        known[segment] = [_number(row[name], f"line {line}, {name}", findings) for name in chosen]
        costs.not_finite[row[model]] += sum(not np.isfinite(v) for v in known[segment])
    if len(suites) > 1:
        names = ", ".join(sorted(" ".join(suite) or "none" for suite in suites))
        findings.append(
            Finding(
                "suite",
                f"results of different suites: {names}",
                "compare results of one suite digest only",
            )
        )
    if findings:
        raise SubmitterError(
            f"{path} cannot be judged ({plural(len(findings), 'problem')})", tuple(findings[:10])
        )
    return costs


def _numeric(rows: list[dict[str, str]], name: str) -> bool:
    """Whether a column that nobody named is a metric: its first value that is there is a number."""
    first = next((row[name] for row in rows if row[name]), "0")
    return first.replace(".", "").lstrip("+-")[:1].isdigit() or first.lower().lstrip("+-") in {
        "nan",
        "inf",
        "infinity",
    }


def _number(text: str, where: str, findings: list[Finding]) -> float:
    if not text:
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        findings.append(
            Finding(where, f"{text!r} is not a number", "leave it empty where there is none")
        )
        return float("nan")
    if np.isfinite(value) and value != 0 and not 1 / LARGEST <= abs(value) <= LARGEST:
        findings.append(
            Finding(where, f"{text} is beyond what can be squared", "give it in another unit")
        )
    return value if np.isfinite(value) else float("nan")


def paired(costs: Costs, candidate: str, baseline: str, order_seed: int) -> PairTable:
    """Every segment that either model drove, in the order of a run: random by `order_seed`, breadth first over routes."""
    if candidate == baseline:
        raise SubmitterError(
            f"{candidate!r} is named as the candidate and as the baseline: a model never differs from itself"
        )
    for name in (candidate, baseline):
        if name not in costs.values:
            there = ", ".join(sorted(costs.values)) or "no row at all"
            raise SubmitterError(f"{costs.path} has no model {name!r}: it has {there}")
    c, b = costs.values[candidate], costs.values[baseline]
    plan = [
        PlannedRollout(
            case_id=segment,
            route=costs.routes[segment],
            repeat=0,
            scenario=Scenario(segment_id=segment, segment_digest="", start_s=0.0, end_s=0.0),
        )
        for segment in sorted(c.keys() | b.keys())
    ]
    ordered = breadth_first(plan, order_seed)
    absent = [float("nan")] * len(costs.metrics)
    mine, theirs = (
        np.array([model.get(p.case_id, absent) for p in ordered], dtype=np.float64)
        for model in (c, b)
    )
    outcomes = tuple([Outcome.COMPLETED] * len(ordered))
    return PairTable(
        case_ids=tuple(p.case_id for p in ordered),
        routes=tuple(p.route for p in ordered),
        metrics=costs.metrics,
        candidate=mine,
        baseline=theirs,
        candidate_low=mine,
        candidate_high=mine,
        baseline_low=theirs,
        baseline_high=theirs,
        candidate_outcome=outcomes,
        baseline_outcome=outcomes,
    )
