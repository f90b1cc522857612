"""Judge a run: its results are consumed in the registered order, whatever was driven first; the first crossing is final.

What is kept in memory between two looks can be rebuilt from the database at any time: evidence is only ever added.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Row, and_, select, tuple_
from sqlalchemy.orm import Session, aliased

from server.db.bank_tables import SuiteVersionRow
from server.db.base import OwnerKind, Role
from server.db.queue_tables import DemandRow, ResultRow, RolloutRow
from server.db.run_tables import RunRow
from server.services.bank.register_suite import stored_version
from server.services.bank.waivers_in_force import in_force, waive
from server.services.runs.judge_cases import Unmeasured, judge_cases
from suites.conditions import result_name
from suites.judgement import CaseVerdict, Verdict
from suites.metrics.registry import METRICS
from suites.pair_table import PairTable
from suites.statistics.live_evidence import LiveEvidence
from suites.verdict.run_judge import RunJudge
from suites.vocabulary import Outcome, RunVerdict

BLOCK = 256
"""Pairs that are read from the database at once."""


class UndecidableError(Exception):
    """The run can never be judged with what this server knows; the message says why and who must act."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a demanded rollout ended."""

    case_id: str
    route: str
    drive_key: str
    outcome: Outcome
    reason: str


Pair = tuple[Ended, Ended]
"""Candidate, baseline."""

Results = dict[tuple[str, str], Row[str, str, float | None, float | None, float | None]]
"""(drive_key, metric) to its result at the suite's version of the metric: those two, value, low, high."""


