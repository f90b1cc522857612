"""A run as it is judged: its gates look by look, and its must-pass cases as they come."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from suites.definition.suite_schema import Suite
from suites.judgement import CaseVerdict, Verdict
from suites.pair_table import PairTable
from suites.run_plan import RunPlan
from suites.statistics.live_evidence import LiveEvidence
from suites.verdict.run_judge import RunJudge


class JudgedRun:
    """The service judges by it, and `redrive verdict` an exported run: their words are the same.

    `waivers`: case to the words of the waiver that the run meets.
    """

    def __init__(
        self, suite: Suite, plan: RunPlan, suite_digest: str, waivers: Mapping[str, str]
    ) -> None:
        self.suite = suite
        self.plan = plan
        self.judge = RunJudge(suite, plan)
        self.cases: dict[str, CaseVerdict] = {}
        """Those that are judged, by name."""
        self._digest = suite_digest
        self._waivers = waivers
        self._live = LiveEvidence(suite.gates)

    def take(self, table: PairTable) -> None:
        """Consumes the next pairs of the registered order, up to a look that decides or a crash of
        the candidate before any did. A further call goes on from there."""
        decided = self.judge.reached
        first = 0
        while first < len(table) and not self.broken and self.judge.reached is decided:
            part = table.rows(slice(first, first + self.judge.room))
            self.judge.extend(part)
            self._live.consume(part)
            first += len(part)

    @property
    def consumed(self) -> int:
        """Pairs so far."""
        return self.judge.consumed

    @property
    def broken(self) -> bool:
        """The candidate crashed or answered nonsense before anything was decided: that decides."""
        return self.judge.broken is not None

    @property
    def ended(self) -> bool:
        """No pair is left, or none counts any more."""
        return self.broken or self.consumed == self.plan.pairs

    @property
    def gates_decided(self) -> bool:
        """More pairs can't change what the gates say; cases may."""
        return self.ended or self.judge.reached is not None

    def settled(self, *, whole: bool) -> bool:
        """Nothing more can be judged: every must-pass case is, and of a run that is driven to its
        end every pair."""
        cases = len(self.cases) == len(self.suite.cases)
        return self.broken or (cases and (self.ended or not whole))

    def verdict(self, over: bool = False) -> Verdict:
        """As of now; `verdict` is None while it may change. `over`: nothing more will come."""
        specs = [spec for spec in self.suite.cases if spec.name in self.cases]
        cases = [self._waived(self.cases[spec.name]) for spec in specs]
        closed = over or (self.gates_decided and len(cases) == len(self.suite.cases))
        verdict = self.judge.verdict(cases, final=closed and self.consumed == self.plan.pairs)
        if verdict.verdict is None and closed:  # stopped early, yet a case or a gate can't be told
            verdict = self.judge.verdict(cases, final=True)
        method = {**verdict.method, "suite_digest": self._digest, **self._so_far(verdict)}
        return replace(verdict, method=method)

    def _waived(self, case: CaseVerdict) -> CaseVerdict:
        """With the waiver that touches it: only what did not pass needs one."""
        words = self._waivers.get(case.case)
        return case if words is None or case.passed else replace(case, waived=words)

    def _so_far(self, verdict: Verdict) -> dict[str, Any]:
        """What an undecided run shows, which is no verdict: `live_evidence` and its threshold."""
        gates = self.suite.gates
        if verdict.verdict is not None or not gates or self.plan.stored is not None:
            return {}
        threshold = len(gates) / self.suite.alpha
        return {"evidence": {"e_values": self._live.e_values(), "threshold": threshold}}
