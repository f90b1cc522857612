"""The test tests itself: null comparisons and planted effects through the judge of runs.

- Null (suites/verdict/null_bank.py): every claim is a false alarm, every fail is wrong.
- Planted (suites/verdict/planted_shapes.py), on top of such a null: at the margin "not worse" must
  be rare; beyond it the run must fail. Shapes that have fooled tests must not fool this one.

Every simulated run has an order and sign vectors of its own, as a registered run has.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from suites.definition.suite_schema import Gate, Suite
from suites.errors import Finding, SubmitterError
from suites.formatting import rate_text, share
from suites.pair_table import VALUE, PairTable
from suites.statistics.contrasts import WORST, evidence
from suites.statistics.sequential import tolerated
from suites.verdict.gate_word import GOOD
from suites.verdict.null_bank import NullBank, judged, known_plan
from suites.verdict.planted_shapes import PLANTING, Plant, PlantedSizes, Shape, drawn_by_cost, plant
from suites.vocabulary import Estimand, MetricVerdict

Floats = NDArray[np.float64]

CLAIMS = frozenset(MetricVerdict) - {
    MetricVerdict.EQUIVALENT,
    MetricVerdict.NOT_WORSE,
    MetricVerdict.CANNOT_TELL,
}
"""Words that say that there is a difference."""
BEYOND = frozenset({MetricVerdict.WORSE, MetricVerdict.MIXED})
"""Those that are wrong of equal models whose pairs are drawn by cost: half of all models that are
equal over drives like these differ on the set itself, which such a run speaks of."""


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
    passed_pairs: float | None = None
    """Median pairs at which the runs that passed were decided."""


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
    passed: Rate | None = None
    """The run passed: wrong at the margin and beyond. None: not kept by an older version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeCheck:
    """What was said of a shape that has fooled tests."""

    shape: Shape
    failed: Rate
    passed: Rate
    wrong: Rate
    """Skew, drawn by cost: the run failed. Mended harm: it passed early, or as one without so many
    new spikes.
    (A pass of a small set that says what it does not exclude is none of them.)"""


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
    shapes: tuple[ShapeCheck, ...] = ()

    @property
    def faults(self) -> tuple[str, ...]:
        """What is certainly above alpha, as the lower end of its interval is."""
        found = [("false alarms", self.nulls.alarms)]
        found += [
            (f'"not worse" at the margin ({p.kind})', p.asserted)
            for p in self.planted
            if p.multiple == 1.0
        ]
        found += [(f"wrong {WRONG[s.shape]} ({s.shape})", s.wrong) for s in self.shapes]
        return tuple(
            f"{what}: {r} where alpha is {share(self.alpha, 6)}"
            for what, r in found
            if r.low > self.alpha
        )


WRONG: dict[Shape, str] = {"skew": "fail", "drawn by cost": "fail", "mended harm": "pass"}
"""The verdict that is wrong of a shape."""


class _Said(NamedTuple):
    """What a planted run said."""

    failed: bool
    passed: bool
    asserted: bool
    """The gate that was planted on was called not worse."""
    quiet: bool
    """It passed early, or with new spikes bounded below what the suite leaves possible."""
    pairs: int


Planting = Callable[[PairTable, int, np.random.Generator], PairTable]


