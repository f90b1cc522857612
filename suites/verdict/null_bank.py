"""Runs in which nothing changed, made of stored results, and the judge over them.

The labels of two distinct, near-equal models are swapped on whole routes by a fair coin. Then there
is no difference, whatever the models are. The same model against itself would be zero by
construction and show nothing.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from suites.definition.resolving import breadth_first
from suites.definition.suite_schema import PlannedRollout, Suite
from suites.pair_table import PairTable
from suites.rollout import Scenario
from suites.run_plan import RunPlan
from suites.verdict.run_judge import RunJudge
from suites.vocabulary import Outcome, RunVerdict


@dataclass(frozen=True, slots=True)
class NullRun:
    """A run before it is judged: pairs in its registered order, and a suite with its seed."""

    table: PairTable
    """The whole of what was planned."""
    suite: Suite
    slices: Mapping[str, frozenset[str]]

    @property
    def plan(self) -> RunPlan:
        return RunPlan(len(self.table), Counter(self.table.routes), self.slices)


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that was stopped at its first verdict."""

    judge: RunJudge
    pairs: int
    """Consumed until then."""

    @property
    def failed(self) -> bool:
        return self.judge.reached is RunVerdict.FAIL

    @property
    def passed(self) -> bool:
        return self.judge.reached is RunVerdict.PASS


def judged(run: NullRun) -> EndedRun:
    """What the judge says when the run would have been stopped."""
    judge = RunJudge(run.suite, run.plan)
    consumed = 0
    while consumed < len(run.table) and judge.reached is None:
        block = run.table.rows(slice(consumed, consumed + judge.room))
        judge.extend(block)
        consumed += len(block)
    return EndedRun(judge, consumed)


class NullBank:
    """The stored pairs, from which null runs are made.

    Those on which a model crashed are left out: a run ends there, whatever else it shows.
    """

    def __init__(
        self, table: PairTable, suite: Suite, slices: Mapping[str, frozenset[str]]
    ) -> None:
        driven = [Outcome.POLICY_FAILED not in pair for pair in table.outcomes]
        self.table = table = table.rows(np.flatnonzero(driven))
        self.suite = suite
        self.slices = slices
        self.routes = sorted(set(table.routes))
        self._index = {name: i for i, name in enumerate(table.case_ids)}
        nowhere = Scenario(segment_id="", segment_digest="", start_s=0.0, end_s=0.0)
        self._plan = [
            PlannedRollout(case_id=name, route=route, scenario=nowhere, repeat=0)
            for name, route in zip(table.case_ids, table.routes, strict=True)
        ]

    def null(self, generator: np.random.Generator) -> NullRun:
        """The pairs in a new registered order, labels swapped on half of the routes."""
        seed = int(generator.integers(2**31))
        order = [self._index[p.case_id] for p in breadth_first(self._plan, seed)]
        heads = dict(zip(self.routes, generator.random(len(self.routes)) < 0.5, strict=True))
        table = self.table.rows(np.array(order))
        swapped = table.swap(np.array([heads[route] for route in table.routes]))
        return NullRun(swapped, replace(self.suite, order_seed=seed), self.slices)
