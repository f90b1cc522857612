"""Judge a run: results are consumed in the registered order, and the first crossing is final.

In which order they were driven does not matter. What is kept in memory between two looks can be
rebuilt from the database at any time: evidence is only ever added.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from server.db.run_tables import RunRow
from server.services.runs.judge_cases import Unmeasured, judge_cases
from server.services.runs.judged_pairs import (
    JudgedPair,
    Results,
    keys_of,
    pair_table,
    read_pairs,
    read_results,
)
from server.services.runs.run_rules import read_rules
from suites.conditions import result_name
from suites.metrics.registry import METRICS
from suites.pair_table import PairTable
from suites.verdict.judged_run import JudgedRun

BLOCK = 256
"""Pairs that are read from the database at once."""


class UndecidableError(Exception):
    """The run can never be judged with what this server knows; the message says who must act."""


class RunEvidence(JudgedRun):
    """A run judged look by look on what the database holds. Of several comparisons `beside` each
    other, each is judged at its share of alpha."""

    def __init__(self, session: Session, run: RunRow, beside: int = 1) -> None:
        rules = read_rules(session, run)
        suite = replace(rules.suite, alpha=rules.suite.alpha / beside)
        super().__init__(suite, rules.plan, run.suite_digest, rules.waivers)
        self.version = rules.version
        self.metrics = rules.metrics
        self.unmeasured: Unmeasured = {}
        """What the next pairs and cases wait for: measured from stored traces on request."""
        self.conditions = {result_name(c): c for case in suite.cases for c in case.conditions}
        self._run_id = run.id

    def consume(self, session: Session, beyond: bool = False) -> bool:
        """Take what follows in order as far as it is driven and measured; was there anything?

        It ends at the look that decides, so that a verdict never depends on what else was driven
        by then. A further call goes on `beyond` it."""
        before = self.consumed, len(self.cases)
        self.unmeasured = {}
        known = self.judge.reached if beyond else None
        while not self.ended and self.judge.reached is known:
            stop = min(self.consumed + BLOCK, self.plan.pairs)
            pairs = read_pairs(session, self._run_id, self.consumed, stop)
            ready, results = self._measured(session, pairs)
            self.take(pair_table(ready, results, self.metrics))
            if len(ready) < BLOCK:
                break
        judged, unmeasured = judge_cases(session, self._run_id, self.version, self.cases.keys())
        self.cases |= judged
        self.unmeasured |= unmeasured
        return before != (self.consumed, len(self.cases))

    @property
    def counted(self) -> int:
        """Pairs that the verdict rests on: those consumed, then those of judged cases."""
        behind = self.plan.pairs < len(self.version.planned)
        cases = self.version.suite.cases if behind else ()
        return self.consumed + sum(case.repeats for case in cases if case.name in self.cases)

    def table(self, session: Session) -> PairTable:
        """All pairs from the beginning that are driven and measured, whatever was decided when."""
        pairs = read_pairs(session, self._run_id, 0, self.plan.pairs)
        return pair_table(*self._measured(session, pairs), self.metrics)

    def _measured(
        self, session: Session, pairs: Sequence[JudgedPair]
    ) -> tuple[Sequence[JudgedPair], Results]:
        """The pairs before the first that lacks a result; all that lack one go to `unmeasured`."""
        versions = {metric: self.version.metric_versions[metric] for metric in self.metrics}
        results = read_results(session, keys_of(pairs), versions)
        self.unmeasured = {}
        first = len(pairs)
        for at, pair in enumerate(pairs):
            for key in (pair.candidate.drive_key, pair.baseline.drive_key):
                for metric in self.metrics:
                    if (key, metric) not in results:
                        self._check_version(metric)
                        self.unmeasured.setdefault(metric, set()).add(key)
                        first = min(first, at)
        return pairs[:first], results

    def _check_version(self, metric: str) -> None:
        wanted = self.version.metric_versions[metric]
        here = METRICS[metric].version if metric in METRICS else None
        if wanted != here:
            raise UndecidableError(
                f"the suite was resolved with {metric}@{wanted}, "
                f"this server measures {metric}@{here}: register the suite again"
            )