def self_check(
    table: PairTable,
    suite: Suite,
    *,
    runs: int,
    seed: int = 0,
    slices: Mapping[str, frozenset[str]] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SelfCheck:
    """Judges `runs` nulls and as many runs of everything that is planted on the pairs of `table`.

    `slices`: declared slice to its segments, as a run's plan has them; none is asked for where they
    are not known. Raises SubmitterError where a check would be vacuous: equal models, or fewer than
    two routes.
    """
    _check(table, suite)
    suite = suite if slices is not None else replace(suite, slices=())
    bank = NullBank(table, suite, slices or {})
    sizes = PlantedSizes(bank.table, suite)
    kinds = sorted({(kind, multiple) for kind, multiple, _ in sizes.worse})
    shapes = sorted({shape for shape, _ in sizes.shapes})
    banks = dict.fromkeys(shapes, bank)
    if "drawn by cost" in banks:
        banks["drawn by cost"] = NullBank(table, drawn_by_cost(suite), slices or {})
    total = runs * (1 + len(kinds) + len(shapes))
    done = 0

    def simulated(
        number: int, gates: Sequence[int], change: Planting, of: NullBank = bank
    ) -> list[_Said]:
        nonlocal done
        said = []
        for i in range(runs):
            generator = np.random.default_rng([seed, number, i])
            said.append(_planted_run(of, gates[i % len(gates)], change, generator))
            done += 1
            progress(done, total)
        return said

    nulls = []
    for i in range(runs):
        nulls.append(_null_run(bank, np.random.default_rng([seed, 0, i])))
        done += 1
        progress(done, total)
    return SelfCheck(
        alpha=suite.alpha,
        pairs=len(bank.table),
        routes=len(bank.routes),
        runs=runs,
        seed=seed,
        nulls=_nulls(nulls),
        planted=tuple(
            _planted(kind, multiple, simulated(k, *_worse(suite, sizes, kind, multiple)))
            for k, (kind, multiple) in enumerate(kinds, 1)
        ),
        shapes=tuple(
            _shape_check(shape, simulated(k, *_shaped(suite, sizes, shape), of=banks[shape]))
            for k, shape in enumerate(shapes, 1 + len(kinds))
        ),
        not_planted=tuple(sizes.refused),
    )


def _worse(
    suite: Suite, sizes: PlantedSizes, kind: Plant, multiple: float
) -> tuple[Sequence[int], Planting]:
    """The gates that it can be planted on, and how."""

    def change(table: PairTable, g: int, generator: np.random.Generator) -> PairTable:
        return plant(table, suite.gates[g], kind, sizes.worse[kind, multiple, g], generator)

    return [g for k, m, g in sizes.worse if (k, m) == (kind, multiple)], change


def _shaped(suite: Suite, sizes: PlantedSizes, shape: Shape) -> tuple[Sequence[int], Planting]:
    planting = PLANTING[shape]

    def change(table: PairTable, g: int, generator: np.random.Generator) -> PairTable:
        return planting(table, suite.gates[g], sizes.shapes[shape, g], generator)

    return [g for s, g in sizes.shapes if s == shape], change


class _NullSaid(NamedTuple):
    """What a null run said, and whether the control alarmed."""

    alarm: bool
    failed: bool
    passed: bool
    naive: bool
    pairs: int


def _null_run(bank: NullBank, generator: np.random.Generator) -> _NullSaid:
    table, suite = bank.run(generator)
    ended = judged(table, suite, known_plan(table, suite, bank.slices))
    claims = BEYOND if suite.draw == "cost" else CLAIMS
    alarm = ended.failed or bool(claims.intersection(ended.judge.words))
    return _NullSaid(alarm, ended.failed, ended.passed, _peeking(table, suite), ended.pairs)


def _planted_run(bank: NullBank, g: int, change: Planting, generator: np.random.Generator) -> _Said:
    """One run with something planted on gate `g`."""
    table, suite = bank.run(generator, lambda table: change(table, g, generator))
    ended = judged(table, suite, known_plan(table, suite, bank.slices))
    quiet = False
    if ended.passed:
        below = ended.judge.verdict().gates[g].spikes_below
        bounded = below is not None and below <= tolerated(suite)
        quiet = bounded or ended.pairs < len(table)
    asserted = ended.judge.words[g] in GOOD
    return _Said(ended.failed, ended.passed, asserted, quiet, ended.pairs)


def _rate(hits: Iterable[bool]) -> Rate:
    found = list(hits)
    return rate(sum(found), len(found))


def _median(pairs: Iterable[int]) -> float | None:
    found = list(pairs)
    return float(np.median(found)) if found else None


def _nulls(said: Sequence[_NullSaid]) -> Nulls:
    return Nulls(
        alarms=_rate(s.alarm for s in said),
        failed=_rate(s.failed for s in said),
        passed=_rate(s.passed for s in said),
        naive=_rate(s.naive for s in said),
        passed_pairs=_median(s.pairs for s in said if s.passed),
    )


def _planted(kind: Plant, multiple: float, said: Sequence[_Said]) -> Planted:
    return Planted(
        kind=kind,
        multiple=multiple,
        failed=_rate(s.failed for s in said),
        asserted=_rate(s.asserted for s in said),
        passed=_rate(s.passed for s in said),
        median_pairs=_median(s.pairs for s in said if s.failed),
    )


def _shape_check(shape: Shape, said: Sequence[_Said]) -> ShapeCheck:
    return ShapeCheck(
        shape=shape,
        failed=_rate(s.failed for s in said),
        passed=_rate(s.passed for s in said),
        wrong=_rate(s.failed if WRONG[shape] == "fail" else s.quiet for s in said),
    )


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
