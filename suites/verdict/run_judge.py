"""From paired results to a verdict: each gate, then the run, with one sentence why."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from suites.definition.cost_draw import by_stored_costs, draw_metric, relative_cap
from suites.definition.suite_schema import Suite
from suites.errors import Finding, SubmitterError
from suites.formatting import change_text, plural
from suites.judgement import CaseVerdict, GateVerdict, Interval, Verdict
from suites.pair_table import PairTable
from suites.run_plan import RunPlan
from suites.statistics.engines import OWN
from suites.statistics.sequential import GateIntervals, SequentialJudge
from suites.verdict.gate_verdicts import gate_verdict
from suites.verdict.gate_word import GOOD, gate_word
from suites.verdict.pass_rule import PassRule
from suites.verdict.rate_values import rate_findings
from suites.verdict.sentence import (
    Circumstances,
    broken_sentence,
    more_segments,
    run_sentence,
    waiting_sentence,
)
from suites.verdict.tally import Tally
from suites.vocabulary import MetricVerdict, Outcome, RunVerdict

METHOD = "redrive.sign-flip/3"
"""Version of the engine: part of what is needed to judge again."""
BANK_METHOD = "redrive.bank-bets/1"
"""The same where the draw is by cost."""

ZERO = Interval(estimate=0.0, low=0.0, high=0.0)


def decide(
    table: PairTable,
    suite: Suite,
    plan: RunPlan,
    cases: Sequence[CaseVerdict] = (),
    final: bool = True,
) -> Verdict:
    """Judges the first rows of a run's registered order: pure, anyone can judge again.

    `table` holds the rows of the overall part of the suite (not those of must-pass cases),
    `plan` says how many there will be, `cases` are the must-pass cases judged so far. With `final`
    no more will come. `verdict` is None while undecided. Raises SubmitterError where the table
    cannot be judged at all (duplicates, unknown metric, more rows than planned).
    """
    judge = RunJudge(suite, plan)
    judge.extend(table)
    return judge.verdict(cases, final)


class RunJudge:
    """`decide` for a caller that receives the rows piece by piece: each is consumed once."""

    def __init__(self, suite: Suite, plan: RunPlan) -> None:
        suite, plan = by_stored_costs(suite, plan)
        self.suite = suite
        self.plan = plan
        self.planned = plan.pairs
        self._judge = SequentialJudge(suite, plan)
        self._tally = Tally(suite, plan)
        self._rule = PassRule(suite, plan, self._judge, self._tally)
        self._names: set[str] = set()
        self._critical = [g for g, gate in enumerate(suite.gates) if gate.critical]
        self._words = [MetricVerdict.CANNOT_TELL] * len(suite.gates)
        self._decided_at: list[int | None] = [None] * len(suite.gates)
        self._reached: tuple[RunVerdict, int] | None = None
        """The gates' verdict on the run, and after how many pairs."""
        self._withdrawn = ""
        self._broken: tuple[str, str] | None = None

    @property
    def reached(self) -> RunVerdict | None:
        """PASS or FAIL once the gates decide it; must-pass cases may still turn a pass."""
        return self._reached[0] if self._reached else None

    @property
    def broken(self) -> tuple[str, str] | None:
        """The case on which the candidate crashed or answered nonsense, and the reason.

        Before anything else was decided that fails the run, and nothing more is consumed.
        """
        return self._broken

    @property
    def words(self) -> tuple[MetricVerdict, ...]:
        """What the gates say so far."""
        return tuple(self._words)

    @property
    def consumed(self) -> int:
        """Pairs so far."""
        return self._judge.consumed

    @property
    def room(self) -> int:
        """Pairs that are consumed before the next look."""
        return self._judge.room

    def extend(self, table: PairTable) -> None:
        """Consumes the next rows of the registered order, with a look wherever the suite says."""
        self._check(table)
        start = 0
        while start < len(table) and not self._broken:
            block = table.rows(slice(start, start + self._judge.room))
            start += len(block)
            if not self._reached:
                block = self._up_to_a_crash(block)
            self._tally.count(block)
            self._judge.consume(block)
            if self._judge.room == 0:
                self._look(last=self._judge.consumed == self.planned)

    def _up_to_a_crash(self, block: PairTable) -> PairTable:
        """The rows up to the first on which the candidate crashed, that one too."""
        for row, (candidate, _) in enumerate(block.outcomes):
            if candidate is Outcome.POLICY_FAILED:
                reason = block.reasons[row] if block.reasons else ""
                self._broken = block.case_ids[row], reason
                return block.rows(slice(row + 1))
        return block

    def _check(self, table: PairTable) -> None:
        findings = []
        names = Counter(table.case_ids)
        names.update(self._names)
        repeated = sorted(name for name, count in names.items() if count > 1)
        if repeated:
            problem = f"{plural(len(repeated), 'row')} more than once: {', '.join(repeated[:3])}"
            findings.append(Finding("case_ids", problem, "keep one of each"))
        if len(names) > self.planned:
            problem = f"{len(names)} rows but {self.planned} were planned"
            findings.append(Finding("case_ids", problem, "judge the planned rows only"))
        for gate in self.suite.gates:
            if gate.metric not in table.metrics:
                remedy = f"one of {', '.join(table.metrics)}"
                problem = "the results lack this metric"
                findings.append(Finding(f"gates.{gate.metric}", problem, remedy))
            else:
                findings += rate_findings(table, gate)
        if findings:
            raise SubmitterError("the results cannot be judged", tuple(findings))
        self._names.update(names)

    def _look(self, last: bool) -> None:
        """Tests, moves the words and decides the run: a fail is final, a pass may be withdrawn."""
        self._judge.look()
        claims = self._judge.claims()
        self._take_back()
        for g, (gate, (own, other)) in enumerate(zip(self.suite.gates, claims, strict=True)):
            self._move(g, gate_word(gate, own, other, last and not self._on_bank), last)
        if not self._reached:
            if verdict := self._crossed():
                self._reached = verdict, self._judge.consumed
        elif self._reached[0] is RunVerdict.PASS and not self._withdrawn:
            self._withdrawn = "; ".join(self._contradictions())

    def _take_back(self) -> None:
        """Voids what was said before a negative cost came: no change has a meaning then."""
        for g, negative in enumerate(self._judge.totals.negative):
            if negative:
                self._words[g] = MetricVerdict.CANNOT_TELL
                self._decided_at[g] = None
                if g in self._critical:
                    self._reached = None

    def _move(self, g: int, word: MetricVerdict, last: bool) -> None:
        """Gate `g` says `word`, unless what it said before is final.

        After a decision only what contradicts it moves a word; the last look may say it anew.
        """
        before = self._words[g]
        if before in (MetricVerdict.WORSE, MetricVerdict.MIXED):
            return
        if before in GOOD and word is MetricVerdict.WORSE:
            return
        settled = self._reached and before is not MetricVerdict.CANNOT_TELL
        if settled and not (word is MetricVerdict.MIXED or (last and word in GOOD)):
            return
        self._words[g] = word
        settles = before is MetricVerdict.CANNOT_TELL or word is MetricVerdict.MIXED
        if word is not before and settles:
            self._decided_at[g] = self._judge.consumed

    def _crossed(self) -> RunVerdict | None:
        """PASS or FAIL if this look decides it."""
        words = {self._words[g] for g in self._critical}
        if self._tally.failing(self.planned) or MetricVerdict.WORSE in words:
            return RunVerdict.FAIL
        if not words or not words <= GOOD or self._rule.objections():
            return None
        return RunVerdict.PASS

    def _contradictions(self) -> list[str]:
        """Why a pass that was given earlier does not stand; empty if it does."""
        found = [failing] if (failing := self._tally.failing(self.planned)) else []
        found += self._rule.contradictions()
        for g in self._critical:
            gate = self.suite.gates[g]
            if self._words[g] not in GOOD:
                found.append(f"{gate.metric} is {self._words[g]} now")
            elif self._complete and (change := self._judge.change(g)) > gate.margin:
                by = change_text(change, self._judge.is_rate(g))
                found.append(f"all pairs together change {gate.metric} by {by}")
        return found

    @property
    def _on_bank(self) -> bool:
        """Drawn by cost: what is shown is of this bank, where half of all models that are as good
        as the baseline are worse in the end. So none fails whose size is open."""
        return self.plan.stored is not None

    @property
    def _complete(self) -> bool:
        """Every planned pair was judged."""
        return self._judge.consumed == self.planned

    def verdict(self, cases: Sequence[CaseVerdict] = (), final: bool = True) -> Verdict:
        """The verdict on what was consumed so far; with `final` the evidence is closed."""
        judge = self._judge
        if final and judge.consumed > judge.looked:
            self._look(last=True)
        identical = final and self._identical()
        intervals = judge.intervals()
        gates = self._gates(intervals, identical)
        run = self._standing(cases, final, identical)
        if run is None:
            open_ = self._rule.objections() if set(self._words) <= GOOD else []
            sentence = waiting_sentence(gates, judge.consumed, self.planned, open_)
        elif self._broken:
            sentence = broken_sentence(*self._broken)
        else:
            missing = self.planned - judge.consumed if final and not self.reached else 0
            seen = self._circumstances(gates, intervals, missing, identical)
            unanswered = self._unanswered(cases)
            sentence = run_sentence(run, gates, cases, replace(seen, cases_missing=unanswered))
        candidate, baseline = (dict(sorted(counts.items())) for counts in self._tally.outcomes)
        rests_on = self._reached[1] if self._reached and not self._withdrawn else judge.consumed
        return Verdict(
            verdict=run,
            sentence=sentence,
            gates=gates,
            cases=tuple(cases),
            pairs_planned=self.planned,
            pairs_consumed=rests_on,
            pairs_judged=judge.consumed,
            complete=self._complete and not self._broken,
            withdrawn=self._withdrawn,
            outcomes={"candidate": candidate, "baseline": baseline},
            method=self._method(),
        )

    def _unanswered(self, cases: Sequence[CaseVerdict]) -> int:
        return len({c.name for c in self.suite.cases} - {c.case for c in cases})

    def _standing(
        self, cases: Sequence[CaseVerdict], final: bool, identical: bool
    ) -> RunVerdict | None:
        """What stands for the run now; None while it is not decided."""
        if self._broken or any(case.failed for case in cases) or self.reached is RunVerdict.FAIL:
            return RunVerdict.FAIL
        if self._withdrawn:
            return RunVerdict.FAIL if self._turned() else RunVerdict.INCONCLUSIVE
        passes = identical or self.reached is RunVerdict.PASS or not self._critical
        if passes and not self._unanswered(cases) and not any(c.untold for c in cases):
            if final or self.reached or not self.planned:
                return RunVerdict.PASS
            return None
        return RunVerdict.INCONCLUSIVE if final else None

    def _turned(self) -> bool:
        """After a pass was withdrawn: what came later is enough to fail the run."""
        worse = any(self._words[g] is MetricVerdict.WORSE for g in self._critical)
        return worse or bool(self._tally.failing(self.planned))

    def _identical(self) -> bool:
        """Every planned pair came, counts for every gate and is the same for both models."""
        came = 0 < self._judge.consumed == self.planned
        return came and self._tally.identical and bool(self._judge.totals.valid.all())

    def _gates(
        self, intervals: Sequence[GateIntervals], identical: bool
    ) -> tuple[GateVerdict, ...]:
        judge = self._judge
        if not identical:
            said = zip(self._words, self._decided_at, intervals, strict=True)
            return tuple(gate_verdict(judge, g, *words) for g, words in enumerate(said))
        return tuple(
            gate_verdict(
                judge,
                g,
                MetricVerdict.EQUIVALENT,
                judge.consumed,
                interval._replace(own=ZERO, other=ZERO),
            )
            for g, interval in enumerate(intervals)
        )

    def _circumstances(
        self,
        gates: Sequence[GateVerdict],
        intervals: Sequence[GateIntervals],
        missing: int,
        identical: bool,
    ) -> Circumstances:
        judge, tally, alpha = self._judge, self._tally, self.suite.alpha
        critical = [self.suite.gates[g] for g in self._critical]
        untold = [g for g in self._critical if gates[g].verdict is MetricVerdict.CANNOT_TELL]
        more = [
            more_segments(gates[g], intervals[g].error, len(tally.segments), alpha)
            for g in untold
            if gates[g].interval
        ]
        return Circumstances(
            segments=len(tally.segments),
            routes=len(tally.routes),
            dropped=tally.dropped,
            alpha=alpha,
            failed=tally.failed_alone,
            failing=tally.failing(self.planned),
            missing=missing,
            cases_missing=0,
            identical=identical,
            judged=judge.consumed,
            planned=self.planned,
            objections=() if identical else tuple(self._rule.objections()),
            spiking=not identical and self._rule.spiking,
            withdrawn=self._withdrawn,
            passed_at=self._reached[1] if self._reached else 0,
            lacking=max((int(judge.totals.lopsided[g]) for g in untold), default=0),
            counted_to=max(map(relative_cap, critical), default=0.0) if self._on_bank else None,
            uncapped=any(judge.readable(OWN, g) and not judge.improvable(OWN, g) for g in untold),
            more=None if None in more else max((n for n in more if n is not None), default=None),
        )

    def _method(self) -> dict[str, object]:
        candidate, baseline = self._tally.failed_alone
        rules = ("alpha", "spending_rho", "flips", "look_every", "order_seed", "new_spikes")
        drawn: dict[str, object] = {}
        if self._on_bank:
            by = {"metric": draw_metric(self.suite), "share": self.suite.draw_share}
            drawn = {"draw": by}
        elif self.suite.draw == "cost":
            drawn = {"draw": "uniform"}
        return {
            "engine": BANK_METHOD if self._on_bank else METHOD,
            **drawn,
            **{rule: getattr(self.suite, rule) for rule in rules},
            "looked_at": self._judge.looked,
            "failed_routes": {
                "candidate_only": candidate,
                "baseline_only": baseline,
                "e_value": self._tally.e_value,
            },
        }
