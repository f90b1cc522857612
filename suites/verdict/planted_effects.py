"""The test tests itself: null comparisons and planted regressions through the judge that decides runs.

- Null: the labels of two distinct, near-equal models are swapped on whole routes by a fair coin. Then there is no
  difference, whatever the models are: what is claimed is a false alarm. The same model against itself would be zero by
  construction and show nothing.
- Planted: on top of such a null one gate's metric of the candidate is made worse, on every pair by one factor (even) or
  on a few pairs by a large one (spikes), so that the expected change over the swaps is what was asked for. At the margin
  "not worse" must be rare; beyond it the run must fail.

Every simulated run has an order and sign vectors of its own, as a registered run has.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from suites.definition.suite_schema import Gate, PlannedRollout, Suite, breadth_first
from suites.errors import Finding, SubmitterError
from suites.pair_table import CANDIDATE, VALUE, PairTable, concat
from suites.rollout import Scenario
from suites.statistics.contrasts import WORST, evidence, sign_of
from suites.verdict.gate_word import GOOD
from suites.verdict.run_judge import RunJudge
from suites.vocabulary import Estimand, MetricVerdict, RunVerdict

Floats = NDArray[np.float64]
Plant = Literal["even", "spikes"]

SPIKE = 20.0
"""Factor of a planted spike."""
MOST_SPIKES = 0.5
"""Where more pairs than this would have to spike, it is no spike any more."""
LARGEST_FACTOR = 1e4
MULTIPLES = (1.0, 2.0)
"""Planted sizes, in margins of the gate: at the margin, and beyond it."""
CLAIMS = frozenset(MetricVerdict) - {
    MetricVerdict.EQUIVALENT,
    MetricVerdict.NOT_WORSE,
    MetricVerdict.CANNOT_TELL,
}
"""Words that say that there is a difference."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of simulated runs with its 95 % interval (Wilson 1927)."""

    hits: int
    runs: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.hits / self.runs

    def __str__(self) -> str:
        return f"{100 * self.share:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}] of {self.runs:,} runs"


