"""What a suite version can tell at its bank's size, with the spread of results that are stored."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import takewhile
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from server.db.bank_tables import ModelRow, SuiteVersionRow
from server.db.run_tables import RunRow
from server.services.bank.register_suite import find_version, stored_version
from server.services.runs.judged_pairs import (
    JudgedPair,
    keys_of,
    pair_table,
    read_pairs,
    read_results,
)
from suites.definition.suite_schema import SuiteVersion
from suites.pair_table import PairTable
from suites.simulators import simulator_spec
from suites.statistics.gate_power import Seen, SuitePower, spread_of, suite_power
from suites.verdict.power_words import power_lines, power_warnings
from suites.vocabulary import RunVerdict, Status

LOOK_BACK = 50
"""Newest finished runs among which two distinct models are looked for."""
MOST_PAIRS = 2000
"""Pairs of a run that are read for its spread."""


class SuiteTells(BaseModel):
    """What a suite version can tell, before anything is driven on it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    figures: SuitePower | None
    """Null where no gate judges anything. Shares are of 1: 0.02 is 2 %."""
    lines: list[str]
    """The same in words."""
    warnings: list[str]
    """What so few segments rarely show: to be decided before the first run."""


def read_power(session: Session, reference: str) -> SuiteTells:
    """Of a version (see find_version for what names one). Raises Refused (404, 409)."""
    row = find_version(session, reference)
    version = stored_version(row)
    power = suite_power(version, _seen(session, row.suite, version))
    return SuiteTells(
        figures=power,
        lines=list(power_lines(power)) if power else [],
        warnings=list(power_warnings(power)) if power else [],
    )


def _seen(session: Session, name: str, version: SuiteVersion) -> dict[str, Seen]:
    """Metric to the results of the newest finished run that says how two models differ in it.

    Runs of the suite's own line come first, then those of others in the same simulator. What failed
    comes last: a broken model differs in other ways than a good one.
    """
    wanted = {gate.metric: gate for gate in version.suite.gates}
    seen: dict[str, Seen] = {}
    for run, document, source in _finished(session, name, version):
        versions = {
            metric: number
            for metric, number in document["metric_versions"].items()
            if metric not in seen and version.metric_versions.get(metric) == number
        }
        if versions:
            table = _results(session, run, versions)
            for metric in versions:
                if spread_of(wanted[metric], table) is not None:
                    seen[metric] = Seen(table, source)
        if len(seen) == len(wanted):
            break
    return seen


def _finished(
    session: Session, name: str, version: SuiteVersion
) -> Iterator[tuple[RunRow, dict[str, Any], str]]:
    """Finished runs of two distinct models in the suite's simulator, each with the document of its
    suite version and its name for people."""
    choice = version.suite.simulator
    simulator = asdict(simulator_spec(choice.name, choice.parameters))
    candidate, baseline = aliased(ModelRow), aliased(ModelRow)
    own = SuiteVersionRow.suite == name
    failed = RunRow.verdict == RunVerdict.FAIL
    rows = session.execute(
        select(RunRow, SuiteVersionRow.digest, candidate.name, baseline.name)
        .join(SuiteVersionRow, SuiteVersionRow.digest == RunRow.suite_digest)
        .join(candidate, candidate.digest == RunRow.candidate)
        .join(baseline, baseline.digest == RunRow.baseline)
        .where(RunRow.status == Status.FINISHED, RunRow.candidate != RunRow.baseline)
        .order_by(own.desc(), failed, RunRow.finished.desc())
        .limit(LOOK_BACK)
    )
    for run, digest, *models in rows:
        if run.simulator == simulator:
            document = session.get_one(SuiteVersionRow, digest).document
            yield run, document, f"{' and '.join(models)} in run {run.id}"


def _results(session: Session, run: RunRow, versions: dict[str, int]) -> PairTable:
    """The first pairs of a run, up to one that was not driven or measured."""
    pairs = read_pairs(session, run.id, 0, MOST_PAIRS)
    results = read_results(session, keys_of(pairs), versions)

    def measured(pair: JudgedPair) -> bool:
        sides = pair.candidate, pair.baseline
        return all((side.drive_key, metric) in results for side in sides for metric in versions)

    return pair_table(list(takewhile(measured, pairs)), results, tuple(versions))
