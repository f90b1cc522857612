"""The test tests itself: null comparisons and planted regressions through the judge of runs.

- Null: the labels of two distinct, near-equal models are swapped on whole routes by a fair coin.
  Then there is no difference, whatever the models are, and every claim is a false alarm. The same
  model against itself would be zero by construction and show nothing.
- Planted: on top of such a null one gate's metric of the candidate is made worse, on every pair by
  one factor (even) or on a few pairs by a large one (spikes). The expected change over the swaps is
  what was asked for. At the margin "not worse" must be rare; beyond it the run must fail.

Every simulated run has an order and sign vectors of its own, as a registered run has.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from suites.definition.resolving import breadth_first
from suites.definition.suite_schema import Gate, PlannedRollout, Suite
from suites.errors import Finding, SubmitterError
from suites.formatting import rate_text, share
from suites.pair_table import CANDIDATE, VALUE, PairTable, concat
from suites.rollout import Scenario
from suites.run_plan import RunPlan
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
        return f"{rate_text(self.share, self.low, self.high)} of {self.runs:,} runs"


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
    """Control: a paired z-test at every look, gates and routes ignored. It should alarm often."""


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
        """What is certainly above alpha, as the lower end of its interval is."""
        found = [("false alarms", self.nulls.alarms)]
        found += [
            (f'"not worse" at the margin ({p.kind})', p.asserted)
            for p in self.planted
            if p.multiple == 1.0
        ]
        return tuple(
            f"{what}: {r} where alpha is {share(self.alpha, 6)}"
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
    kinds = sorted({(kind, multiple) for kind, multiple, _ in shifts})
    total = runs * (1 + len(kinds))
    nulls = []
    for i in range(runs):
        nulls.append(_null_run(bank, np.random.default_rng([seed, 0, i])))
        progress(i + 1, total)
    planted = []
    for k, (kind, multiple) in enumerate(kinds, 1):
        gates = [g for g in range(len(suite.gates)) if (kind, multiple, g) in shifts]
        ended = []
        for i in range(runs):
            g = gates[i % len(gates)]
            generator = np.random.default_rng([seed, k, i])
            ended.append(_planted_run(bank, kind, shifts[kind, multiple, g], g, generator))
            progress(k * runs + i + 1, total)
        decided = [pairs for failed, _, pairs in ended if failed]
        planted.append(
            Planted(
                kind=kind,
                multiple=multiple,
                failed=rate(len(decided), runs),
                asserted=rate(sum(asserted for _, asserted, _ in ended), runs),
                median_pairs=float(np.median(decided)) if decided else None,
            )
        )
    alarms, failed, passed, naive = (rate(sum(hits), runs) for hits in zip(*nulls, strict=True))
    return SelfCheck(
        alpha=suite.alpha,
        pairs=len(table),
        routes=len(bank.routes),
        runs=runs,
        seed=seed,
        nulls=Nulls(alarms=alarms, failed=failed, passed=passed, naive=naive),
        planted=tuple(planted),
        not_planted=not_planted,
    )


def _null_run(bank: "_Bank", generator: np.random.Generator) -> tuple[bool, bool, bool, bool]:
    """One null: whether it alarmed, failed, passed, and whether the control alarmed."""
    table, suite = bank.null(generator)
    judge, _ = _judged(table, suite)
    failed = judge.reached is RunVerdict.FAIL
    alarm = failed or bool(CLAIMS.intersection(judge.words))
    return alarm, failed, judge.reached is RunVerdict.PASS, _peeking(table, suite)


def _planted_run(
    bank: "_Bank", kind: Plant, shift: float, g: int, generator: np.random.Generator
) -> tuple[bool, bool, int]:
    """One run with gate `g` worse: whether it failed, called it not worse, and pairs consumed."""
    table, suite = bank.null(generator)
    table = _plant(table, suite.gates[g].metric, kind, shift, generator)
    judge, pairs = _judged(table, suite)
    return judge.reached is RunVerdict.FAIL, judge.words[g] in GOOD, pairs


def _check(table: PairTable, suite: Suite) -> None:
    findings = []
    routes = len(set(table.routes))
    if routes < 2:
        remedy = "labels are swapped on whole routes: take more"
        findings.append(Finding("routes", f"{routes} route", remedy))
    if not any(gate.critical for gate in suite.gates):
        findings.append(Finding("gates", "no critical gate", "take a suite that decides something"))
    gates = [gate for gate in suite.gates if gate.metric in table.metrics]
    columns = [table.metrics.index(gate.metric) for gate in gates]
    candidate, baseline = table.results[VALUE][..., columns]
    if np.array_equal(candidate, baseline, equal_nan=True):
        problem = "both models have the same values: every difference is zero by construction"
        findings.append(Finding("models", problem, "take two distinct, near-equal models"))
    for gate in gates:
        if gate.critical and (problem := _unjudged(table, gate)):
            findings.append(Finding(gate.metric, problem, "leave it out"))
    if findings:
        raise SubmitterError("a self-check on these results would show nothing", tuple(findings))


def _unjudged(table: PairTable, gate: Gate) -> str:
    """Why a gate would never be judged on these results; empty if it would."""
    rows = evidence(table, [gate], [gate.estimand])
    if rows.negative[0]:
        return "some costs are negative: it is never judged"
    if not (rows.valid & ~rows.lopsided).any():
        return "no pair has a value of both models"
    return ""


def _judged(table: PairTable, suite: Suite) -> tuple[RunJudge, int]:
    """What the judge says when a run would have been stopped, and after how many pairs that is."""
    judge = RunJudge(suite, RunPlan(len(table)))
    consumed = 0
    while consumed < len(table) and judge.reached is None:
        block = table.rows(slice(consumed, consumed + suite.look_every))
        judge.extend(block)
        consumed += len(block)
    return judge, consumed


class _Bank:
    """The stored pairs, from which null runs are made."""

    def __init__(self, table: PairTable, suite: Suite) -> None:
        self.table = table
        self.suite = suite
        self.routes = sorted(set(table.routes))
        self._index = {name: i for i, name in enumerate(table.case_ids)}
        nowhere = Scenario(segment_id="", segment_digest="", start_s=0.0, end_s=0.0)
        self._plan = [
            PlannedRollout(case_id=name, route=route, scenario=nowhere, repeat=0)
            for name, route in zip(table.case_ids, table.routes, strict=True)
        ]

    def null(self, generator: np.random.Generator) -> tuple[PairTable, Suite]:
        """The pairs in a new registered order, labels swapped on half of the routes; its suite."""
        seed = int(generator.integers(2**31))
        order = [self._index[p.case_id] for p in breadth_first(self._plan, seed)]
        heads = dict(zip(self.routes, generator.random(len(self.routes)) < 0.5, strict=True))
        table = self.table.rows(np.array(order))
        swapped = table.swap(np.array([heads[route] for route in table.routes]))
        return swapped, replace(self.suite, order_seed=seed)


def _plant(
    table: PairTable, metric: str, kind: Plant, shift: float, generator: np.random.Generator
) -> PairTable:
    """One metric of the candidate worse: by the factor `shift`, or by SPIKE on such a share."""
    worse = np.full(len(table), shift)
    if kind == "spikes":
        worse = np.where(generator.random(len(worse)) < shift, SPIKE, 1.0)
    results = table.results.copy()
    results[:, CANDIDATE, :, table.metrics.index(metric)] *= worse ** sign_of(metric)
    return replace(table, results=results)


def _shifts(
    table: PairTable, suite: Suite
) -> tuple[dict[tuple[Plant, float, int], float], tuple[str, ...]]:
    """(kind, margins, critical gate) to the factor or share of spikes; what can't be planted."""
    shifts: dict[tuple[Plant, float, int], float] = {}
    refused = []
    for g, gate in enumerate(suite.gates):
        if not gate.critical:
            continue
        name = f"{gate.metric} ({gate.estimand})"
        change = _Change(table, gate)
        by_spike = change.of(SPIKE)
        for multiple in MULTIPLES:
            size = multiple * gate.margin
            by = f"worse by {share(size, 6)}"
            factor = change.factor(size)
            spikes = size / by_spike if by_spike > 0 else np.inf
            if factor is None:
                refused.append(f"{name}: no factor makes it {by} on these results")
            else:
                shifts["even", multiple, g] = factor
            if spikes > MOST_SPIKES:
                refused.append(f"{name}: rare spikes can't make it {by}")
            else:
                shifts["spikes", multiple, g] = float(spikes)
    return shifts, tuple(refused)


