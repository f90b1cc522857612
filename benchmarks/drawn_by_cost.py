"""The mean without a declared cap, by a draw that takes what the baseline finds hard first.

Such a run speaks of its set of segments alone. Population-equal models differ on a set, so that a
claim counts as wrong only where the set's own means say the opposite.
"""

from dataclasses import replace

import numpy as np

from benchmarks.driven_runs import Row, SimulatedRun, Simulation, stopped
from benchmarks.passing import equal
from benchmarks.simulated_pairs import Floats, claim, cleared, judged, planted, suite_of, table_of
from suites.statistics.sequential import SequentialJudge
from suites.verdict.null_bank import registered_order
from suites.vocabulary import Estimand, RunVerdict

SHARES = (0.3, 0.8)
"""a: how strongly costs weigh."""
KAPPA = 10.0


def drawn(c: Floats, b: Floats, *, margin: float, share: float, seed: int) -> SimulatedRun:
    """A run of one gate on the mean over pairs [n, 1] in a cost-weighted order."""
    suite = suite_of([margin], seed, estimand=Estimand.MEAN)
    gates = tuple(replace(gate, relative_cap=KAPPA) for gate in suite.gates)
    suite = replace(suite, gates=gates, draw="cost", draw_share=share)
    table = table_of(c, b)
    return SimulatedRun(table.rows(registered_order(table, suite)), suite)


def above(judge: SequentialJudge) -> bool:
    return claim(judge).above_zero


def mean_worse(effect: float, how: str, share: float) -> Simulation:
    """How soon a mean that is worse by `effect` on real pairs is above zero, and fails at 2 %."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        c, b = equal(rng, "real")
        c = planted(rng, c, effect, how, Estimand.MEAN)
        simulated = drawn(c, b, margin=0.02, share=share, seed=seed)
        judge = judged(simulated.table, simulated.suite, above)
        failed, pairs = stopped(simulated)
        return {
            "above 0": above(judge),
            "segments": judge.consumed,
            "fail": failed is RunVerdict.FAIL,
            "segments to fail": pairs,
        }

    return run


def mean_within(kind: str, share: float) -> Simulation:
    """How soon equal means are shown to lie within 5 %."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        simulated = drawn(*equal(rng, kind), margin=0.05, share=share, seed=seed)
        judge = judged(simulated.table, simulated.suite, cleared)
        return {"within 5 %": cleared(judge), "segments": judge.consumed}

    return run


def mean_claims(kind: str, how: str, share: float) -> Simulation:
    """Wrong claims: "below 5 %" of a mean that is worse by 5 %, "above 0" where it is not."""

    def run(rng: np.random.Generator, seed: int) -> Row:
        c, b = equal(rng, kind)
        worse = planted(rng, c, 0.05, how, Estimand.MEAN)
        beyond = drawn(worse, b, margin=0.05, share=share, seed=seed)
        truly = worse.sum() / b.sum() - 1
        below = cleared(judged(beyond.table, beyond.suite, cleared))
        better = c * min(1.0, float(b.sum() / c.sum()))
        zero = drawn(better, b, margin=0.05, share=share, seed=seed)
        return {
            "wrong below": below and truly >= 0.05,
            "wrong above": above(judged(zero.table, zero.suite, above)),
        }

    return run


BY_COST: dict[str, tuple[Simulation, float]] = {
    **{
        f"mean worse by {effect:.0%} {how}, drawn by cost a = {share:g}, real": (
            mean_worse(effect, how, share),
            0.1,
        )
        for share in SHARES
        for effect in (0.04, 0.07, 0.10)
        for how in ("evenly", "spikes")
    },
    **{
        f"equal means within 5 %, drawn by cost a = {share:g}, {kind}": (
            mean_within(kind, share),
            0.15,
        )
        for share in SHARES
        for kind in ("real", "simulated, few spikes", "simulated")
    },
    **{
        f"wrong claims of the mean, {how}, drawn by cost a = {share:g}, {kind}": (
            mean_claims(kind, how, share),
            0.25,
        )
        for share in SHARES
        for kind in ("real", "simulated")
        for how in ("evenly", "spikes")
    },
}
"""Name to (one simulated run, share of --runs)."""
