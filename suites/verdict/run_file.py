"""An exported run as judging reads it; what was edited or cut off is refused."""

import csv
import io
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from suites.definition.cost_draw import drawn_order
from suites.definition.suite_schema import gated
from suites.errors import Finding, SubmitterError
from suites.exported_run import (
    MARK,
    PASSED,
    PLACE,
    ROLES,
    STORED,
    WEIGHT,
    Cells,
    RunHeader,
    columns,
    load_header,
    result_columns,
    stored_columns,
)
from suites.judgement import CaseVerdict
from suites.pair_table import PairTable, segment_of
from suites.run_plan import RunPlan, StoredCosts
from suites.verdict.case_rule import Repeat, judge_case
from suites.verdict.judged_run import JudgedRun
from suites.vocabulary import Outcome

AGAIN = "export it again: redrive runs export RUN"
SHOWN = 10
"""Findings that are named."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """A run as it was exported."""

    header: RunHeader
    plan: RunPlan
    pairs: PairTable
    """What the gates are over, where both models drove; those that were judged come first."""
    cases: dict[str, CaseVerdict]
    """Of the must-pass cases that were judged."""

    def judge(self) -> JudgedRun:
        """What the service had judged, by the engine of now."""
        header = self.header
        run = JudgedRun(header.suite, self.plan, header.suite_digest, header.waivers)
        table = self.pairs.rows(slice(header.judged_pairs))
        while run.consumed < len(table) and not run.broken:
            run.take(table.rows(slice(run.consumed, None)))
        run.cases |= self.cases
        return run


def is_run_text(text: str) -> bool:
    """Whether it begins as the CSV of an exported run does."""
    return text.startswith(f"{MARK}{{")


def csv_cells(text: str) -> Cells:
    """Of the text of a CSV. Raises SubmitterError."""
    first, _, rest = text.partition("\n")
    try:
        names, *rows = csv.reader(io.StringIO(rest, newline=""), strict=True)
    except (csv.Error, ValueError) as error:
        raise SubmitterError(f"no CSV below the first line: {error}") from None
    return Cells(first.removeprefix(MARK), names, rows)


def run_file(name: str, cells: Cells) -> RunFile:
    """Raises SubmitterError that names what is wrong and where."""
    return _Reader(name, cells).read()


class _Reader:
    """Checks the cells. Row 2 i + r is of position i and model r."""

    def __init__(self, name: str, cells: Cells) -> None:
        self._name = name
        try:
            self._header = load_header(cells.header)
        except ValueError as error:
            self._refuse(Finding("header", " ".join(str(error).split()), AGAIN))
        self._findings: list[Finding] = []
        low = STORED[0]
        weighed = [name.removesuffix(low) for name in cells.names if name.endswith(low)]
        self._weighed = weighed if WEIGHT in cells.names else None
        self._cells = self._columns(cells)
        self._check_places()
        self._overall = gated(self._header.suite, self._cells["case"][::2])

    def read(self) -> RunFile:
        ended = list(zip(self._outcomes(0), self._outcomes(1), strict=True))
        driven = [i for i in range(self._overall) if None not in ended[i]]
        judged = self._header.judged_pairs
        if driven[:judged] != list(range(judged)):
            problem = f"{judged:,} pairs were judged, and not all of the first {judged:,} are there"
            self._findings.append(Finding("outcome", problem, AGAIN))
        outcomes = [(c, b) for c, b in (ended[i] for i in driven) if c and b]
        pairs = PairTable(
            case_ids=tuple(self._cells["segment"][2 * i] for i in driven),
            routes=tuple(self._cells["route"][2 * i] for i in driven),
            metrics=self._header.metrics,
            results=self._results().take(driven, axis=2),
            outcomes=tuple(outcomes),
            reasons=tuple(self._cells["reason"][2 * i] for i in driven),
        )
        invalid = [[one is Outcome.DATA_INVALID for one in pair] for pair in outcomes]
        pairs.results[:, np.array(invalid, dtype=np.bool_).reshape(-1, 2).T] = np.nan
        plan, cases = self._plan(), self._cases()
        if self._findings:
            self._refuse(*self._findings)
        return RunFile(header=self._header, plan=plan, pairs=pairs, cases=cases)

    def _refuse(self, *findings: Finding) -> NoReturn:
        problem = f"{self._name} is not a run as it was exported"
        raise SubmitterError(problem, findings[:SHOWN])

    def _add(self, row: int, problem: str) -> None:
        where = f"position {row // 2}, {ROLES[row % 2]}"
        self._findings.append(Finding(where, problem, AGAIN))

    def _columns(self, cells: Cells) -> dict[str, tuple[str, ...]]:
        wanted = columns(self._header.metrics, self._weighed)
        if sorted(cells.names) != sorted(wanted):
            odd = ", ".join(sorted({*cells.names} ^ {*wanted})) or "one of them twice"
            self._refuse(Finding("columns", f"missing or unknown: {odd}", AGAIN))
        for i, row in enumerate(cells.rows, 1):
            if len(row) != len(wanted):
                self._refuse(Finding(f"row {i}", f"{len(row)} cells of {len(wanted)}", AGAIN))
        by_column = zip(*cells.rows, strict=True) if cells.rows else ((),) * len(wanted)
        return dict(zip(cells.names, by_column, strict=True))

    def _check_places(self) -> None:
        """Every position has its two rows, which agree on what was to be driven."""
        planned = self._header.planned
        wanted = [(str(at), role) for at in range(planned) for role in ROLES]
        found = list(zip(self._cells["position"], self._cells["role"], strict=True))
        for i, (there, place) in enumerate(zip(found, wanted, strict=False), 1):
            if there != place:
                problem = f"{' '.join(there)} where {' '.join(place)} belongs"
                self._refuse(Finding(f"row {i}", problem, f"a row was moved or removed: {AGAIN}"))
        if len(found) != len(wanted):
            problem = f"{len(found):,} of {len(wanted):,}"
            self._refuse(Finding("rows", problem, f"it was cut off or added to: {AGAIN}"))
        stored = [] if self._weighed is None else stored_columns(self._weighed)
        for name in (*PLACE, *stored):
            cells = self._cells[name]
            for row in range(0, len(cells), 2):
                if cells[row] != cells[row + 1]:
                    self._add(row, f"{name} is {cells[row]!r}, the baseline's {cells[row + 1]!r}")

    def _outcomes(self, role: int) -> list[Outcome | None]:
        """None where nothing was driven, or could be."""
        found: list[Outcome | None] = []
        for i, word in enumerate(self._cells["outcome"][role::2]):
            if word and word not in [*Outcome]:
                self._add(2 * i + role, f"no outcome is called {word!r}")
            driven = word in [*Outcome] and word != Outcome.INFRA_FAILED
            found.append(Outcome(word) if driven else None)
        return found

    def _results(self) -> Floats:
        """[field, model, position, metric]"""
        names = [result_columns(metric) for metric in self._header.metrics]
        fields = [[self._numbers(metric[field]) for metric in names] for field in range(3)]
        shape = (3, len(names), 2, self._header.planned)
        return np.array(fields).reshape(shape).transpose(0, 2, 3, 1).copy()

    def _numbers(self, name: str) -> Floats:
        """[model, pair]; NaN where the cell is empty."""
        found = np.full(len(self._cells[name]), np.nan)
        for row, text in enumerate(self._cells[name]):
            if not text:
                continue
            with suppress(ValueError):
                found[row] = float(text)
            if not np.isfinite(found[row]):
                self._add(row, f"{name}: {text!r} is not a number")
        return found.reshape(-1, 2).T

    def _plan(self) -> RunPlan:
        """What was known before the first pair was driven."""
        header, cells = self._header, self._cells
        of = slice(0, 2 * self._overall, 2)
        slices: dict[str, set[str]] = {one.name: set() for one in header.suite.slices}
        for segment, names in zip(cells["segment"][of], cells["slices"][of], strict=True):
            for name in names.split():
                slices.setdefault(name, set()).add(segment_of(segment))
        return RunPlan(
            self._overall,
            route_pairs=Counter(cells["route"][of]),
            slices={name: frozenset(segments) for name, segments in slices.items()},
            baseline_events=header.baseline_events,
            stored=self._stored(),
        )

    def _stored(self) -> StoredCosts | None:
        """Weights and costs; in a draw by cost the order must follow from them and the seed."""
        if self._weighed is None:
            return None
        weights = self._numbers(WEIGHT)[0, : self._overall]
        costs = {
            metric: np.stack([self._numbers(metric + end)[0, : self._overall] for end in STORED])
            for metric in self._weighed
        }
        suite, ids = self._header.suite, self._cells["segment"][: 2 * self._overall : 2]
        if not (weights > 0).all():
            self._findings.append(Finding(WEIGHT, "not above zero everywhere", AGAIN))
        elif suite.draw == "cost":
            order = drawn_order(ids, weights, suite.order_seed or 0)
            if (order != np.arange(len(order))).any():
                problem = "the weights and the seed give another order"
                self._findings.append(Finding(WEIGHT, problem, AGAIN))
        return StoredCosts(weights=weights, costs=costs)

    def _cases(self) -> dict[str, CaseVerdict]:
        """By the candidate's repeats of each that was judged."""
        rows = defaultdict(list)
        for row in range(0, len(self._cells["case"]), 2):
            rows[self._cells["case"][row]].append(row)
        instants = self._numbers("instant_s")[0]
        judged = {}
        for spec in self._header.suite.cases:
            if spec.name not in self._header.judged_cases:
                continue
            repeats = [self._repeat(row, instants[row // 2]) for row in rows[spec.name]]
            if len(repeats) == spec.repeats:
                judged[spec.name] = judge_case(spec, repeats)
            else:
                problem = f"{len(repeats)} of {spec.repeats} repeats"
                self._findings.append(Finding(f"case {spec.name}", problem, AGAIN))
        return judged

    def _repeat(self, row: int, instant_s: float) -> Repeat:
        word, why = self._cells["passed"][row], self._cells["why"][row]
        if word not in PASSED:
            self._add(row, f"passed is {word!r}, not {', '.join(PASSED)}")
        return Repeat(PASSED.get(word), why, None if np.isnan(instant_s) else float(instant_s))
