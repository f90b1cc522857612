"""Paired costs from a CSV: columns segment, controller (or model), any metrics, and a route if there is one."""

import csv
import gzip
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from suites.errors import Finding, SubmitterError
from suites.judgement import PairTable
from suites.rollout import Scenario
from suites.schema import PlannedRollout, breadth_first
from suites.words import Outcome

MODEL_COLUMNS = ("controller", "model")


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
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SubmitterError(f"{path} cannot be read: {error}") from None
    reader = csv.DictReader(text.splitlines())
    columns = list(reader.fieldnames or ())
    model = next((name for name in MODEL_COLUMNS if name in columns), None)
    reserved = {"segment", "suite", "route", model, route_column}
    rows = list(reader)
    chosen = tuple(metrics) or tuple(name for name in columns if name not in reserved and _numeric(rows, name))
    lacks = [name for name in ("segment", *chosen, *((route_column,) if route_column else ())) if name not in columns]
    if model is None or lacks or not chosen:
        missing = ", ".join([*([] if model else ["controller (or model)"]), *lacks]) or "any metric"
        raise SubmitterError(
            f"{path} lacks {missing}", (Finding("columns", f"found {', '.join(columns) or 'none'}", "name them"),)
        )
    routes_from = route_column or ("route" if "route" in columns else None)
    costs = Costs(path, chosen, {}, {})
    findings: list[Finding] = []
    suites = set()
    for line, row in enumerate(rows, start=2):
        segment, suite = row["segment"], row.get("suite")
        suites.add(suite)
        route = (row[routes_from] if routes_from else segment) or segment
        known = costs.values.setdefault(row[model], {})
        if segment in known:
            findings.append(Finding(f"line {line}", f"segment {segment} of {row[model]} a second time", "keep one of them"))
        if costs.routes.setdefault(segment, route) != route:
            findings.append(Finding(f"line {line}", f"segment {segment} lies on routes {costs.routes[segment]} and {route}"))
        known[segment] = [_number(row[name], f"line {line}, {name}", findings) for name in chosen]
        costs.not_finite[row[model]] += sum(not np.isfinite(v) for v in known[segment])
    if len(suites) > 1:
        names = ", ".join(sorted(str(s) for s in suites))
        findings.append(Finding("suite", f"results of different suites: {names}", "compare results of one suite digest only"))
    if findings:
        raise SubmitterError(f"{path} cannot be judged ({len(findings)} problems)", tuple(findings[:10]))
    return costs


def _numeric(rows: list[dict[str, str]], name: str) -> bool:
    """Whether a column that nobody named is a metric: its first value that is there is a number."""
    first = next((row[name] for row in rows if row[name]), "0")
    return first.replace(".", "").lstrip("+-")[:1].isdigit() or first.lower().lstrip("+-") in {"nan", "inf", "infinity"}


def _number(text: str | None, where: str, findings: list[Finding]) -> float:
    if not text:
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        findings.append(Finding(where, f"{text!r} is not a number", "leave it empty where there is none"))
        return float("nan")
    return value if np.isfinite(value) else float("nan")


def paired(costs: Costs, candidate: str, baseline: str, order_seed: int) -> PairTable:
    """Every segment that either model drove, in the order of a run: random by `order_seed`, breadth first over routes."""
    for name in (candidate, baseline):
        if name not in costs.values:
            raise SubmitterError(f"{costs.path} has no model {name!r}: it has {', '.join(sorted(costs.values))}")
    c, b = costs.values[candidate], costs.values[baseline]
    plan = [
        PlannedRollout(
            case_id=segment, route=costs.routes[segment], repeat=0,
            scenario=Scenario(segment_id=segment, segment_digest="", start_s=0.0, end_s=0.0),
        )
        for segment in sorted(c.keys() | b.keys())
    ]  # fmt: skip
    ordered = breadth_first(plan, order_seed)
    absent = [float("nan")] * len(costs.metrics)
    mine, theirs = (np.array([model.get(p.case_id, absent) for p in ordered], dtype=np.float64) for model in (c, b))
    outcomes = tuple([Outcome.COMPLETED] * len(ordered))
    return PairTable(
        case_ids=tuple(p.case_id for p in ordered), routes=tuple(p.route for p in ordered), metrics=costs.metrics,
        candidate=mine, baseline=theirs, candidate_low=mine, candidate_high=mine, baseline_low=theirs, baseline_high=theirs,
        candidate_outcome=outcomes, baseline_outcome=outcomes,
    )  # fmt: skip