class _Change:
    """Mean change of one gate's estimand over all swaps, the candidate's values multiplied."""

    def __init__(self, table: PairTable, gate: Gate) -> None:
        column = table.metrics.index(gate.metric)
        both = concat([table, table.swap()])  # either model may be the candidate
        values = both.results[VALUE, :, :, column]
        self._c, self._b = values[:, np.isfinite(values).all(axis=0)]
        cap = gate.winsor_cap if gate.estimand is Estimand.MEAN else None
        self._sign = sign_of(gate.metric, gate.direction)
        self._mean = gate.estimand is Estimand.MEAN
        self._cap = np.inf if cap is None else cap

    def of(self, factor: float) -> float:
        """The change that multiplying every pair brings; positive is worse."""
        if not len(self._c):
            return 0.0
        c = np.minimum(self._c * factor**self._sign, self._cap)
        b = np.minimum(self._b, self._cap)
        if self._mean:
            return float(self._sign * (c.sum() - b.sum()) / b.sum()) if b.sum() > 0 else 0.0
        relative = np.divide(c - b, c + b, out=np.zeros_like(c), where=c + b > 0)
        return float(2 * self._sign * relative.mean())

    def factor(self, size: float) -> float | None:
        """The factor that brings a change of `size`; None where none does."""
        low = 1.0
        high = LARGEST_FACTOR
        if self.of(high) < size:
            return None
        while high / low > 1 + 1e-9:
            middle = float(np.sqrt(low * high))
            low, high = (low, middle) if self.of(middle) >= size else (middle, high)
        return high


def _peeking(table: PairTable, suite: Suite) -> bool:
    """Whether a paired z-test at the 5 % level ever alarms, read at every look over all pairs."""
    estimands: Sequence[Estimand] = [gate.estimand for gate in suite.gates]
    p = evidence(table, suite.gates, estimands).p[WORST]
    for stop in range(suite.look_every, len(p) + 1, suite.look_every):
        seen = p[:stop]
        error = seen.std(axis=0, ddof=1) / np.sqrt(stop)
        if (np.abs(seen.mean(axis=0)) > 1.96 * np.maximum(error, 1e-300)).any():
            return True
    return False
