"""Runs as the service drives them: look by look to a verdict, or on to the end of the set."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from suites.definition.suite_schema import Suite
from suites.pair_table import PairTable
from suites.verdict.null_bank import known_plan
from suites.verdict.run_judge import RunJudge
from suites.vocabulary import RunVerdict

Row = dict[str, float]
"""What one simulated run showed: names to 0 or 1, or to a number of pairs."""
Simulation = Callable[[np.random.Generator, int], Row]


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """One simulated run before it is judged; its pairs stand in the registered order."""

    table: PairTable
    suite: Suite


BLOCK = 500
"""Pairs that come at once."""
Make = Callable[[np.random.Generator, int], SimulatedRun]


def fail_fast(suite: Suite) -> Suite:
    """The same suite; its gates fail as soon as worse is certain."""
    return replace(suite, gates=tuple(replace(gate, fail_fast=True) for gate in suite.gates))


def stopped(simulated: SimulatedRun) -> tuple[RunVerdict | None, int]:
    """The first verdict of a run, and after how many pairs it was reached."""
    judge = RunJudge(simulated.suite, known_plan(simulated.table, simulated.suite))
    start = 0
    while start < len(simulated.table) and judge.reached is None:
        block = simulated.table.rows(slice(start, start + judge.room))
        judge.extend(block)
        start += len(block)
    return judge.reached, start


def to_fail(make: Make) -> Simulation:
    """Whether and when a run fails."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        verdict, pairs = stopped(make(rng, seed))
        found = verdict is RunVerdict.FAIL
        return {"fail": found, "segments": pairs}

    return run


@dataclass(frozen=True, slots=True)
class DrivenRun:
    """A run that was driven to the end of its set, whatever it said on the way."""

    early: bool
    """It passed before the end, provisionally."""
    verdict: RunVerdict | None
    """Of the whole set."""


def to_the_end(simulated: SimulatedRun) -> DrivenRun:
    """A run that goes on after a pass; a fail is final."""
    judge = RunJudge(simulated.suite, known_plan(simulated.table, simulated.suite))
    for start in range(0, len(simulated.table), BLOCK):
        if judge.reached is RunVerdict.FAIL:
            break
        judge.extend(simulated.table.rows(slice(start, start + BLOCK)))
    if judge.reached is not RunVerdict.PASS:
        return DrivenRun(False, judge.reached)
    whole = judge.verdict()
    early = bool(whole.withdrawn) or whole.pairs_consumed < len(simulated.table)
    return DrivenRun(early, whole.verdict)
