"""An exported run that `redrive verdict` judges again: how it is opened, and what is said of it."""

from collections.abc import Iterator
from pathlib import Path

from cli.csv_rows import file_text
from cli.gate_table import print_gates
from cli.printing import Columns, print_items
from cli.run_parquet import is_parquet, read_parquet
from suites.exported_run import RunHeader
from suites.judgement import CaseVerdict, Verdict
from suites.verdict.run_file import RunFile, csv_cells, is_run_text, run_file


def open_run(path: Path) -> RunFile | None:
    """None where it is a file of another kind. Raises SubmitterError."""
    if is_parquet(path):
        return run_file(str(path), read_parquet(path))
    text = file_text(path)
    return run_file(str(path), csv_cells(text)) if is_run_text(text) else None


def show_run(run: RunFile, verdict: Verdict) -> None:
    """Which run it is, its verdict, and what the service said if that was something else."""
    header = run.header
    suite = f"{header.suite.name}@{header.suite_digest[:6]}"
    both = f"{header.candidate.name} against {header.baseline.name} on {suite}"
    print(f"Run {header.run} ({header.status}): {both}")
    if verdict.gates:
        print_gates(verdict.gates)
    if verdict.cases:
        print_items(verdict.cases, CASES, "")
        print()
    if verdict.verdict and verdict.pairs_consumed < verdict.pairs_planned:
        print(f"Decided after {verdict.pairs_consumed:,} of {verdict.pairs_planned:,} pairs.")
    for line in _beside(header, verdict):
        print(line)
    print(verdict.sentence)


def _beside(header: RunHeader, verdict: Verdict) -> Iterator[str]:
    """By which engine the service judged, and where its words were others."""
    engine = verdict.method["engine"]
    if header.error:
        yield f"The run errored: {header.error}"
    if header.engine and header.engine != engine:
        yield f"Decided by {header.engine} in the service, judged here by {engine}."
    if header.engine and (header.verdict, header.sentence) != (verdict.verdict, verdict.sentence):
        yield f"The service said otherwise: {header.sentence}"


def _word(case: CaseVerdict) -> str:
    word = {True: "passed", False: "failed", None: "cannot tell"}[case.passed]
    return f"{word}, {case.waived}" if case.waived else word


CASES: Columns = {
    "must-pass case": lambda case: case.case,
    "verdict": _word,
    "why": lambda case: case.reason,
}
