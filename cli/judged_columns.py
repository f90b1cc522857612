"""Which columns of a CSV are judged, and which way is better: registered or named, not guessed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cli.csv_rows import CsvRows
from suites.errors import Finding, SubmitterError
from suites.metrics.registry import METRICS

LOWER, HIGHER, RATE = "--lower-is-better", "--higher-is-better", "--rate"


@dataclass(frozen=True, slots=True)
class Kind:
    """What the numbers of a column are."""

    direction: Literal["lower", "higher"] = "lower"
    """Which way is better."""
    rate: bool = False
    """0 or 1, or a share: judged by its difference; else a cost or score, by its relative one."""
    two_valued: bool = False
    """A rate that the registry knows as 0 or 1, and nothing between."""


@dataclass(frozen=True, slots=True)
class JudgedColumns:
    """The columns of numbers."""

    kinds: dict[str, Kind]
    """Those that are judged."""
    others: tuple[str, ...]
    """Those that nobody named and no registry knows: listed, and not judged."""


def declared_kinds(
    lower: Sequence[str] | None, higher: Sequence[str] | None, rates: Sequence[str] | None
) -> dict[str, Kind]:
    """Column to kind, of those that the options name. Raises SubmitterError where two of them, or
    one and the registry, say different things."""
    lower, higher, rates = lower or (), higher or (), rates or ()
    if both := sorted(set(lower) & set(higher)):
        remedy = f"keep one of {LOWER} and {HIGHER}"
        finding = Finding(f"{HIGHER} {both[0]}", "lower is said to be better as well", remedy)
        raise SubmitterError(f"it is not clear which way {both[0]} is better", finding)
    named = dict.fromkeys([*lower, *higher, *rates])
    kinds = {n: Kind("higher" if n in higher else "lower", n in rates) for n in named}
    findings = []
    for name, kind in kinds.items():
        metric = METRICS.get(name)
        if metric and kind.direction != metric.direction:
            option = HIGHER if name in higher else LOWER if name in lower else RATE
            problem = f"the registry says that {metric.direction} is better"
            findings.append(Finding(f"{option} {name}", problem, "leave it out"))
        elif metric and kind.rate and not may_be_rate(name):
            problem = "the registry says that it is neither 0 or 1 nor a share"
            findings.append(Finding(f"{RATE} {name}", problem, "leave it out"))
    if findings:
        remedy = "a column of another meaning needs another name"
        raise SubmitterError(
            f"registered metrics are judged as they are: {remedy}", tuple(findings)
        )
    return kinds


def judged_columns(
    rows: CsvRows, metrics: Sequence[str], declared: Mapping[str, Kind], reserved: set[str | None]
) -> JudgedColumns:
    """What is judged of `rows`: `metrics` (without any, all that are registered) and what is
    declared. `reserved` columns hold no metric. Raises SubmitterError where it is not known which
    way a metric is better."""
    free = [name for name in rows.names if name not in reserved]
    wanted = metrics or [name for name in free if name in METRICS]
    kinds = {name: _kind(name, declared) for name in [*wanted, *declared]}
    unknown = [name for name, kind in kinds.items() if kind is None]
    if unknown:
        one = unknown[0]
        findings = tuple(
            Finding(f"--metric {name}", "no registered metric has this name", _flags(name))
            for name in unknown
        )
        raise SubmitterError(f"it is not known which way {one} is better", findings)
    ends = {f"{name}.{end}" for name in free for end in ("low", "high")}
    rest = [name for name in free if name not in kinds and name not in ends]
    others = tuple(name for name in rest if _numeric(rows, name))
    return JudgedColumns({n: kind for n, kind in kinds.items() if kind}, others)


def nothing_judged(others: Sequence[str], rows: CsvRows) -> Finding:
    """Why no column is judged, though some hold numbers, and the options that would do."""
    events = [name for name in others if two_valued(rows, name)]
    remedy = _flags(events[0] if events else others[0])
    if events:
        remedy = f"{', '.join(events)} with 0 and 1 alone: {RATE} {events[0]}; {remedy}"
    numbers = f"numbers in {', '.join(others)}: none is a registered metric"
    return Finding("columns", numbers, f"say which way is better: {remedy}")


def _flags(name: str) -> str:
    return f"add {LOWER} {name}, {HIGHER} {name}, or {RATE} {name} for 0 and 1"


def _kind(name: str, declared: Mapping[str, Kind]) -> Kind | None:
    """The registry knows which metrics are two-valued: they are rates, whatever was declared."""
    metric = METRICS.get(name)
    said = declared.get(name)
    if metric is None:
        return said
    two_valued = metric.kind == "rate"
    return Kind(metric.direction, two_valued or bool(said and said.rate), two_valued)


def may_be_rate(name: str) -> bool:
    """Of registered metrics, shares and what happened or did not."""
    metric = METRICS.get(name)
    return metric is None or metric.share or metric.kind == "rate"


def two_valued(rows: CsvRows, name: str) -> bool:
    """Whether a column holds zeros and ones, and nothing else."""
    return {row[name] or "" for _, row in rows.lines} - {""} in ({"0", "1"}, {"0.0", "1.0"})


def _numeric(rows: CsvRows, name: str) -> bool:
    """Whether a column that nobody named holds numbers: its first value is one."""
    first = next((row[name] for _, row in rows.lines if row[name]), "").lower()
    starts = first.replace(".", "").lstrip("+-")[:1].isdigit()
    return starts or first.lstrip("+-") in {"nan", "inf", "infinity"}
