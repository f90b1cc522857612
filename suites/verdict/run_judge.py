"""From paired results to a verdict: each gate by the table of CONTRACTS, then the run, with one sentence why."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from suites.definition.suite_schema import Gate, Suite
from suites.errors import Finding, SubmitterError
from suites.judgement import CaseVerdict, GateVerdict, Interval, Verdict
from suites.pair_table import BASELINE, CANDIDATE, PairTable
from suites.statistics.engines import OTHER, OWN
from suites.statistics.rates import label_e_value
from suites.statistics.sequential import Claims, SequentialJudge
from suites.verdict.sentence import (
    UNCAPPED,
    Circumstances,
    more_segments,
    percent,
    plural,
    run_sentence,
)
from suites.vocabulary import FAILING, NOT_SCORED, Estimand, MetricVerdict, RunVerdict

METHOD = "redrive.sign-flip/2"
"""Version of the engine: part of what is needed to judge again."""

GOOD = frozenset(
    {
        MetricVerdict.BETTER,
        MetricVerdict.EQUIVALENT,
        MetricVerdict.NOT_WORSE,
        MetricVerdict.SLIGHTLY_WORSE,
    }
)


def decide(
    table: PairTable,
    suite: Suite,
    planned: int,
    cases: Sequence[CaseVerdict] = (),
    final: bool = True,
) -> Verdict:
    """Judges the first rows of a run's registered order: pure, so anyone can judge again.

    `table` holds the rows of the overall part of the suite (not those of must-pass cases), `planned` how many there will
    be, `cases` the must-pass cases judged so far. With `final` no more will come. `verdict` is None while undecided.
    Raises SubmitterError where the table cannot be judged at all (duplicates, unknown metric, more rows than planned).
    """
    judge = RunJudge(suite, planned)
    judge.extend(table)
    return judge.verdict(cases, final)


def gate_word(gate: Gate, own: Claims, other: Claims, last: bool) -> MetricVerdict:
    """The table "From interval to verdict". `last`: the bank has ended, so that worse of open size is worse.

    Nothing is called better while its other estimand leans the other way, decided or not.
    """
    if own.above_margin or (own.above_zero and not own.below_margin and (last or gate.fail_fast)):
        return MetricVerdict.MIXED if other.below_zero else MetricVerdict.WORSE
    if own.below_margin:
        if other.above_margin or (own.below_zero and other.above_zero):
            return MetricVerdict.MIXED
        if own.below_zero and not other.leaning:
            return MetricVerdict.BETTER
        if own.above_zero:
            return MetricVerdict.SLIGHTLY_WORSE
        return MetricVerdict.EQUIVALENT if own.above_minus_margin else MetricVerdict.NOT_WORSE
    return MetricVerdict.CANNOT_TELL


class RunJudge:
    """`decide` for a caller that receives the rows piece by piece: each row is consumed once."""

    def __init__(self, suite: Suite, planned: int) -> None:
        self.suite = suite
        self.planned = planned
        self._judge = SequentialJudge(suite, planned)
        self._names: set[str] = set()
        self._segments: set[str] = set()
        self._routes: set[str] = set()
        self._outcomes = Counter[str](), Counter[str]()
        self._failed: tuple[set[str], set[str]] = (set(), set())
        self._failures = self._dropped = 0
        self._identical = True
        self._words = [MetricVerdict.CANNOT_TELL] * len(suite.gates)
        self._decided_at: list[int | None] = [None] * len(suite.gates)
        self._reached: tuple[RunVerdict, int] | None = None

    @property
    def reached(self) -> RunVerdict | None:
        """PASS or FAIL once the gates decide it. Must-pass cases may still turn a pass into a failure."""
        return self._reached[0] if self._reached else None

    @property
    def words(self) -> tuple[MetricVerdict, ...]:
        """What the gates say so far."""
        return tuple(self._words)

    @property
    def room(self) -> int:
        """Pairs that are consumed before the next look."""
        return self._judge.room

    def extend(self, table: PairTable) -> None:
        """Consumes the next rows of the registered order, with a look wherever the suite says."""
        self._check(table)
        start = 0
        while start < len(table):
            block = table.rows(slice(start, start + self._judge.room))
            start += len(block)
            self._count(block)
            self._judge.consume(block)
            if self._judge.room == 0:
                self._judge.look()
                self._settle(last=self._judge.consumed == self.planned)

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
                problem, remedy = (
                    "the results lack this metric",
                    f"one of {', '.join(table.metrics)}",
                )
                findings.append(Finding(f"gates.{gate.metric}", problem, remedy))
        if findings:
            raise SubmitterError("the results cannot be judged", tuple(findings))
        self._names.update(names)

    def _count(self, block: PairTable) -> None:
        for case_id, route, outcomes in zip(
            block.case_ids, block.routes, block.outcomes, strict=True
        ):
            if NOT_SCORED.intersection(outcomes):
                self._dropped += 1
            else:
                self._segments.add(case_id.split("@")[0].split("#")[0])
                self._routes.add(route)
            self._failures += outcomes[CANDIDATE] in FAILING
            for model, outcome in enumerate(outcomes):
                self._outcomes[model][str(outcome)] += 1
                if outcome in FAILING:
                    self._failed[model].add(route)
            self._identical &= outcomes[CANDIDATE] == outcomes[BASELINE]
        columns = [block.metrics.index(gate.metric) for gate in self.suite.gates]
        candidate, baseline = block.results[:, CANDIDATE], block.results[:, BASELINE]
        self._identical &= np.array_equal(
            candidate[..., columns], baseline[..., columns], equal_nan=True
        )

    def _settle(self, last: bool) -> None:
        """Updates the gates' words after a look and, once, the run's verdict. The first crossing is final."""
        claims = self._judge.claims()
        for g, negative in enumerate(self._judge.totals.negative):
            if (
                negative
            ):  # their relative change has no meaning: what was said before one came is taken back
                self._words[g], self._decided_at[g] = MetricVerdict.CANNOT_TELL, None
                self._reached = None if self.suite.gates[g].critical else self._reached
        for g, (gate, (own, other)) in enumerate(zip(self.suite.gates, claims, strict=True)):
            before = self._words[g]
            word = gate_word(gate, own, other, last)
            settled = before in (MetricVerdict.WORSE, MetricVerdict.MIXED) or (
                before in GOOD and word is MetricVerdict.WORSE
            )
            if settled or (self._reached and before is not MetricVerdict.CANNOT_TELL):
                continue
            self._words[g] = word
            if word is not before and (
                before is MetricVerdict.CANNOT_TELL or word is MetricVerdict.MIXED
            ):
                self._decided_at[g] = self._judge.consumed
        if self._reached:
            return
        critical = [g for g, gate in enumerate(self.suite.gates) if gate.critical]
        if self._failing() or any(self._words[g] is MetricVerdict.WORSE for g in critical):
            self._reached = RunVerdict.FAIL, self._judge.consumed
        elif critical and all(self._words[g] in GOOD for g in critical):
            # Before the bank ends a pass needs both estimands: rare spikes are not seen yet on a few pairs.
            ended = self._judge.consumed == self.planned
            if ended or all(
                claims[g][OTHER].below_margin or claims[g][OTHER].below_zero for g in critical
            ):
                self._reached = RunVerdict.PASS, self._judge.consumed

    def _only(self) -> tuple[int, int]:
        """Routes that failed for the candidate only and for the baseline only."""
        candidate, baseline = self._failed
        return len(candidate - baseline), len(baseline - candidate)

    def _failing(self) -> str:
        """Why the candidate's failures fail the run; empty if they do not."""
        limit = self.suite.max_failed_share
        if limit is not None:
            if self._failures > limit * self.planned:
                count = plural(self._failures, "rollout")
                return f"the candidate failed on {count}, more than {100 * limit:g} % of {self.planned:,}"
            return ""
        mine, theirs = self._only()
        if mine > theirs and label_e_value(mine, theirs) >= 1 / self.suite.alpha:
            return f"the candidate failed on {plural(mine, 'route')} where the baseline did not (the reverse on {theirs})"
        return ""

    def verdict(self, cases: Sequence[CaseVerdict] = (), final: bool = True) -> Verdict:
        """The verdict on what was consumed so far; with `final` the evidence is closed."""
        judge = self._judge
        if final and judge.consumed > judge.looked:
            judge.look()
            self._settle(last=True)
        missing = self.planned - judge.consumed if final else 0
        cases_missing = len({c.name for c in self.suite.cases} - {c.case for c in cases})
        identical = (
            self._identical
            and final
            and not missing
            and judge.consumed > 0
            and bool(judge.totals.valid.all())
        )
        run: RunVerdict | None
        if (
            any(c.passed is False and not c.waived for c in cases)
            or self.reached is RunVerdict.FAIL
        ):
            run = RunVerdict.FAIL
        elif cases_missing or any(c.passed is None and not c.waived for c in cases):
            run = RunVerdict.INCONCLUSIVE if final else None
        elif (
            identical
            or self.reached is RunVerdict.PASS
            or not any(g.critical for g in self.suite.gates)
        ):
            run = RunVerdict.PASS if final or self.reached or not self.planned else None
        else:
            run = RunVerdict.INCONCLUSIVE if final else None
        gates, errors = self._gates(identical)
        return Verdict(
            verdict=run,
            sentence=self._sentence(run, gates, errors, cases, missing, cases_missing, identical),
            gates=gates,
            cases=tuple(cases),
            pairs_planned=self.planned,
            pairs_consumed=self._reached[1] if self._reached else judge.consumed,
            outcomes={
                model: dict(sorted(counts.items()))
                for model, counts in zip(("candidate", "baseline"), self._outcomes, strict=True)
            },
            method=self._method(),
        )

    def _method(self) -> dict[str, object]:
        suite, (mine, theirs) = self.suite, self._only()
        return {
            "engine": METHOD,
            "alpha": suite.alpha,
            "spending_rho": suite.spending_rho,
            "flips": suite.flips,
            "look_every": suite.look_every,
            "order_seed": suite.order_seed,
            "looked_at": self._judge.looked,
            "failed_routes": {
                "candidate_only": mine,
                "baseline_only": theirs,
                "e_value": label_e_value(mine, theirs),
            },
        }

    def _sentence(
        self,
        run: RunVerdict | None,
        gates: tuple[GateVerdict, ...],
        errors: list[float | None],
        cases: Sequence[CaseVerdict],
        missing: int,
        cases_missing: int,
        identical: bool,
    ) -> str:
        if run is None:
            settled, gone = (
                sum(g.verdict is not MetricVerdict.CANNOT_TELL for g in gates),
                self._judge.consumed,
            )
            return f"Not decided yet: {settled} of {plural(len(gates), 'gate')} after {gone:,} of {self.planned:,} pairs."
        segments, alpha = len(self._segments), self.suite.alpha
        untold = [
            g
            for g, gate in enumerate(gates)
            if gate.critical and gate.verdict is MetricVerdict.CANNOT_TELL
        ]
        open_ = [
            more_segments(gates[g], errors[g], segments, alpha) for g in untold if gates[g].interval
        ]
        seen = Circumstances(
            segments=segments,
            routes=len(self._routes),
            dropped=self._dropped,
            alpha=alpha,
            failed=self._only(),
            failing=self._failing(),
            missing=missing,
            cases_missing=cases_missing,
            identical=identical,
            lacking=max((int(self._judge.totals.lopsided[g]) for g in untold), default=0),
            uncapped=any(
                self._judge.readable(OWN, g) and not self._judge.improvable(OWN, g) for g in untold
            ),
            more=None if None in open_ else max((n for n in open_ if n is not None), default=None),
        )
        return run_sentence(run, gates, cases, seen)

    def _gates(self, identical: bool) -> tuple[tuple[GateVerdict, ...], list[float | None]]:
        judge = self._judge
        computed = judge.intervals()
        gates = []
        for g, gate in enumerate(self.suite.gates):
            interval, other, error = computed[g]
            word = self._words[g]
            if identical:
                word, interval, other = (
                    MetricVerdict.EQUIVALENT,
                    *[Interval(estimate=0.0, low=0.0, high=0.0)] * 2,
                )
            means = judge.totals.means(g)
            gates.append(
                GateVerdict(
                    metric=gate.metric,
                    estimand=gate.estimand,
                    margin=gate.margin,
                    critical=gate.critical,
                    verdict=word,
                    interval=interval,
                    other_estimand=other,
                    decided_at=judge.consumed if identical else self._decided_at[g],
                    pairs=int(judge.totals.valid[g]),
                    routes=len(judge.totals.routes[g]),
                    invalid=judge.looked
                    - int(judge.totals.valid[g])
                    + int(judge.totals.lopsided[g]),
                    smallest_visible_effect=_visible(interval, error, gate.estimand),
                    candidate_mean=means[0],
                    baseline_mean=means[1],
                    reason=self._reason(g, word, interval),
                )
            )
        return tuple(gates), [error for _, _, error in computed]

    def _reason(self, g: int, word: MetricVerdict, interval: Interval | None) -> str:
        totals = self._judge.totals
        if not totals.valid[g]:
            return "no pair has a value of both models"
        if totals.negative[g]:
            return "some costs are negative: a relative change of them has no meaning"
        gate = self.suite.gates[g]
        cut = int(totals.cut[g]) if gate.estimand is Estimand.MEAN else 0
        if cut == totals.valid[g]:
            return f"every cost of both models is cut at the cap of {gate.winsor_cap:g}: nothing is left to compare"
        if not self._judge.readable(OWN, g):
            return "values of one model are missing and the gate declares no winsor_cap to count them at"
        lopsided = int(totals.lopsided[g])
        missing = (
            f"{plural(lopsided, 'pair')} where one model has no value, counted at best and worst"
            if lopsided
            else ""
        )
        if word is MetricVerdict.CANNOT_TELL:
            if not self._judge.improvable(OWN, g):
                return UNCAPPED
            routes = plural(len(totals.routes[g]), "route")
            wide = (
                f"the interval is too wide on {routes}" if interval else f"{routes} bound nothing"
            )
            return "; ".join(filter(None, [wide, self._contradicted(g, interval), missing]))
        capped = (
            f"{plural(cut, 'pair')} where both costs are cut at the cap of {gate.winsor_cap:g}"
            if cut
            else ""
        )
        if parts := list(filter(None, [self._contradicted(g, interval), missing, capped])):
            return "; ".join(parts)
        if interval and interval.high < 0 and word is not MetricVerdict.BETTER and word in GOOD:
            return "better by itself, but not beside the other gates, or the other estimand leans the other way"
        return ""

    def _contradicted(self, g: int, interval: Interval | None) -> str:
        """Where all pairs together lie beyond what an earlier look showed."""
        bound = self._judge.contradicted.get(g)
        if bound is None or interval is None:
            return ""
        side = "least" if bound > interval.estimate else "most"
        return (
            f"an earlier look showed a change of at {side} {percent(bound)}, all pairs together {percent(interval.estimate)}: "
            "it is not the same on routes of many and of few pairs, or rare pairs outweigh the others"
        )


def _visible(interval: Interval | None, error: float | None, estimand: Estimand) -> float | None:
    """Half width of the interval plus z(0.8) standard errors: the effect that this run would have told from zero with 80 %
    power; None where the interval reaches an end of the scale."""
    if (
        interval is None
        or error is None
        or (estimand is Estimand.TYPICAL and (interval.low <= -2 or interval.high >= 2))
    ):
        return None
    return (interval.high - interval.low) / 2 + float(norm.ppf(0.8)) * error
