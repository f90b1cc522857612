"""Judge a run: results are consumed in the registered order, and the first crossing is final.

In which order they were driven does not matter. What is kept in memory between two looks can be
rebuilt from the database at any time: evidence is only ever added.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy.orm import Session

from server.db.bank_tables import SuiteVersionRow
from server.db.run_tables import RunRow
from server.services.bank.register_suite import stored_version
from server.services.bank.waivers_in_force import in_force, waive
from server.services.runs.judge_cases import Unmeasured, judge_cases
from server.services.runs.judged_pairs import (
    JudgedPair,
    Results,
    pair_table,
    read_pairs,
    read_results,
)
from server.services.runs.run_demands import in_run_order
from server.services.runs.stored_baseline import known_then
from suites.conditions import result_name
from suites.definition.suite_schema import SuiteVersion
from suites.judgement import CaseVerdict, Verdict
from suites.metrics.registry import METRICS
from suites.pair_table import PairTable
from suites.run_plan import RunPlan
from suites.statistics.live_evidence import LiveEvidence
from suites.verdict.run_judge import RunJudge

BLOCK = 256
"""Pairs that are read from the database at once."""


class UndecidableError(Exception):
    """The run can never be judged with what this server knows; the message says who must act."""


class RunEvidence:
    """What a run has shown so far, judged look by look. Of several comparisons `beside` each other,
    each is judged at its share of alpha."""

    def __init__(self, session: Session, run: RunRow, beside: int = 1) -> None:
        self.version = stored_version(session.get_one(SuiteVersionRow, run.suite_digest))
        written = self.version.suite
        suite = replace(written, alpha=written.alpha / beside, order_seed=run.order_seed)
        self.metrics = tuple(dict.fromkeys(gate.metric for gate in suite.gates))
        planned = self.version.planned
        # must-pass cases come last; the gates of a suite that has nothing else are over them
        only_cases = suite.select is None and bool(suite.gates)
        self.overall = len(planned) if only_cases else sum(p.case is None for p in planned)
        self.judge = RunJudge(suite, _plan(self.version, self.overall, run))
        self._live = LiveEvidence(suite.gates)
        self.consumed = 0
        self.unmeasured: Unmeasured = {}
        """What the next pairs and cases wait for: measured from stored traces on request."""
        self.conditions = {result_name(c): c for case in suite.cases for c in case.conditions}
        self._run_id = run.id
        self._suite_digest = run.suite_digest
        self._waivers = in_force(session, suite.name, run.created)
        self._cases: dict[str, CaseVerdict] = {}

    def consume(self, session: Session, beyond: bool = False) -> bool:
        """Take what follows in order as far as it is driven and measured; was there anything?

        It ends at the look that decides, so that a verdict never depends on what else was driven
        by then. A further call goes on `beyond` it."""
        before = self.consumed, len(self._cases)
        self.unmeasured = {}
        known = self.judge.reached if beyond else None
        while self.consumed < self.overall and not self.broken and self.judge.reached is known:
            stop = min(self.consumed + BLOCK, self.overall)
            pairs = read_pairs(session, self._run_id, self.consumed, stop)
            ready, results = self._measured(session, pairs)
            self._take(ready, results)
            if len(ready) < BLOCK:
                break
        judged, unmeasured = judge_cases(session, self._run_id, self.version, self._cases.keys())
        self._cases |= judged
        self.unmeasured |= unmeasured
        return before != (self.consumed, len(self._cases))

    def _take(self, pairs: Sequence[JudgedPair], results: Results) -> None:
        """Consume pairs look by look, up to a decision or the first that broke the candidate."""
        decided = self.judge.reached
        first = 0
        while first < len(pairs) and not self.broken and self.judge.reached is decided:
            part = pairs[first : first + self.judge.room]
            table = pair_table(part, results, self.metrics)
            self.judge.extend(table)
            self._live.consume(table)
            first += len(part)
        self.consumed = self.judge.consumed

    @property
    def counted(self) -> int:
        """Pairs that the verdict rests on: those consumed, then those of judged cases."""
        behind = self.overall < len(self.version.planned)
        cases = self.version.suite.cases if behind else ()
        return self.consumed + sum(case.repeats for case in cases if case.name in self._cases)

    @property
    def broken(self) -> bool:
        """The candidate crashed or answered nonsense before anything was decided: that decides."""
        return self.judge.broken is not None

    @property
    def gates_decided(self) -> bool:
        """More pairs can't change what the gates say; cases may."""
        return self.broken or self.judge.reached is not None or self.consumed == self.overall

    def settled(self, *, whole: bool) -> bool:
        """Nothing more can be judged: every must-pass case is, and of a run that is driven to its
        end every pair."""
        cases = len(self._cases) == len(self.version.suite.cases)
        return self.broken or (cases and (self.consumed == self.overall or not whole))

    def table(self, session: Session) -> PairTable:
        """All pairs from the beginning that are driven and measured, whatever was decided when."""
        pairs = read_pairs(session, self._run_id, 0, self.overall)
        return pair_table(*self._measured(session, pairs), self.metrics)

    def verdict(self, over: bool = False) -> Verdict:
        """As of now; `verdict` is None while it may change. `over`: nothing more will come."""
        specs = [spec for spec in self.version.suite.cases if spec.name in self._cases]
        cases = [waive(self._cases[spec.name], self._waivers) for spec in specs]
        closed = over or (self.gates_decided and len(cases) == len(self.version.suite.cases))
        verdict = self.judge.verdict(cases, final=closed and self.consumed == self.overall)
        if verdict.verdict is None and closed:  # stopped early, yet a case or a gate can't be told
            verdict = self.judge.verdict(cases, final=True)
        method = {**verdict.method, "suite_digest": self._suite_digest, **self._so_far(verdict)}
        return replace(verdict, method=method)

    def _so_far(self, verdict: Verdict) -> dict[str, Any]:
        """What an undecided run shows, which is no verdict: `live_evidence` and its threshold."""
        gates = self.judge.suite.gates
        if verdict.verdict is not None or not gates or self.judge.plan.stored is not None:
            return {}
        threshold = len(gates) / self.judge.suite.alpha
        return {"evidence": {"e_values": self._live.e_values(), "threshold": threshold}}

    def _measured(
        self, session: Session, pairs: Sequence[JudgedPair]
    ) -> tuple[Sequence[JudgedPair], Results]:
        """The pairs before the first that lacks a result; all that lack one go to `unmeasured`."""
        versions = {metric: self.version.metric_versions[metric] for metric in self.metrics}
        results = read_results(session, pairs, versions)
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


def _plan(version: SuiteVersion, overall: int, run: RunRow) -> RunPlan:
    """What a run on this version will judge: `overall` of its pairs."""
    known = known_then(run)
    places = [p for p in version.planned if p.case is None] or version.planned[:overall]
    segments = {place.scenario.segment_id for place in places}
    return RunPlan(
        overall,
        stored=known.stored and in_run_order(known.stored, version, run),
        baseline_events=known.events,
        route_pairs=Counter(place.route for place in places),
        slices={name: frozenset(segments.intersection(p)) for name, p in version.slices.items()},
    )


def document(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON: numbers that don't exist are null."""
    plain: dict[str, Any] = _finite(asdict(verdict))
    return plain


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