def rate(hits: int, runs: int) -> Rate:
    """`hits` of `runs` with the interval."""
    interval = binomtest(hits, runs).proportion_ci(method="wilson")
    return Rate(hits, runs, float(interval.low), float(interval.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Nulls:
    """What was said where there is no difference."""

    alarms: Rate
    """A gate claims a difference, or the run fails."""
    failed: Rate
    passed: Rate
    naive: Rate
    """Control: the same runs by a paired z-test at every look, gates and routes ignored. It should alarm far too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """What was said where one gate's metric is worse by `multiple` margins."""

    kind: Plant
    multiple: float
    failed: Rate
    """Detections."""
    asserted: Rate
    """The gate was called not worse: wrong at the margin and beyond."""
    median_pairs: float | None
    """At which the runs that failed were decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """One self-check of a suite on a table of stored results."""

    alpha: float
    pairs: int
    routes: int
    runs: int
    """Simulated runs of each kind."""
    seed: int
    nulls: Nulls
    planted: tuple[Planted, ...]
    not_planted: tuple[str, ...]
    """What can't be planted on these results, and why."""

    @property
    def faults(self) -> tuple[str, ...]:
        """What is certainly above alpha: the lower end of its interval is. Empty: nothing is wrong as far as was seen."""
        found = [("false alarms", self.nulls.alarms)]
        found += [
            (f'"not worse" at the margin ({p.kind})', p.asserted)
            for p in self.planted
            if p.multiple == 1.0
        ]
        return tuple(
            f"{what}: {r} where alpha is {100 * self.alpha:g} %"
            for what, r in found
            if r.low > self.alpha
        )


def self_check(
    table: PairTable,
    suite: Suite,
    *,
    runs: int,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SelfCheck:
    """Judges `runs` nulls and as many planted runs of every kind on the pairs of `table`.

    Raises SubmitterError where a check would be vacuous: equal models, or fewer than two routes.
    """
    _check(table, suite)
    bank = _Bank(table, suite)
    shifts, not_planted = _shifts(table, suite)
    kinds: list[tuple[Plant, float]] = sorted({(kind, multiple) for kind, multiple, _ in shifts})
    total, done = runs * (1 + len(kinds)), 0
    null = np.zeros((runs, 4), dtype=np.bool_)
    for i in range(runs):
        swapped, own = bank.null(np.random.default_rng([seed, 0, i]))
        judge, _ = _judged(swapped, own)
        alarm = judge.reached is RunVerdict.FAIL or bool(CLAIMS & set(judge.words))
        null[i] = (
            alarm,
            judge.reached is RunVerdict.FAIL,
            judge.reached is RunVerdict.PASS,
            _peeking(swapped, own),
        )
        progress(done := done + 1, total)
    planted = []
    for k, (kind, multiple) in enumerate(kinds):
        at = [gate for gate in range(len(suite.gates)) if (kind, multiple, gate) in shifts]
        failed, asserted, decided = 0, 0, []
        for i in range(runs):
            generator = np.random.default_rng([seed, 1 + k, i])
            swapped, own = bank.null(generator)
            gate = at[i % len(at)]
            judge, pairs = _judged(
                _plant(
                    swapped, own.gates[gate].metric, kind, shifts[kind, multiple, gate], generator
                ),
                own,
            )
            if judge.reached is RunVerdict.FAIL:
                failed += 1
                decided.append(pairs)
            asserted += judge.words[gate] in GOOD
            progress(done := done + 1, total)
        planted.append(
            Planted(
                kind=kind,
                multiple=multiple,
                failed=rate(failed, runs),
                asserted=rate(asserted, runs),
                median_pairs=float(np.median(decided)) if decided else None,
            )
        )
    alarms, fails, passes, naive = (rate(int(hits), runs) for hits in null.sum(axis=0))
    return SelfCheck(
        alpha=suite.alpha,
        pairs=len(table),
        routes=len(bank.routes),
        runs=runs,
        seed=seed,
        nulls=Nulls(alarms=alarms, failed=fails, passed=passes, naive=naive),
        planted=tuple(planted),
        not_planted=not_planted,
    )


def _check(table: PairTable, suite: Suite) -> None:
    findings = []
    if len(set(table.routes)) < 2:
        findings.append(
            Finding(
                "routes",
                f"{len(set(table.routes))} route",
                "labels are swapped on whole routes: take more",
            )
        )
    if not any(gate.critical for gate in suite.gates):
        findings.append(Finding("gates", "no critical gate", "take a suite that decides something"))
    columns = [
        table.metrics.index(gate.metric) for gate in suite.gates if gate.metric in table.metrics
    ]
    candidate, baseline = table.results[VALUE][..., columns]
    if np.array_equal(candidate, baseline, equal_nan=True):
        problem = "both models have the same values: every difference is zero by construction"
        findings.append(Finding("models", problem, "take two distinct, near-equal models"))
    for gate in (gate for gate in suite.gates if gate.critical and gate.metric in table.metrics):
        rows = evidence(table, [gate], [gate.estimand])
        if rows.negative[0]:
            findings.append(
                Finding(gate.metric, "some costs are negative: it is never judged", "leave it out")
            )
        elif not (rows.valid & ~rows.lopsided).any():
            findings.append(
                Finding(gate.metric, "no pair has a value of both models", "leave it out")
            )
    if findings:
        raise SubmitterError("a self-check on these results would show nothing", tuple(findings))


def _judged(table: PairTable, suite: Suite) -> tuple[RunJudge, int]:
    """What the judge says when a run would have been stopped, and after how many pairs that is."""
    planned = len(table)
    judge = RunJudge(suite, planned)
    for start in range(0, planned, suite.look_every):
        judge.extend(table.rows(slice(start, start + suite.look_every)))
        if judge.reached is not None:
            return judge, min(start + suite.look_every, planned)
    return judge, planned


class _Bank:
    """The stored pairs, from which null runs are made."""

    def __init__(self, table: PairTable, suite: Suite) -> None:
        self.table, self.suite = table, suite
        self.routes = sorted(set(table.routes))
        self._index = {name: i for i, name in enumerate(table.case_ids)}
        nowhere = Scenario(segment_id="", segment_digest="", start_s=0.0, end_s=0.0)
        self._plan = [
            PlannedRollout(case_id=name, route=route, scenario=nowhere, repeat=0)
            for name, route in zip(table.case_ids, table.routes, strict=True)
        ]

    def null(self, generator: np.random.Generator) -> tuple[PairTable, Suite]:
        """The pairs in a new registered order, labels swapped on about half of the routes; the suite with that order."""
        own = replace(self.suite, order_seed=int(generator.integers(2**31)))
        order = [self._index[p.case_id] for p in breadth_first(self._plan, own.order_seed)]
        heads = dict(zip(self.routes, generator.random(len(self.routes)) < 0.5, strict=True))
        table = self.table.rows(np.array(order))
        return table.swap(np.array([heads[route] for route in table.routes])), own


def _plant(
    table: PairTable, metric: str, kind: Plant, shift: float, generator: np.random.Generator
) -> PairTable:
    """The candidate's values of one metric made worse: by the factor `shift`, or by SPIKE on the share `shift` of the pairs."""
    worse = np.full(len(table), shift)
    if kind == "spikes":
        worse = np.where(generator.random(len(worse)) < shift, SPIKE, 1.0)
    results = table.results.copy()
    results[:, CANDIDATE, :, table.metrics.index(metric)] *= worse ** sign_of(metric)
    return replace(table, results=results)


def _shifts(
    table: PairTable, suite: Suite
) -> tuple[dict[tuple[Plant, float, int], float], tuple[str, ...]]:
    """(kind, margins, critical gate) to the factor, or to the share of spikes, that plants such a change; what can't be."""
    shifts: dict[tuple[Plant, float, int], float] = {}
    refused = []
    for g, gate in enumerate(suite.gates):
        if not gate.critical:
            continue
        change = _Change(table, gate)
        for multiple in MULTIPLES:
            size = multiple * gate.margin
            factor = change.factor(size)
            spikes = size / change.of(SPIKE) if change.of(SPIKE) > 0 else np.inf
            if factor is None:
                refused.append(
                    f"{gate.metric} ({gate.estimand}): no factor makes it worse by {100 * size:g} % on these results"
                )
            else:
                shifts["even", multiple, g] = factor
            if spikes > MOST_SPIKES:
                refused.append(
                    f"{gate.metric} ({gate.estimand}): rare spikes can't make it worse by {100 * size:g} %"
                )
            else:
                shifts["spikes", multiple, g] = float(spikes)
    return shifts, tuple(refused)


class _Change:
    """By how much one gate's estimand changes on average over all swaps when the candidate's values are multiplied."""

    def __init__(self, table: PairTable, gate: Gate) -> None:
        column = table.metrics.index(gate.metric)
        both = concat([table, table.swap()])  # either model may be the candidate
        values = both.results[VALUE, :, :, column]
        self._c, self._b = values[:, np.isfinite(values).all(axis=0)]
        cap = gate.winsor_cap if gate.estimand is Estimand.MEAN else None
        self._sign, self._mean = sign_of(gate.metric), gate.estimand is Estimand.MEAN
        self._cap = np.inf if cap is None else cap

    def of(self, factor: float) -> float:
        """The change that multiplying every pair brings; positive is worse."""
        if not len(self._c):
            return 0.0
        c, b = np.minimum(self._c * factor**self._sign, self._cap), np.minimum(self._b, self._cap)
        if self._mean:
            return float(self._sign * (c.sum() - b.sum()) / b.sum()) if b.sum() > 0 else 0.0
        relative = np.divide(c - b, c + b, out=np.zeros_like(c), where=c + b > 0)
        return float(2 * self._sign * relative.mean())

    def factor(self, size: float) -> float | None:
        """The factor that brings a change of `size`; None where none does."""
        low, high = 1.0, LARGEST_FACTOR
        if self.of(high) < size:
            return None
        while high / low > 1 + 1e-9:
            middle = float(np.sqrt(low * high))
            low, high = (low, middle) if self.of(middle) >= size else (middle, high)
        return high


def _peeking(table: PairTable, suite: Suite) -> bool:
    """Whether a paired z-test at the 5 % level, read at every look over all pairs as if they were independent, ever alarms."""
    estimands: Sequence[Estimand] = [gate.estimand for gate in suite.gates]
    p = evidence(table, suite.gates, estimands).p[WORST]
    for stop in range(suite.look_every, len(p) + 1, suite.look_every):
        seen = p[:stop]
        error = seen.std(axis=0, ddof=1) / np.sqrt(stop)
        if (np.abs(seen.mean(axis=0)) > 1.96 * np.maximum(error, 1e-300)).any():
            return True
    return False