class RunEvidence:
    """What a run has shown so far; as one of several comparisons `beside` each other, each at its share of alpha."""

    def __init__(self, session: Session, run: RunRow, beside: int = 1) -> None:
        self.version = stored_version(session.get_one(SuiteVersionRow, run.suite_digest))
        suite = replace(self.version.suite, alpha=self.version.suite.alpha / beside)
        self.metrics = tuple(dict.fromkeys(gate.metric for gate in suite.gates))
        planned = self.version.planned
        # must-pass cases come last; the gates of a suite that has nothing else are over them
        self.overall = (
            len(planned)
            if suite.select is None and suite.gates
            else sum(p.case is None for p in planned)
        )
        self.judge = RunJudge(suite, self.overall)
        self._live = LiveEvidence(suite.gates)
        self.consumed = 0
        self.unmeasured: Unmeasured = {}
        """What the next pairs and cases wait for: measured from stored traces on request."""
        self.conditions = {result_name(c): c for case in suite.cases for c in case.conditions}
        self._run_id, self._suite_digest = run.id, run.suite_digest
        self._waivers = in_force(session, suite.name, run.created)
        self._cases: dict[str, CaseVerdict] = {}
        self._broke: Ended | None = None

    def consume(self, session: Session, beyond: bool = False) -> bool:
        """Take what follows in the registered order as far as it is driven and measured; whether there was anything. It
        ends at the look that decides, so that a verdict never depends on what else was driven by then; a further call goes
        on `beyond` it."""
        before = self.consumed, len(self._cases)
        self.unmeasured = {}
        decided = self.judge.reached
        while (
            self.consumed < self.overall
            and not self.broken
            and self.judge.reached is (decided if beyond else None)
        ):
            pairs = _pairs(
                session, self._run_id, self.consumed, min(self.consumed + BLOCK, self.overall)
            )
            ready, results = self._measured(session, pairs)
            self._take(ready, results)
            if len(ready) < BLOCK:
                break
        judged, unmeasured = judge_cases(session, self._run_id, self.version, self._cases.keys())
        self._cases |= judged
        self.unmeasured |= unmeasured
        return before != (self.consumed, len(self._cases))

    def _take(self, pairs: Sequence[Pair], results: Results) -> None:
        """Consume pairs look by look, up to a decision or to the first pair on which the candidate broke before one."""
        decided, first = self.judge.reached, 0
        while first < len(pairs) and not self.broken and self.judge.reached is decided:
            part = pairs[first : first + self.judge.room]
            broke = next(
                (i for i, (c, _) in enumerate(part) if c.outcome is Outcome.POLICY_FAILED),
                len(part),
            )
            part = part[: broke + 1]
            table = self._table(part, results)
            self.judge.extend(table)
            self._live.consume(table)
            self.consumed += len(part)
            first += len(part)
            last = part[-1][0]
            if last.outcome is Outcome.POLICY_FAILED and self.judge.reached is None:
                self._broke = last

    @property
    def counted(self) -> int:
        """Pairs that the verdict rests on: those consumed in the registered order, and those of the judged cases that lie
        behind it."""
        behind = self.overall < len(self.version.planned)
        return self.consumed + sum(
            case.repeats for case in self.version.suite.cases if behind and case.name in self._cases
        )

    @property
    def broken(self) -> bool:
        """The candidate crashed or answered nonsense before anything was decided: that decides."""
        return self._broke is not None

    @property
    def gates_decided(self) -> bool:
        """More pairs can't change what the gates say; cases may."""
        return self.broken or self.judge.reached is not None or self.consumed == self.overall

    def table(self, session: Session) -> PairTable:
        """All pairs from the beginning of the order that are driven and measured, whatever was decided and when."""
        return self._table(*self._measured(session, _pairs(session, self._run_id, 0, self.overall)))

    def verdict(self, over: bool = False) -> Verdict:
        """As of now; its `verdict` is None while it may still change, unless it is `over` and no more will come."""
        cases = [
            waive(self._cases[spec.name], self._waivers)
            for spec in self.version.suite.cases
            if spec.name in self._cases
        ]
        closed = over or (self.gates_decided and len(cases) == len(self.version.suite.cases))
        verdict = self.judge.verdict(cases, final=closed and self.consumed == self.overall)
        if verdict.verdict is None and closed:  # stopped early, yet a case or a gate can't be told
            verdict = self.judge.verdict(cases, final=True)
        if self._broke is not None:
            sentence = f"FAIL: the model itself failed on {self._broke.case_id}: {self._broke.reason.rstrip('.')}."
            verdict = replace(verdict, verdict=RunVerdict.FAIL, sentence=sentence)
        return replace(
            verdict,
            method={**verdict.method, "suite_digest": self._suite_digest, **self._so_far(verdict)},
        )

    def _so_far(self, verdict: Verdict) -> dict[str, Any]:
        """What an undecided run shows: `suites.statistics.live_evidence` for each gate, which is no verdict; they share the threshold."""
        gates, alpha = self.judge.suite.gates, self.judge.suite.alpha
        if verdict.verdict is not None or not gates:
            return {}
        return {"evidence": {"e_values": self._live.e_values(), "threshold": len(gates) / alpha}}

    def _measured(self, session: Session, pairs: Sequence[Pair]) -> tuple[Sequence[Pair], Results]:
        """The pairs before the first that lacks a result, and the results; all that lack one go to `unmeasured`."""
        keys = {ended.drive_key for pair in pairs for ended in pair}
        wanted = [(metric, self.version.metric_versions[metric]) for metric in self.metrics]
        columns = select(
            ResultRow.drive_key, ResultRow.metric, ResultRow.value, ResultRow.low, ResultRow.high
        )
        asked = columns.where(
            ResultRow.drive_key.in_(keys), tuple_(ResultRow.metric, ResultRow.version).in_(wanted)
        )
        results: Results = {(row.drive_key, row.metric): row for row in session.execute(asked)}
        self.unmeasured = {}
        first = len(pairs)
        for at, pair in enumerate(pairs):
            for ended in pair:
                for metric in self.metrics:
                    if (ended.drive_key, metric) not in results:
                        self._check_version(metric)
                        self.unmeasured.setdefault(metric, set()).add(ended.drive_key)
                        first = min(first, at)
        return pairs[:first], results

    def _check_version(self, metric: str) -> None:
        wanted, here = (
            self.version.metric_versions[metric],
            METRICS[metric].version if metric in METRICS else None,
        )
        if wanted != here:
            raise UndecidableError(
                f"the suite was resolved with {metric}@{wanted}, this server measures {metric}@{here}: register the suite again"
            )

    def _table(self, pairs: Sequence[Pair], found: Results) -> PairTable:
        results = np.full((3, 2, len(pairs), len(self.metrics)), np.nan)
        for i, pair in enumerate(pairs):
            for model, ended in enumerate(pair):
                if ended.outcome is Outcome.DATA_INVALID:
                    continue
                for m, metric in enumerate(self.metrics):
                    row = found[ended.drive_key, metric]
                    numbers = [row.value, row.low, row.high]
                    results[:, model, i, m] = [math.nan if n is None else n for n in numbers]
        return PairTable(
            case_ids=tuple(c.case_id for c, _ in pairs),
            routes=tuple(c.route for c, _ in pairs),
            metrics=self.metrics,
            results=results,
            outcomes=tuple((c.outcome, b.outcome) for c, b in pairs),
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


def _pairs(session: Session, run_id: str, start: int, stop: int) -> list[Pair]:
    """Consecutive pairs from position `start` on that both models have driven."""
    ours, theirs = aliased(DemandRow), aliased(DemandRow)
    candidate, baseline = aliased(RolloutRow), aliased(RolloutRow)
    same_place = and_(
        theirs.owner_kind == ours.owner_kind,
        theirs.owner_id == ours.owner_id,
        theirs.position == ours.position,
        theirs.role == Role.BASELINE,
    )
    rows = session.execute(
        select(
            ours.position,
            ours.case_id,
            ours.route,
            candidate.drive_key,
            candidate.outcome,
            candidate.reason,
            baseline.drive_key,
            baseline.outcome,
            baseline.reason,
        )
        .join(theirs, same_place)
        .join(candidate, candidate.drive_key == ours.drive_key)
        .join(baseline, baseline.drive_key == theirs.drive_key)
        .where(
            ours.owner_kind == OwnerKind.RUN,
            ours.owner_id == run_id,
            ours.role == Role.CANDIDATE,
            ours.position >= start,
            ours.position < stop,
        )
        .order_by(ours.position)
    )
    pairs: list[Pair] = []
    for position, case_id, route, c_key, c_outcome, c_reason, b_key, b_outcome, b_reason in rows:
        if position != start + len(pairs):
            break
        pairs.append(
            (
                Ended(case_id, route, c_key, c_outcome, c_reason),
                Ended(case_id, route, b_key, b_outcome, b_reason),
            )
        )
    return pairs
